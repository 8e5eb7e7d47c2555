import { createHash, type Hash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { ENGINE_VERSION } from '../domain/engine.ts'
import type { SavedLists } from '../domain/hash-list-state.ts'
import { PACKED_LAYOUT, PackedEntries } from '../domain/packed-entries.ts'
import { codeOf } from '../platform/error-code.ts'
import type { ReadMark } from '../platform/kafka/follow-topic.ts'

/*
 * A file: a line that names its form, the length of the header, the header as JSON, the bytes of every list's chunks, then of its places, and the
 * sha256 of all that.
 */
const FORM = 'sluice lists snapshot 2\n'
/** Places are written as they lie in memory. */
const LAYOUT = `${PACKED_LAYOUT}/${endianness()}`
const HEADER_AT = FORM.length + 4
const MOST_HEADER_BYTES = 67_108_864
const DIGEST_BYTES = 32
/** Read or written at once. */
const STEP_BYTES = 4_194_304
/** A draft that nobody has finished by then is what a gate left that was ended. */
const DRAFT_MS = 3_600_000

const count = z.number().int().nonnegative()
const places = z.strictObject({
  /** which of the list's chunks are its own, by number */
  chunks: z.array(count),
  places: count,
})
const headerSchema = z.strictObject({
  engine: z.literal(ENGINE_VERSION),
  layout: z.literal(LAYOUT),
  cluster: z.string(),
  topic: z.string(),
  mark: z.strictObject({ low: count, offset: count, digest: z.string() }),
  malformed: count,
  lists: z.array(
    z.strictObject({
      list: z.string(),
      newestVersion: z.string().nullable(),
      manifestAt: z.number().int(),
      broken: z.strictObject({ version: z.string(), expected: count, found: count }).nullable(),
      changing: z.boolean(),
      inForce: z
        .strictObject({
          version: z.string(),
          digest: z.string(),
          checkedAt: z.number(),
          shadowed: z.array(z.string()),
          chunks: z.array(count),
          /** null: those collected */
          places: count.nullable(),
        })
        .nullable(),
      collected: places.extend({ superseded: count }),
      /** every chunk, once: its length in memory, and how much of it is there */
      chunks: z.array(z.strictObject({ bytes: count, used: count })),
    }),
  ),
})
type Header = z.infer<typeof headerSchema>
type ListHeader = Header['lists'][number]

/** All that is known of the hash lists, up to a record of their topic. */
export type ListsSnapshot = { cluster: string; topic: string; mark: ReadMark; lists: SavedLists }

/**
 * Writes a snapshot in the place of the one before: whole or not at all, and for nobody else to read. Nothing of it is copied: it is
 * written from where it lies in memory.
 * @param folder is made where there is none
 * @returns its length in bytes
 * @throws {Error} what the operating system says
 */
export async function writeSnapshot(folder: string, snapshot: ListsSnapshot): Promise<number> {
  const { header, parts } = laidOut(snapshot)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = pathOf(folder, snapshot.topic)
  await removeDrafts(folder, snapshot.topic)
  const draft = `${path}.${randomUUID()}.draft`
  try {
    const file = await open(draft, 'wx', 0o600)
    let bytes = 0
    try {
      const hash = createHash('sha256')
      const json = Buffer.from(JSON.stringify(header))
      const length = Buffer.alloc(4)
      length.writeUInt32LE(json.length)
      for (const step of [Buffer.from(FORM), length, json, ...parts].flatMap(inSteps)) {
        hash.update(step)
        await file.writeFile(step)
        bytes += step.length
      }
      await file.writeFile(hash.digest())
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    await flush(folder)
    return bytes + DIGEST_BYTES
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** Not at once: this thread has more to do than to wait for a disk. */
async function flush(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Reads a topic's snapshot. That it is whole and our own is known then; whether it is still true is not.
 * @returns null where there is none; `why` where there is something that can't be used
 */
export async function readSnapshot(
  folder: string,
  topic: string,
): Promise<{ snapshot: ListsSnapshot } | { why: string } | null> {
  const path = pathOf(folder, topic)
  try {
    // A link that somebody put there is not followed, a pipe not waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const status = await file.stat()
      if (!status.isFile() || status.uid !== process.getuid?.() || (status.mode & 0o077) !== 0) {
        return { why: 'it is not a file that only this user can write and read' }
      }
      const snapshot = await readWhole(file, status.size)
      if (typeof snapshot === 'string') return { why: snapshot }
      return snapshot.topic === topic ? { snapshot } : { why: 'it is of another topic' }
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    if (code === null && !(error instanceof RangeError)) throw error
    return { why: `it can't be read: ${code ?? 'there is not enough memory'}` }
  }
}

/** Removes a topic's snapshot, if there is one. @throws {Error} what the operating system says */
export async function removeSnapshot(folder: string, topic: string): Promise<void> {
  await rm(pathOf(folder, topic), { force: true })
}

function pathOf(folder: string, topic: string): string {
  return join(folder, `${topic}.snapshot`)
}

async function removeDrafts(folder: string, topic: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${topic}.snapshot.`) || !name.endsWith('.draft')) continue
    const draft = join(folder, name)
    const found = await stat(draft).catch(() => null)
    if (found !== null && Date.now() - found.mtimeMs > DRAFT_MS) await rm(draft, { force: true })
  }
}

function laidOut({ lists: { malformed, lists }, ...origin }: ListsSnapshot): { header: Header; parts: Buffer[] } {
  const [chunkParts, placeParts]: [Buffer[], Buffer[]] = [[], []]
  const headers = lists.map(({ collected, inForce, ...state }): ListHeader => {
    const chunks: ListHeader['chunks'] = []
    const numbers = new Map<ArrayBufferLike, number>()
    /** Numbers of chunks that are written, each once. @param used bytes of the last one */
    function numbered(own: readonly Buffer[], used: number): number[] {
      return own.map((chunk, at) => {
        const known = numbers.get(chunk.buffer)
        if (known !== undefined) return known
        const length = at === own.length - 1 ? used : chunk.length
        chunkParts.push(chunk.subarray(0, length))
        numbers.set(chunk.buffer, chunks.length)
        return chunks.push({ bytes: chunk.length, used: length }) - 1
      })
    }
    function written(places: Uint32Array): number {
      placeParts.push(Buffer.from(places.buffer, places.byteOffset, places.byteLength))
      return places.length
    }
    const { places, superseded } = collected
    const ofCollected = { chunks: numbered(collected.chunks, collected.used), places: written(places), superseded }
    if (inForce === null) return { ...state, inForce, chunks, collected: ofCollected }
    const { version, digest, checkedAt, entries } = inForce
    const shadowed = [...inForce.shadowed]
    const own = entries.places
    const ofVersion = {
      // Where it is not one of those collected, nothing is written to it any more.
      chunks: numbered(own.chunks, own.chunks.at(-1)?.length ?? 0),
      places: own.places === places ? null : written(own.places),
    }
    return { ...state, inForce: { version, digest, checkedAt, shadowed, ...ofVersion }, chunks, collected: ofCollected }
  })
  const header: Header = { engine: ENGINE_VERSION, layout: LAYOUT, ...origin, malformed, lists: headers }
  return { header, parts: [...chunkParts, ...placeParts] }
}

function inSteps(bytes: Buffer): Buffer[] {
  const steps: Buffer[] = []
  for (let at = 0; at < bytes.length; at += STEP_BYTES) steps.push(bytes.subarray(at, at + STEP_BYTES))
  return steps
}

/** @returns a sentence where it is not whole, or not of this form */
async function readWhole(file: FileHandle, size: number): Promise<ListsSnapshot | string> {
  const damaged = 'it is cut short or damaged'
  const hash = createHash('sha256')
  const begin = await readExactly(file, Buffer.alloc(Math.min(size, HEADER_AT)), hash)
  if (begin?.length !== HEADER_AT) return damaged
  if (begin.toString('latin1', 0, FORM.length) !== FORM) return 'it is of another form'
  const headerBytes = begin.readUInt32LE(FORM.length)
  if (headerBytes > Math.min(size, MOST_HEADER_BYTES)) return damaged
  const json = await readExactly(file, Buffer.alloc(headerBytes), hash)
  const header = headerSchema.safeParse(json && parsed(json))
  if (!header.success) return 'it is of another version, or damaged'
  if (size !== HEADER_AT + headerBytes + lengthOf(header.data) + DIGEST_BYTES) return damaged

  const chunks: Buffer[][] = []
  for (const list of header.data.lists) {
    const own = list.chunks.map(({ bytes }) => Buffer.from(new SharedArrayBuffer(bytes)))
    for (const [at, { used }] of list.chunks.entries()) {
      if ((await readExactly(file, own[at]?.subarray(0, used), hash)) === null) return damaged
    }
    chunks.push(own)
  }
  const lists: SavedLists['lists'] = []
  for (const [at, list] of header.data.lists.entries()) {
    const read = async (length: number): Promise<Uint32Array | null> => {
      const found = new Uint32Array(new SharedArrayBuffer(length * Uint32Array.BYTES_PER_ELEMENT))
      return (await readExactly(file, Buffer.from(found.buffer), hash)) && found
    }
    const collected = await read(list.collected.places)
    const ofVersion = typeof list.inForce?.places === 'number' ? await read(list.inForce.places) : collected
    if (collected === null || ofVersion === null) return damaged
    lists.push(savedList(list, chunks[at] ?? [], collected, ofVersion))
  }
  const digest = await readExactly(file, Buffer.alloc(DIGEST_BYTES))
  if (digest === null || !hash.digest().equals(digest)) return damaged
  const { cluster, topic, mark, malformed } = header.data
  return { cluster, topic, mark, lists: { malformed, lists } }
}

function lengthOf({ lists }: Header): number {
  let length = 0
  for (const { chunks, collected, inForce } of lists) {
    for (const { used } of chunks) length += used
    length += (collected.places + (inForce?.places ?? 0)) * Uint32Array.BYTES_PER_ELEMENT
  }
  return length
}

function savedList(
  { inForce, collected, chunks, ...state }: ListHeader,
  all: readonly Buffer[],
  placesCollected: Uint32Array,
  placesInForce: Uint32Array,
): SavedLists['lists'][number] {
  const own = (numbers: readonly number[]): Buffer[] => numbers.flatMap((number) => all[number] ?? [])
  const { list } = state
  return {
    ...state,
    inForce: inForce && {
      list,
      version: inForce.version,
      digest: inForce.digest,
      checkedAt: inForce.checkedAt,
      shadowed: inForce.shadowed,
      entries: new PackedEntries({ list, chunks: own(inForce.chunks), places: placesInForce }),
    },
    collected: {
      chunks: own(collected.chunks),
      used: chunks[collected.chunks.at(-1) ?? -1]?.used ?? 0,
      places: placesCollected,
      superseded: collected.superseded,
    },
  }
}

function parsed(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString('utf8'))
  } catch {
    return null
  }
}

/** Fills `target`. @returns null where the file ends before that */
async function readExactly(file: FileHandle, target: Buffer | undefined, hash?: Hash): Promise<Buffer | null> {
  if (target === undefined) return null
  for (const step of inSteps(target)) {
    for (let at = 0; at < step.length; ) {
      const { bytesRead } = await file.read(step, at, step.length - at)
      if (bytesRead === 0) return null
      at += bytesRead
    }
    hash?.update(step)
  }
  return target
}
