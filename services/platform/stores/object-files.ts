import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { flushFolder } from '../flush-folder.ts'
import { isReference, type StoredObject } from './store.ts'

/*
 * What a store in a folder does with its disk: `<folder>/ab/abcd...`. An object appears whole or not at all: it is written under another name,
 * flushed, renamed, and its folder is flushed too. These calls wait for the disk, so they have threads of their own: see `file-threads.ts`. Done one
 * by one by an event loop, the ten or so of them for an object cost it more than the hashes of a picture.
 */

/** Lies in a store's folder: without it the folder is a place where a store should be mounted. */
const MARKER = '.sluice-store'
const MODE = 0o640
const OPEN_AT_ONCE = 64

/** An object that is being written. */
export type Draft = { path: string; file: number }

/** What can be asked of a thread, and what it answers. Folders are those of stores; files are open ones, by number. */
export type FileTasks = {
  make: { task: { folder: string }; answer: undefined }
  find: { task: { folder: string }; answer: undefined }
  write: { task: { folder: string; objects: readonly StoredObject[] }; answer: undefined }
  read: { task: { folder: string; sha256: string; limit: number }; answer: Uint8Array<ArrayBuffer> }
  open: { task: { folder: string; sha256: string; limit: number }; answer: { file: number } }
  readPart: { task: { file: number; length: number }; answer: Uint8Array<ArrayBuffer> }
  close: { task: { file: number }; answer: undefined }
  begin: { task: { folder: string }; answer: Draft }
  append: { task: { draft: Draft; bytes: Uint8Array }; answer: undefined }
  place: { task: { folder: string; draft: Draft; sha256: string }; answer: undefined }
  discard: { task: { draft: Draft }; answer: undefined }
}

/** Makes a thread's way to do each task. They throw what the file system says, or a {@link SluiceError} where that is the item's fault. */
export function createFileTasks(): {
  [Name in keyof FileTasks]: (task: FileTasks[Name]['task']) => FileTasks[Name]['answer']
} {
  const shardsMade = new Set<string>()
  const fileTasks: ReturnType<typeof createFileTasks> = {
    make({ folder }) {
      const first = mkdirSync(folder, { recursive: true })
      for (let made = folder; first !== undefined && made.length >= first.length; made = dirname(made)) {
        flushFolder(dirname(made))
      }
      closeSync(openSync(join(folder, MARKER), 'a', MODE))
      flushFolder(folder)
    },

    find({ folder }) {
      findStore(folder)
    },

    /** Several at once cost hardly more than one: after the first flush of a kind, there is little left to flush. */
    write({ folder, objects }) {
      findStore(folder)
      for (const some of groups(objects)) {
        const drafts = new Map<string, Draft>()
        try {
          for (const { sha256, bytes } of some) {
            const size = statSync(pathOf(folder, sha256), { throwIfNoEntry: false })?.size
            if (size === bytes.length || drafts.has(sha256)) continue
            const draft = fileTasks.begin({ folder })
            drafts.set(sha256, draft)
            fileTasks.append({ draft, bytes })
          }
          place(folder, drafts, new Set(some.map(({ sha256 }) => shardOf(folder, sha256))))
        } catch (error) {
          for (const draft of drafts.values()) fileTasks.discard({ draft })
          throw error
        }
      }
    },

    read(task) {
      const { file } = fileTasks.open(task)
      try {
        return fileTasks.readPart({ file, length: fstatSync(file).size })
      } finally {
        closeSync(file)
      }
    },

    /** An object is a plain file: a link that somebody put there is not followed, a pipe not waited for. */
    open({ folder, sha256, limit }) {
      const path = pathOf(folder, sha256)
      findStore(folder)
      const file = openObject(folder, path)
      const status = fstatSync(file)
      if (status.isFile() && status.size <= limit) return { file }
      closeSync(file)
      if (status.isFile()) {
        throw new SluiceError('PAYLOAD_TOO_LARGE', `the object has ${status.size} bytes, allowed are ${limit}`)
      }
      throw new SluiceError('PAYLOAD_MISSING', 'the reference leads to something that is no file')
    },

    readPart({ file, length }) {
      const bytes = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const count = readSync(file, bytes, filled, length - filled, null)
        if (count === 0) break
        filled += count
      }
      return filled === length ? bytes : bytes.slice(0, filled)
    },

    close({ file }) {
      closeSync(file)
    },

    begin({ folder }) {
      findStore(folder)
      const path = join(folder, `.${randomUUID()}`)
      return { path, file: openSync(path, 'wx', MODE) }
    },

    append({ draft, bytes }) {
      for (let written = 0; written < bytes.length; ) written += writeSync(draft.file, bytes, written)
    },

    place({ folder, draft, sha256 }) {
      try {
        place(folder, new Map([[sha256, draft]]), new Set([shardOf(folder, sha256)]))
      } catch (error) {
        fileTasks.discard({ draft })
        throw error
      }
    },

    discard({ draft }) {
      shardsMade.clear()
      closeSync(draft.file)
      rmSync(draft.path, { force: true })
    },
  }

  /** Flushes drafts, puts each where its digest says, and flushes the shards. The drafts stay open until all of that is done. */
  function place(folder: string, drafts: ReadonlyMap<string, Draft>, shards: ReadonlySet<string>): void {
    for (const { file } of drafts.values()) fsyncSync(file)
    for (const [sha256, { path }] of drafts) {
      makeShard(folder, shardOf(folder, sha256))
      renameSync(path, pathOf(folder, sha256))
    }
    for (const shard of shards) flushFolder(shard)
    // Had the disk gone meanwhile, these would lie where it was mounted.
    findStore(folder)
    for (const { file } of drafts.values()) closeSync(file)
  }

  /** Not with its parents: where the store is gone, nothing is made in its place. Whoever has made it may not have flushed it yet. */
  function makeShard(folder: string, shard: string): void {
    if (shardsMade.has(shard)) return
    try {
      mkdirSync(shard)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    flushFolder(folder)
    shardsMade.add(shard)
  }

  return fileTasks
}

/** So many that no process runs out of open files. */
function* groups(objects: readonly StoredObject[]): Generator<readonly StoredObject[]> {
  for (let from = 0; from < objects.length; from += OPEN_AT_ONCE) yield objects.slice(from, from + OPEN_AT_ONCE)
}

function pathOf(folder: string, sha256: string): string {
  if (!isReference(sha256)) throw new SluiceError('REFERENCE_INVALID')
  return join(folder, sha256.slice(0, 2), sha256)
}

function shardOf(folder: string, sha256: string): string {
  return dirname(pathOf(folder, sha256))
}

/** Neither reading nor writing makes a store: what is not there is a lost disk and not an empty store. */
function findStore(folder: string): void {
  statSync(join(folder, MARKER))
}

/** What stands in an object's place when crawlers put something odd there. */
const noObject: readonly unknown[] = ['ENOENT', 'ELOOP', 'ENXIO', 'ENOTDIR', 'EACCES']

/** A missing object (or something odd in its place) is the item's fault; a missing store (an unmounted disk) is not. */
function openObject(folder: string, path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    if (!noObject.includes(codeOf(cause))) throw cause
    // The disk may have gone since.
    findStore(folder)
    throw new SluiceError('PAYLOAD_MISSING', undefined, { cause })
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
