import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { codeOf } from '../error-code.ts'
import { leaveCache } from '../leave-cache.ts'
import { checkReference, isReference, type ListedObject, type StoredObject, type StoreName, YOUNG_MS } from './store.ts'

/*
 * What a store in a folder does with its disk: `<folder>/ab/abcd...`. An object appears whole or not at all: it is written under another name,
 * flushed, renamed, and its folder is flushed too. These calls wait for the disk, so they have threads of their own: see `file-threads.ts`. Done one
 * by one by an event loop, the ten or so of them for an object cost it more than the hashes of a picture. A file is opened and closed within one
 * task: given up half-way, nobody else closes what a thread is still at.
 */

/** Lies in a store's folder: without it the folder is a place where a store should be mounted. */
const MARKER = '.sluice-store'
const SHARD = /^[0-9a-f]{2}$/
const DRAFT = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const MODE = 0o640
const OPEN_AT_ONCE = 64
/** Stores whose objects are read a moment after they were written, by gates. */
const READ_SOON: readonly string[] = ['intake', 'lists'] satisfies StoreName[]

/** What can be asked of a thread, and what it answers. Folders are those of stores. */
export type FileTasks = {
  make: { task: { folder: string }; answer: undefined }
  find: { task: { folder: string }; answer: undefined }
  /** `anew`: also in the place of an object that is there already */
  write: { task: { folder: string; objects: readonly StoredObject[]; anew?: boolean }; answer: undefined }
  read: { task: { folder: string; sha256: string; limit: number }; answer: Uint8Array<ArrayBuffer> }
  /** Adds bytes to what is not an object yet; the first ones where `draft` is null. The answer is what to call it. */
  append: { task: { folder: string; draft: string | null; bytes: Uint8Array }; answer: string }
  /** Makes an object of what was added, which has this sha256. */
  settle: { task: { folder: string; draft: string; sha256: string }; answer: undefined }
  /** Takes away what was added, instead. */
  abandon: { task: { folder: string; draft: string }; answer: undefined }
  /** Some bytes of an object: as many as that where there are. */
  part: {
    task: { folder: string; sha256: string; from: number; length: number; limit: number }
    answer: Uint8Array<ArrayBuffer>
  }
  remove: { task: { folder: string; sha256: string }; answer: undefined }
  removeOld: { task: { folder: string; sha256: string; before: number }; answer: boolean }
  has: { task: { folder: string; sha256: string }; answer: boolean }
  /** Where objects may lie, in the order of their names. */
  shards: { task: { folder: string }; answer: string[] }
  /** The objects of a shard, in the order of their names. */
  list: { task: { folder: string; shard: string }; answer: ListedObject[] }
  drafts: { task: { folder: string }; answer: { draft: string; begunAt: number; bytes: number }[] }
}

/** An object that is being written. */
type Draft = { path: string; file: number }

