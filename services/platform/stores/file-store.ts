import { createHash, hash } from 'node:crypto'
import { join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { createFileThreads, type FileThreads } from './file-threads.ts'
import { hashed } from './hashed.ts'
import type { FileTasks } from './object-files.ts'
import { checkReference, type Store, type StoredObject, type StoreName } from './store.ts'

/** Of a large object, read at a time. */
const PART_BYTES = 4_194_304
/** No pool for small buffers, of the runtime or of a library, is longer, in bytes. */
const LONGEST_POOL = 65_536
/** So many calls may wait for a slow disk at the same time. */
const THREADS = 4

/**
 * A store in a folder; `object-files.ts` says how objects lie there.
 * @param root folder that holds the stores
 * @param threads of its own, which wait for its disk
 */
export function createFileStore(
  root: string,
  name: StoreName,
  threads: FileThreads = createFileThreads({ most: THREADS }),
): Store {
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

  async function writeAll(objects: readonly StoredObject[], areGiven = false): Promise<void> {
    const own = objects.map(({ sha256, bytes }) => ({ sha256, bytes: areGiven ? ownOrCopied(bytes) : copied(bytes) }))
    await ask('written', 'write', { folder, objects: own }, [...new Set(own.map(({ bytes }) => bytes.buffer))])
  }

  /**
   * One call for each part: for a large object as a whole a slow disk would need longer than anybody waits.
   * @param wanted the sha256 that they shall have; null: whichever they have @returns it
   */
  async function writeParts(
    parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    wanted: string | null,
  ): Promise<string> {
    const digest = createHash('sha256')
    let draft = await ask('written', 'append', { folder, draft: null, bytes: new Uint8Array() })
    try {
      for await (const part of hashed(parts, digest)) {
        const bytes = new Uint8Array(part)
        draft = await ask('written', 'append', { folder, draft, bytes }, [bytes.buffer])
      }
      const sha256 = digest.digest('hex')
      if (wanted !== null && wanted !== sha256) {
        throw new SluiceError('DIGEST_MISMATCH', 'the parts do not make what they should')
      }
      await ask('written', 'settle', { folder, draft, sha256 })
      return sha256
    } catch (error) {
      // Where it can't be taken away either, a draft is nobody's object.
      await ask('written', 'abandon', { folder, draft }).catch(() => undefined)
      throw error
    }
  }

  const store: Store = {
    name,
    make: () => ask('made', 'make', { folder }),
    find: () => ask('read', 'find', { folder }),
    write: (sha256, bytes) => writeAll([{ sha256, bytes }]),
    writeAll,
    async writeParts(sha256, parts) {
      checkReference(sha256)
      await writeParts(parts, sha256)
    },

    async copy(from, sha256, limit) {
      const parts = from.readParts(sha256, limit)
      const begin = [await parts.next(), await parts.next()].flatMap(({ value }) => (value ? [value] : []))
      if (begin.length > 1) return await writeParts(followedBy(begin, parts), null)
      const own = ownOrCopied(begin[0] ?? new Uint8Array())
      const found = hash('sha256', own)
      // What lies there already is not trusted for its name and length: these bytes may be taken away where they came from.
      const objects = [{ sha256: found, bytes: own }]
      await ask('written', 'write', { folder, objects, anew: true }, [own.buffer])
      return found
    },

    async *readParts(sha256, limit = Number.POSITIVE_INFINITY) {
      for (let from = 0; ; ) {
        const bytes = await ask('read', 'part', { folder, sha256, from, length: PART_BYTES, limit })
        if (bytes.length > 0) yield bytes
        if (bytes.length < PART_BYTES) return
        from += bytes.length
      }
    },

    remove: (sha256) => ask('written', 'remove', { folder, sha256 }),
    removeOld: (sha256, before) => ask('written', 'removeOld', { folder, sha256, before }),
    has: (sha256) => ask('read', 'has', { folder, sha256 }),

    async read(sha256, limit) {
      const { buffer, byteOffset, byteLength } = await ask('read', 'read', { folder, sha256, limit })
      return Buffer.from(buffer, byteOffset, byteLength)
    },

    async *list() {
      for (const shard of await ask('read', 'shards', { folder })) yield await ask('read', 'list', { folder, shard })
    },

    async *drafts() {
      const drafts = await ask('read', 'drafts', { folder })
      yield drafts.map(({ draft, ...told }) => ({
        ...told,
        abandon: () => ask('written', 'abandon', { folder, draft }),
      }))
    },
  }
  return store
}

async function* followedBy(begin: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* begin
  yield* rest
}

function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}

/**
 * The same bytes, copied where they are a part of something, all of which would go, or are so few that they may be all of a pool, which its owner would
 * miss (avsc's has 4096 bytes).
 * @throws {TypeError} where they are gone already
 */
function ownOrCopied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && buffer.detached) throw new TypeError('bytes were given away twice')
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength
  return isWhole && bytes.byteLength > LONGEST_POOL ? new Uint8Array(buffer) : copied(bytes)
}
