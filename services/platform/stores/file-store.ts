import { createHash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { inTime } from '../in-time.ts'
import { isReference, type Store, type StoreName } from './store.ts'

/** Lies in a store's folder: without it the folder is a place where a store should be mounted. */
const MARKER = '.sluice-store'

/** A disk that answers no sooner is not there. */
const PATIENCE_MS = 60_000

/** A store in a folder, which has to be made once. */
export type FileStore = Store & {
  /** Makes the store where there is none yet. @throws {SluiceError} STORE_UNREACHABLE */
  make(): Promise<void>
}

/**
 * A store in a folder: `<root>/<name>/ab/abcd...`. An object appears whole or not at all: it is written under another
 * name, flushed, renamed, and its folder is flushed too.
 * @param root folder that holds the stores
 * @param patienceMs after which a read or a write that is not done is a fault of the store
 */
export function createFileStore(
  root: string,
  name: StoreName,
  { patienceMs = PATIENCE_MS }: { patienceMs?: number } = {},
): FileStore {
  const folder = join(root, name)
  const shardsMade = new Set<string>()

  function pathOf(sha256: string): string {
    if (!isReference(sha256)) throw new SluiceError('REFERENCE_INVALID')
    return join(folder, sha256.slice(0, 2), sha256)
  }

  async function makeFolder(): Promise<void> {
    const first = await mkdir(folder, { recursive: true })
    for (let made = folder; first !== undefined && made.length >= first.length; made = dirname(made)) {
      await flush(dirname(made))
    }
  }

  /** Not with its parents: where the store is gone, nothing is made in its place. */
  async function makeShard(path: string): Promise<void> {
    if (shardsMade.has(path)) return
    await mkdir(path).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    })
    await flush(folder)
    shardsMade.add(path)
  }

  /** Neither reading nor writing makes a store: what is not there is a lost disk and not an empty store. */
  async function findFolder(): Promise<void> {
    await stat(join(folder, MARKER))
  }

  /** Fills a draft, flushes it, and puts it where its digest says. */
  async function place(fill: (draft: FileHandle) => Promise<string>): Promise<void> {
    const draft = join(folder, `.${randomUUID()}`)
    try {
      const file = await open(draft, 'wx', 0o640)
      let sha256: string
      try {
        sha256 = await fill(file)
        await file.sync()
      } finally {
        await file.close()
      }
      const path = pathOf(sha256)
      await makeShard(dirname(path))
      await rename(draft, path)
      await flush(dirname(path))
      // Had the disk gone meanwhile, this would lie where it was mounted.
      await findFolder()
    } catch (error) {
      shardsMade.clear()
      await rm(draft, { force: true })
      throw error
    }
  }

  async function writeObject(path: string, sha256: string, bytes: Uint8Array): Promise<void> {
    await findFolder()
    if ((await sizeOf(path)) === bytes.length) return await flush(dirname(path))
    await place(async (draft) => {
      await draft.writeFile(bytes)
      return sha256
    })
  }

  async function readObject(sha256: string, limit: number): Promise<Buffer> {
    const { file, size } = await openObject(sha256)
    try {
      if (size > limit) throw tooLarge(size, limit)
      const bytes = Buffer.allocUnsafeSlow(size)
      let length = 0
      while (length < size) {
        const { bytesRead } = await file.read(bytes, length, size - length, length)
        if (bytesRead === 0) break
        length += bytesRead
      }
      return bytes.subarray(0, length)
    } finally {
      await file.close()
    }
  }

  /** An object is a plain file: a link that somebody put there is not followed, a pipe not waited for. */
  async function openObject(sha256: string): Promise<{ file: FileHandle; size: number }> {
    const path = pathOf(sha256)
    try {
      await findFolder()
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      const status = await file.stat()
      if (status.isFile()) return { file, size: status.size }
      await file.close()
      throw new SluiceError('PAYLOAD_MISSING', 'the reference leads to something that is no file')
    } catch (cause) {
      if (!isMissingObject(cause, path)) throw cause
      // The disk may have gone since.
      await findFolder()
      throw new SluiceError('PAYLOAD_MISSING', undefined, { cause })
    }
  }

  /** What is not an error of ours already is a fault of the store. */
  function unreachable(what: string, cause: unknown): SluiceError {
    if (cause instanceof SluiceError) return cause
    return new SluiceError('STORE_UNREACHABLE', `the ${name} store can't be ${what}: is its disk there?`, { cause })
  }

  return {
    async make() {
      try {
        await makeFolder()
        await (await open(join(folder, MARKER), 'a', 0o640)).close()
        await flush(folder)
      } catch (cause) {
        throw unreachable('made', cause)
      }
    },

    async write(sha256, bytes) {
      const path = pathOf(sha256)
      try {
        // An operating system may wait for a disk for ever; what is then still under way does no harm.
        await inTime(writeObject(path, sha256, bytes), patienceMs)
      } catch (cause) {
        throw unreachable('written', cause)
      }
    },

    async writeStream(source) {
      const digest = createHash('sha256')
      let sha256 = ''
      try {
        await findFolder()
        await place(async (draft) => {
          for await (const piece of source) {
            digest.update(piece)
            await draft.writeFile(piece)
          }
          sha256 = digest.digest('hex')
          return sha256
        })
        return sha256
      } catch (cause) {
        throw unreachable('written', cause)
      }
    },

    async read(sha256, limit) {
      try {
        return await inTime(readObject(sha256, limit), patienceMs)
      } catch (cause) {
        throw unreachable('read', cause)
      }
    },

    async *stream(sha256, limit) {
      try {
        const { file, size } = await openObject(sha256)
        if (size > limit) {
          await file.close()
          throw tooLarge(size, limit)
        }
        yield* file.createReadStream()
      } catch (cause) {
        throw unreachable('read', cause)
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

function tooLarge(size: number, limit: number): SluiceError {
  return new SluiceError('PAYLOAD_TOO_LARGE', `the object has ${size} bytes, allowed are ${limit}`)
}

/** What stands in an object's place when crawlers put something odd there. */
const noObject: readonly unknown[] = ['ENOENT', 'ELOOP', 'ENXIO', 'ENOTDIR', 'EACCES']

/** A missing object (or something odd in its place) is the item's fault; a missing store (an unmounted disk) is not. */
function isMissingObject(error: unknown, path: string): boolean {
  if (!(error instanceof Error && 'code' in error && 'path' in error)) return false
  return noObject.includes(error.code) && error.path === path
}

async function flush(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
