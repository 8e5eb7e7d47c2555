import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { createFileThreads, type FileThreads } from './file-threads.ts'
import type { FileTasks } from './object-files.ts'
import type { Store, StoredObject, StoreName } from './store.ts'

/** What is streamed is read so many bytes at a time. */
const PART_BYTES = 1_048_576
/** So many calls may wait for a slow disk at the same time. */
const THREADS = 4

/** A store in a folder, which has to be made once. */
export type FileStore = Store & {
  /** Makes the store where there is none yet. @throws {SluiceError} STORE_UNREACHABLE */
  make(): Promise<void>
  /** Sees that the store is there. @throws {SluiceError} STORE_UNREACHABLE */
  find(): Promise<void>
}

/**
 * A store in a folder; `object-files.ts` says how objects lie there.
 * @param root folder that holds the stores
 * @param threads of its own, which wait for its disk
 */
export function createFileStore(
  root: string,
  name: StoreName,
  threads: FileThreads = createFileThreads({ most: THREADS }),
): FileStore {
  const folder = join(root, name)

  async function ask<Name extends keyof FileTasks>(
    what: 'made' | 'read' | 'written',
    task: Name,
    words: FileTasks[Name]['task'],
    given: readonly ArrayBuffer[] = [],
  ): Promise<FileTasks[Name]['answer']> {
    try {
      return await threads.call(task, words, given)
    } catch (cause) {
      // What is not an error of ours already is a fault of the store.
      if (cause instanceof SluiceError) throw cause
      throw new SluiceError('STORE_UNREACHABLE', `the ${name} store can't be ${what}: is its disk there?`, { cause })
    }
  }

  function writeAll(objects: readonly StoredObject[]): Promise<void> {
    // Copies: what is given may be a small part of something large, all of which would go.
    const copies = objects.map(({ sha256, bytes }) => ({ sha256, bytes: new Uint8Array(bytes) }))
    const given = copies.map(({ bytes }) => bytes.buffer)
    return ask('written', 'write', { folder, objects: copies }, given)
  }

  return {
    write: (sha256, bytes) => writeAll([{ sha256, bytes }]),
    writeAll,

    make: () => ask('made', 'make', { folder }),
    find: () => ask('read', 'find', { folder }),

    async writeStream(source) {
      const digest = createHash('sha256')
      const draft = await ask('written', 'begin', { folder })
      try {
        for await (const piece of source) {
          digest.update(piece)
          const bytes = new Uint8Array(piece)
          await ask('written', 'append', { draft, bytes }, [bytes.buffer])
        }
      } catch (error) {
        await ask('written', 'discard', { draft })
        throw error
      }
      const sha256 = digest.digest('hex')
      await ask('written', 'place', { folder, draft, sha256 })
      return sha256
    },

    async read(sha256, limit) {
      const { buffer, byteOffset, byteLength } = await ask('read', 'read', { folder, sha256, limit })
      return Buffer.from(buffer, byteOffset, byteLength)
    },

    async *stream(sha256, limit) {
      const { file } = await ask('read', 'open', { folder, sha256, limit })
      try {
        for (;;) {
          const part = await ask('read', 'readPart', { file, length: PART_BYTES })
          if (part.length === 0) return
          yield part
        }
      } finally {
        await ask('read', 'close', { file })
      }
    },
  }
}
