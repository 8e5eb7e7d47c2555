import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { isReference, type Store, type StoreName } from './store.ts'

/**
 * A store in a folder: `<root>/<name>/ab/abcd...`. An object appears whole or not at all: it is written under another
 * name, flushed, renamed, and its folder is flushed too.
 * @param root folder that holds the stores; made when it is not there
 */
export function createFileStore(root: string, name: StoreName): Store {
  const folder = join(root, name)
  const foldersMade = new Set<string>()

  function pathOf(sha256: string): string {
    if (!isReference(sha256)) throw new SluiceError('REFERENCE_INVALID')
    return join(folder, sha256.slice(0, 2), sha256)
  }

  async function makeFolder(path: string): Promise<void> {
    if (foldersMade.has(path)) return
    const first = await mkdir(path, { recursive: true })
    for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) {
      await flush(dirname(made))
    }
    foldersMade.add(path)
  }

  /** The store's own folder is made once; should it be gone later, that is a lost disk and not an empty store. */
  async function findFolder(): Promise<void> {
    if (foldersMade.has(folder)) await stat(folder)
    else await makeFolder(folder)
  }

  return {
    async write(sha256, bytes) {
      const path = pathOf(sha256)
      try {
        await findFolder()
        await makeFolder(dirname(path))
        if ((await sizeOf(path)) === bytes.length) return await flush(dirname(path))
        const draft = join(dirname(path), `.${sha256}.${randomUUID()}`)
        try {
          const file = await open(draft, 'wx', 0o640)
          try {
            await file.writeFile(bytes)
            await file.sync()
          } finally {
            await file.close()
          }
          await rename(draft, path)
        } catch (error) {
          await rm(draft, { force: true })
          throw error
        }
        await flush(dirname(path))
      } catch (cause) {
        foldersMade.delete(dirname(path))
        throw new SluiceError('STORE_UNREACHABLE', `the ${name} store can't be written`, { cause })
      }
    },

    async read(sha256, limit) {
      const path = pathOf(sha256)
      try {
        await findFolder()
        // An object is a plain file: a link that somebody put there is not followed, a pipe not waited for.
        const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
        try {
          const status = await file.stat()
          if (!status.isFile())
            throw new SluiceError('PAYLOAD_MISSING', 'the reference leads to something that is no file')
          if (status.size > limit) {
            throw new SluiceError('PAYLOAD_TOO_LARGE', `the object has ${status.size} bytes, allowed are ${limit}`)
          }
          const bytes = Buffer.allocUnsafeSlow(status.size)
          const { bytesRead } = await file.read(bytes, 0, status.size, 0)
          return bytes.subarray(0, bytesRead)
        } finally {
          await file.close()
        }
      } catch (cause) {
        if (cause instanceof SluiceError) throw cause
        if (isMissingObject(cause, path)) throw new SluiceError('PAYLOAD_MISSING', undefined, { cause })
        throw new SluiceError('STORE_UNREACHABLE', `the ${name} store can't be read`, { cause })
      }
    },
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size
  } catch {
    return null
  }
}

/** A missing object (or a link in its place) is the item's fault; a missing store folder (an unmounted disk) is not. */
function isMissingObject(error: unknown, path: string): boolean {
  if (!(error instanceof Error && 'code' in error && 'path' in error)) return false
  return (error.code === 'ENOENT' || error.code === 'ELOOP') && error.path === path
}

async function flush(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
