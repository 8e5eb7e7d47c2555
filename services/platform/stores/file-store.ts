import { join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { createFileThreads, type FileThreads } from './file-threads.ts'
import type { FileTasks } from './object-files.ts'
import type { Store, StoredObject, StoreName } from './store.ts'

/** Of a large object, read at a time. */
const PART_BYTES = 4_194_304
/** So many calls may wait for a slow disk at the same time. */
const THREADS = 4

/** A store in a folder, which has to be made once. */
export type FileStore = Store & {
  folder: string
  /** Makes the store where there is none yet. @throws {SluiceError} STORE_UNREACHABLE */
  make(): Promise<void>
  /** Sees that the store is there. @throws {SluiceError} STORE_UNREACHABLE */
  find(): Promise<void>
  /**
   * Copies an object of any size from another store: under the sha256 that its bytes deserve, whatever it is called there.
   * @param limit bytes
   * @returns that sha256
   * @throws {SluiceError} REFERENCE_INVALID, PAYLOAD_MISSING, PAYLOAD_TOO_LARGE (the item's fault); STORE_UNREACHABLE
   */
  copy(from: FileStore, sha256: string, limit: number): Promise<string>
  /**
   * Keeps an object that is too large to be in memory at once, under the sha256 that its maker has found; as {@link Store.write}.
   * @throws {unknown} also what making the parts throws
   */
  writeParts(sha256: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>
  /**
   * The bytes of an object of any size, in parts; they are not hashed here.
   * @throws {SluiceError} REFERENCE_INVALID, PAYLOAD_MISSING; STORE_UNREACHABLE
   */
  readParts(sha256: string): AsyncGenerator<Uint8Array>
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
    folder,
    make: () => ask('made', 'make', { folder }),
    find: () => ask('read', 'find', { folder }),
    write: (sha256, bytes) => writeAll([{ sha256, bytes }]),
    writeAll,
    copy: (from, sha256, limit) => ask('written', 'copy', { folder, from: from.folder, sha256, limit }),

    async writeParts(sha256, parts) {
      let draft = await ask('written', 'append', { folder, draft: null, bytes: new Uint8Array() })
      try {
        for await (const part of parts) {
          const bytes = new Uint8Array(part)
          draft = await ask('written', 'append', { folder, draft, bytes }, [bytes.buffer])
        }
        await ask('written', 'settle', { folder, draft, sha256 })
      } catch (error) {
        // Where it can't be taken away either, a draft is nobody's object.
        await ask('written', 'abandon', { folder, draft }).catch(() => undefined)
        throw error
      }
    },

    async *readParts(sha256) {
      for (let from = 0; ; ) {
        const bytes = await ask('read', 'part', { folder, sha256, from, length: PART_BYTES })
        if (bytes.length > 0) yield bytes
        if (bytes.length < PART_BYTES) return
        from += bytes.length
      }
    },

    remove: (sha256) => ask('written', 'remove', { folder, sha256 }),
    has: (sha256) => ask('read', 'has', { folder, sha256 }),

    async read(sha256, limit) {
      const { buffer, byteOffset, byteLength } = await ask('read', 'read', { folder, sha256, limit })
      return Buffer.from(buffer, byteOffset, byteLength)
    },
  }
}
