import { pipeline } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import { SluiceError } from '../domain/errors.ts'
import { bytesOfFile, openFile } from '../platform/files/files.ts'
import { isOfSystem, unreadable } from './read-failure.ts'
import { SidecarError } from './sidecar.ts'

/** A file in a tar. */
export type TarMember = {
  name: string
  /** where its content begins in the tar, bytes */
  offset: number
  /** when it was last changed, as the tar says */
  changedAt: Date | null
  /** its bytes, or a sentence on what was expected instead of something longer */
  content: Buffer | string
}

/** What ends a tar: two blocks of zeros. Tools that were cut off have not written them. */
const END = 1024

/**
 * The files in a tar, one at a time; folders are passed over.
 * @param limitOf longest content of a file that is held in memory, bytes
 * @throws {SidecarError} behind the last whole file of a tar that is cut short or damaged; {SluiceError} when it can't be read
 */
export async function* readTar(path: string, limitOf: (name: string) => number): AsyncGenerator<TarMember> {
  const members = extract()
  // What goes wrong in reading comes out of the iteration.
  pipeline(bytesOfFile(path), members, () => undefined)
  let behind = 'at its beginning'
  let isWhole: boolean
  try {
    for await (const entry of members) {
      const { name, size = 0, type, mtime } = entry.header
      const offset: unknown = Reflect.get(entry.header, 'byteOffset')
      if (type === 'directory') {
        entry.resume()
        continue
      }
      let content: Buffer | string
      if (type !== 'file') content = 'expected a file, not a link or a device'
      else if (size > limitOf(name)) content = `expected at most ${limitOf(name)} bytes`
      else content = await buffer(entry)
      if (typeof content === 'string') entry.resume()
      yield { name, offset: Number(offset), changedAt: mtime ?? null, content }
      behind = `behind byte ${Number(offset) + size}`
    }
    isWhole = await endsInZeros(path)
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    if (isOfSystem(cause)) throw unreadable(path, cause)
    throw new SidecarError('', `expected a tar that is whole; it is cut short or damaged ${behind}`, { cause })
  }
  if (!isWhole)
    throw new SidecarError('', `expected a tar that is whole; it is cut short ${behind}: nothing marks its end`)
}

async function endsInZeros(path: string): Promise<boolean> {
  const file = await openFile(path)
  try {
    const { size } = file
    if (size < END) return false
    const end = Buffer.alloc(END)
    await file.read(end, 0, END, size - END)
    return end.every((byte) => byte === 0)
  } finally {
    await file.close()
  }
}