/** Makes a thread's way to do each task. They throw what the file system says, or a {@link SluiceError} where that is the item's fault. */
export function createFileTasks(): {
  [Name in keyof FileTasks]: (task: FileTasks[Name]['task']) => FileTasks[Name]['answer']
} {
  const shardsMade = new Set<string>()

  /** Drafts of some objects, filled and put in their places; where that fails nothing is left of them. */
  function write(folder: string, objects: readonly StoredObject[], anew: boolean): void {
    const drafts = new Map<string, Draft>()
    try {
      for (const { sha256, bytes } of objects) {
        if (drafts.has(sha256) || (!anew && isKept(pathOf(folder, sha256), bytes.length))) continue
        const draft = begin(folder)
        drafts.set(sha256, draft)
        append(draft, bytes)
      }
      place(folder, drafts, new Set(objects.map(({ sha256 }) => shardOf(folder, sha256))))
    } finally {
      discard(drafts)
    }
  }

  /** Flushes drafts, puts each where its digest says, and flushes the shards. What is placed is no draft any more. */
  function place(folder: string, drafts: Map<string, Draft>, shards: ReadonlySet<string>): void {
    for (const { file } of drafts.values()) {
      fsyncSync(file)
      if (!READ_SOON.includes(basename(folder))) leaveCache(file)
    }
    for (const [sha256, { path }] of drafts) {
      makeShard(folder, shardOf(folder, sha256))
      renameSync(path, pathOf(folder, sha256))
    }
    for (const shard of shards) flush(shard)
    // Had the disk gone meanwhile, these would lie where it was mounted.
    findStore(folder)
    for (const [sha256, { file }] of drafts) {
      drafts.delete(sha256)
      closeSync(file)
    }
  }

  /** Each on its own: what fails with one leaves none of the others open. */
  function discard(drafts: ReadonlyMap<string, Draft>): void {
    if (drafts.size > 0) shardsMade.clear()
    for (const { path, file } of drafts.values()) {
      try {
        closeSync(file)
      } catch {
        // It is closed all the same, and why it was given up is told already.
      }
      try {
        rmSync(path, { force: true })
      } catch {
        // A draft is nobody's object.
      }
    }
  }

  /** Not with its parents: where the store is gone, nothing is made in its place. Whoever has made it may not have flushed it yet. */
  function makeShard(folder: string, shard: string): void {
    if (shardsMade.has(shard)) return
    try {
      mkdirSync(shard)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    flush(folder)
    shardsMade.add(shard)
  }

  return {
    make({ folder }) {
      const first = mkdirSync(folder, { recursive: true })
      for (let made = folder; first !== undefined && made.length >= first.length; made = dirname(made)) {
        flush(dirname(made))
      }
      closeSync(openSync(join(folder, MARKER), 'a', MODE))
      flush(folder)
    },

    find({ folder }) {
      findStore(folder)
    },

    /** Several at once cost hardly more than one: after the first flush of a kind, there is little left to flush. */
    write({ folder, objects, anew = false }) {
      findStore(folder)
      // So many that no process runs out of open files.
      for (let from = 0; from < objects.length; from += OPEN_AT_ONCE) {
        write(folder, objects.slice(from, from + OPEN_AT_ONCE), anew)
      }
    },

    read({ folder, sha256, limit }) {
      const file = openObject(folder, sha256, limit)
      try {
        return readPart(file, fstatSync(file).size)
      } finally {
        closeSync(file)
      }
    },

    append({ folder, draft, bytes }) {
      findStore(folder)
      const path = draft === null ? join(folder, `.${randomUUID()}`) : join(folder, draft)
      const file = openSync(path, draft === null ? 'wx' : 'a', MODE)
      try {
        append({ path, file }, bytes)
        // Now, as all of a large object at its end might take longer than anybody waits.
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      return basename(path)
    },

    settle({ folder, draft, sha256 }) {
      const path = join(folder, draft)
      const drafts = new Map([[sha256, { path, file: openSync(path, constants.O_RDWR | constants.O_NOFOLLOW) }]])
      try {
        place(folder, drafts, new Set([shardOf(folder, sha256)]))
      } finally {
        discard(drafts)
      }
    },

    abandon({ folder, draft }) {
      rmSync(join(folder, draft), { force: true })
    },

    part({ folder, sha256, from, length, limit }) {
      const file = openObject(folder, sha256, limit)
      try {
        // No more room than there is to fill: most objects are far shorter than a part.
        return readPart(file, Math.min(length, Math.max(0, fstatSync(file).size - from)), from)
      } finally {
        closeSync(file)
      }
    },

    remove({ folder, sha256 }) {
      remove(folder, pathOf(folder, sha256))
    },

    removeOld({ folder, sha256, before }) {
      findStore(folder)
      const path = pathOf(folder, sha256)
      const found = lstatSync(path, { throwIfNoEntry: false })
      if (found === undefined || found.mtimeMs >= before) return false
      remove(folder, path)
      return true
    },

    has({ folder, sha256 }) {
      const found = statSync(pathOf(folder, sha256), { throwIfNoEntry: false })
      findStore(folder)
      return found !== undefined
    },

    shards({ folder }) {
      findStore(folder)
      return readdirSync(folder)
        .filter((name) => SHARD.test(name))
        .sort()
    },

    list({ folder, shard }) {
      const names = readdirSync(join(folder, shard)).filter((name) => isReference(name) && name.startsWith(shard))
      const listed = names.sort().flatMap((sha256) => {
        const found = lstatSync(join(folder, shard, sha256), { throwIfNoEntry: false })
        return found?.isFile() ? [{ sha256, bytes: found.size, writtenAt: found.mtimeMs }] : []
      })
      findStore(folder)
      return listed
    },

    drafts({ folder }) {
      findStore(folder)
      return readdirSync(folder)
        .filter((name) => DRAFT.test(name))
        .flatMap((draft) => {
          const found = lstatSync(join(folder, draft), { throwIfNoEntry: false })
          return found?.isFile() ? [{ draft, begunAt: found.mtimeMs, bytes: found.size }] : []
        })
    },
  }
}

/** Whether an object is there already; an old one is young again then. */
function isKept(path: string, length: number): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.size !== length) return false
  const now = Date.now()
  if (found.mtimeMs > now - YOUNG_MS) return true
  try {
    utimesSync(path, now / 1000, now / 1000)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

function remove(folder: string, path: string): void {
  findStore(folder)
  rmSync(path, { force: true })
  if (statSync(dirname(path), { throwIfNoEntry: false }) !== undefined) flush(dirname(path))
  // Had the disk gone meanwhile, the object would still lie on it.
  findStore(folder)
}

function begin(folder: string): Draft {
  const path = join(folder, `.${randomUUID()}`)
  return { path, file: openSync(path, 'wx', MODE) }
}

function append({ file }: Draft, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
}

/** Bytes of a file, as many as that where there are: the next ones, or those from a place on. */
function readPart(file: number, length: number, from: number | null = null): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let filled = 0
  while (filled < length) {
    const count = readSync(file, bytes, filled, length - filled, from === null ? null : from + filled)
    if (count === 0) break
    filled += count
  }
  return filled === length ? bytes : bytes.slice(0, filled)
}

/** An object is a plain file: a link that somebody put there is not followed, a pipe not waited for. */
function openObject(folder: string, sha256: string, limit: number): number {
  const path = pathOf(folder, sha256)
  findStore(folder)
  const file = openPlain(folder, path)
  try {
    const status = fstatSync(file)
    if (!status.isFile()) throw new SluiceError('PAYLOAD_MISSING', 'the reference leads to something that is no file')
    if (status.size <= limit) return file
    throw new SluiceError('PAYLOAD_TOO_LARGE', `the object has ${status.size} bytes, allowed are ${limit}`)
  } catch (error) {
    closeSync(file)
    throw error
  }
}

/** What stands in an object's place when crawlers put something odd there. */
const noObject: readonly unknown[] = ['ENOENT', 'ELOOP', 'ENXIO', 'ENOTDIR', 'EACCES']

/** A missing object (or something odd in its place) is the item's fault; a missing store (an unmounted disk) is not. */
function openPlain(folder: string, path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    if (!noObject.includes(codeOf(cause))) throw cause
    // The disk may have gone since.
    findStore(folder)
    throw new SluiceError('PAYLOAD_MISSING', undefined, { cause })
  }
}

function pathOf(folder: string, sha256: string): string {
  checkReference(sha256)
  return join(folder, sha256.slice(0, 2), sha256)
}

function shardOf(folder: string, sha256: string): string {
  return dirname(pathOf(folder, sha256))
}

/** Neither reading nor writing makes a store: what is not there is a lost disk and not an empty store. */
function findStore(folder: string): void {
  statSync(join(folder, MARKER))
}

function flush(folder: string): void {
  const handle = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
