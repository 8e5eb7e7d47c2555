import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file whole or not at all, in a folder that is made where there is none; when it resolves, it survives a crash.
 * @param mode of the file, less what the process leaves out
 */
export async function writeDurably(path: string, text: string, mode = 0o666): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const beside = `${path}.${process.pid}`
  const handle = await open(beside, 'w', mode)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(beside, path)
}
