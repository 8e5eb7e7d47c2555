import { createHash, randomInt } from 'node:crypto'
import { entryText, sortedOpinions } from './hash-list.ts'
import type { HashListEntry, KnownHash, Opinion } from './records.ts'
import { opinions, type Standing, standingOf } from './standing.ts'

/*
 * Ten million entries are too many to be objects. Packed, an entry is a run of bytes: id, classification, signals, and opinions where there are any
 * or it is withdrawn; each text and hash behind its length, a varint (of the classification one more than its length, 0 where there is none).
 * A number of signals is doubled, one more where opinions follow; so is that of opinions, one more where the entry is withdrawn. Of an opinion the
 * number of its word (from 1; 0 where the word itself follows) and the member. Such runs are only ever added to chunks of shared memory and
 * never changed, so that a version that is in force is no more than the list of the places of its entries.
 */

/** A place is a number of units from the beginning of the first chunk, as if all chunks were of this many units. */
const UNIT = 4
const CHUNK_BITS = 24
const CHUNK_UNITS = 2 ** CHUNK_BITS
const MOST_CHUNKS = 2 ** (32 - CHUNK_BITS)
/** Names what chunks and places mean, for whoever keeps them: the first number changes with the form of an entry. */
export const PACKED_LAYOUT = `2/${UNIT}/${CHUNK_BITS}`
/** Small lists are many, large ones are few. */
const FIRST_CHUNK_BYTES = 65_536

/** Of a table of places: no entry there; never was a place, because the first unit is left out. */
const EMPTY = 0
/** Of a table of places: there was an entry, look further. */
const GONE = 0xffffffff
const FIRST_SLOTS = 64
/** Slots in use of all, at most. */
const FULLEST = 0.7
/** Fewer that nobody needs any more are not worth the copying. */
const LEAST_SUPERSEDED = 10_000
const SEED = randomInt(2 ** 32)

const DIGEST_BYTES = 1_048_576
/** Runs up to this length are sorted one by one. */
const SHORT_RUN = 24
const opinionWords: readonly string[] = opinions
const HEX = Buffer.from('0123456789abcdef')

/** Entries as they may be handed to another thread; see {@link PackedEntries}. */
export type EntryPlaces = {
  list: string
  chunks: readonly Buffer[]
  /** in shared memory */
  places: Uint32Array
}

/** All that a {@link PackedList} consists of at one moment: it can be opened again from this. */
export type SavedEntries = {
  /** whole; of the last one only `used` bytes count */
  chunks: readonly Buffer[]
  used: number
  places: Uint32Array
  /** entries in the chunks that are no longer of the list */
  superseded: number
}

/** A list's entries at one moment, packed; in no particular order. Never changes. */
export class PackedEntries {
  readonly length: number
  readonly places: EntryPlaces

  /** @param places of a thread's own, or handed over by another */
  constructor(places: EntryPlaces) {
    this.places = { ...places, chunks: places.chunks.map(asBuffer) }
    this.length = places.places.length
  }

  /** The entry at this place in the order, from 0; a new object each time. */
  at(index: number): HashListEntry | undefined {
    const place = this.places.places[index]
    return place === undefined ? undefined : decode(this.places.list, chunkOf(this.places.chunks, place), byteOf(place))
  }

  *[Symbol.iterator](): Generator<HashListEntry> {
    const { list, chunks, places } = this.places
    for (const place of places) yield decode(list, chunkOf(chunks, place), byteOf(place))
  }

  /** Those at these places in the order. */
  some(indices: readonly number[]): PackedEntries {
    const { list, chunks } = this.places
    const places = new Uint32Array(new SharedArrayBuffer(indices.length * Uint32Array.BYTES_PER_ELEMENT))
    for (const [at, index] of indices.entries()) places[at] = this.places.places[index] ?? EMPTY
    return new PackedEntries({ list, chunks, places })
  }

  /** Whether an entry is that of other entries, to the byte. */
  isSame(index: number, other: PackedEntries, otherIndex: number): boolean {
    const [place, otherPlace] = [this.places.places[index], other.places.places[otherIndex]]
    if (place === undefined || otherPlace === undefined) return false
    const chunk = chunkOf(this.places.chunks, place)
    const [from, to] = [byteOf(place), endOf(chunk, byteOf(place))]
    const otherChunk = chunkOf(other.places.chunks, otherPlace)
    const otherFrom = byteOf(otherPlace)
    for (let at = 0; at < to - from; at++) if (chunk[from + at] !== otherChunk[otherFrom + at]) return false
    return true
  }

  /**
   * Tells all hashes, entry by entry, without an object each.
   * @param tell gets the entry's number in the order, and the hash as bytes `from` to `to` of `chunk`
   */
  eachHash(tell: (index: number, signal: string, chunk: Buffer, from: number, to: number) => void): void {
    const { chunks, places } = this.places
    const names: Array<{ name: string; bytes: Buffer }> = []
    const nameAt = (chunk: Buffer, from: number, to: number): string => {
      for (const { name, bytes } of names) if (isText(chunk, from, to, bytes)) return name
      const name = chunk.toString('utf8', from, to)
      if (names.length < 8) names.push({ name, bytes: Buffer.from(name) })
      return name
    }
    const cursor = new Cursor()
    for (let index = 0; index < places.length; index++) {
      const place = places[index] ?? EMPTY
      const chunk = chunkOf(chunks, place)
      cursor.set(chunk, byteOf(place))
      cursor.skip(cursor.number())
      cursor.skip(Math.max(0, cursor.number() - 1))
      for (let count = half(cursor.number()); count > 0; count--) {
        const nameFrom = cursor.skip(cursor.number())
        const name = nameAt(chunk, nameFrom, cursor.at)
        const from = cursor.skip(cursor.number())
        tell(index, name, chunk, from, cursor.at)
      }
    }
  }

  /** How many entries there are of each standing. */
  standings(): Record<Standing, number> {
    const counts = { positive: 0, disputed: 0, seed: 0, negative: 0, withdrawn: 0 }
    for (const place of this.places.places) {
      counts[standingOf(readOpinions(atOpinions(chunkOf(this.places.chunks, place), byteOf(place))))] += 1
    }
    return counts
  }

  /** The same entries in the order of their ids, by UTF-16 code unit; some seconds for ten million. */
  byId(): PackedEntries {
    const { list, chunks } = this.places
    const places = this.places.places.slice()
    sortById(places, chunks)
    return new PackedEntries({ list, chunks, places })
  }

  /** What `listDigest` says of these entries; some seconds for ten million. */
  digest(): string {
    const { list, chunks, places } = this.byId().places
    const hash = createHash('sha256')
    const text = Buffer.alloc(DIGEST_BYTES)
    let end = 0
    for (const place of places) {
      const chunk = chunkOf(chunks, place)
      if (end > DIGEST_BYTES / 2) {
        hash.update(text.subarray(0, end))
        end = 0
      }
      const written = writeEntryText(text, end, chunk, byteOf(place))
      if (written > 0) end = written
      else {
        hash.update(text.subarray(0, end))
        hash.update(`${entryText(decode(list, chunk, byteOf(place)))}\n`)
        end = 0
      }
    }
    return hash.update(text.subarray(0, end)).digest('hex')
  }
}

/** Entries packed that are an array; of several with one id the last. */
export function packEntries(list: string, entries: Iterable<HashListEntry>): PackedEntries {
  const packed = new PackedList(list)
  for (const entry of entries) packed.put(entry)
  return packed.snapshot()
}

/** A list's entries by id, packed: some 16 bytes an entry and those of its text and hashes. Ids and texts are well-formed Unicode. */
export class PackedList {
  readonly list: string
  /** number of entries */
  size = 0
  #arena = new Arena()
  /** places by id: an open hash table, at most FULLEST full */
  #table = new Uint32Array(FIRST_SLOTS)
  /** slots that are not EMPTY */
  #taken = 0
  /** entries in the arena that are no longer of the list */
  #superseded = 0

  /**
   * @param saved to go on from; its chunks are written to
   * @throws {RangeError} where a place is none of its chunks'
   */
  constructor(list: string, saved?: SavedEntries) {
    this.list = list
    if (saved === undefined) return
    const { chunks, used, places, superseded } = saved
    this.#arena = new Arena([...chunks], used)
    this.#superseded = superseded
    this.#taken = this.size = places.length
    let slots = FIRST_SLOTS
    while (places.length > slots * FULLEST) slots *= 2
    this.#table = new Uint32Array(slots)
    for (const place of places) {
      if (!this.#arena.has(place)) throw new RangeError('no such place among the entries')
      this.#add(place)
    }
  }

  /** What it holds now, to be opened again. @param places where its entries are, if that is known; what comes later does not change it */
  save(places = this.snapshot().places.places): SavedEntries {
    return { chunks: [...this.#arena.chunks], used: this.#arena.used, places, superseded: this.#superseded }
  }

  /** Adds an entry, or puts it in the place of the one with its id. */
  put(entry: HashListEntry): void {
    const place = this.#arena.write(entry)
    const slot = this.#slotOf(place)
    this.#arena.keep()
    if (this.#table[slot] === EMPTY) {
      this.#taken += 1
      this.size += 1
    } else this.#superseded += 1
    this.#table[slot] = place
    this.#tidy()
  }

  /** @returns whether it was there */
  delete(id: string): boolean {
    const slot = this.#slotOf(this.#arena.writeId(id))
    if (this.#table[slot] === EMPTY) return false
    this.#table[slot] = GONE
    this.size -= 1
    this.#superseded += 1
    this.#tidy()
    return true
  }

  get(id: string): HashListEntry | undefined {
    const place = this.#table[this.#slotOf(this.#arena.writeId(id))] ?? EMPTY
    if (place === EMPTY) return undefined
    return decode(this.list, chunkOf(this.#arena.chunks, place), byteOf(place))
  }

  has(id: string): boolean {
    return this.#table[this.#slotOf(this.#arena.writeId(id))] !== EMPTY
  }

  /** What it holds now, in the order in which it lies in memory; what comes later does not change it. */
  snapshot(): PackedEntries {
    const places = new Uint32Array(new SharedArrayBuffer(this.size * Uint32Array.BYTES_PER_ELEMENT))
    let count = 0
    for (const place of this.#table) if (place !== EMPTY && place !== GONE) places[count++] = place
    return new PackedEntries({ list: this.list, chunks: [...this.#arena.chunks], places: places.sort() })
  }

  /** The slot of the entry with the id of that at this place, or the empty one where it belongs. */
  #slotOf(place: number): number {
    const { chunks } = this.#arena
    const table = this.#table
    const mask = table.length - 1
    const chunk = chunkOf(chunks, place)
    let slot = hashOfId(chunk, byteOf(place)) & mask
    for (let other = table[slot] ?? EMPTY; other !== EMPTY; other = table[slot] ?? EMPTY) {
      if (other !== GONE && isSameId(chunk, byteOf(place), chunkOf(chunks, other), byteOf(other))) break
      slot = (slot + 1) & mask
    }
    return slot
  }

  #tidy(): void {
    if (this.#superseded > Math.max(this.size, LEAST_SUPERSEDED)) this.#compact()
    else if (this.#taken > this.#table.length * FULLEST) this.#grow()
  }

  /** A larger table, without the slots of what is gone. */
  #grow(): void {
    const old = this.#table
    this.#table = new Uint32Array(this.size > (old.length * FULLEST) / 2 ? old.length * 2 : old.length)
    this.#taken = this.size
    for (const place of old) if (place !== EMPTY && place !== GONE) this.#add(place)
  }

  /** Puts the place of an entry that is not in it yet into a table that has room. */
  #add(place: number): void {
    const table = this.#table
    const mask = table.length - 1
    let slot = hashOfId(chunkOf(this.#arena.chunks, place), byteOf(place)) & mask
    while (table[slot] !== EMPTY) slot = (slot + 1) & mask
    table[slot] = place
  }

  /** Writes what is still of the list anew; a version in force keeps what it has. */
  #compact(): void {
    const old = this.#arena
    this.#arena = new Arena()
    const table = this.#table
    for (let slot = 0; slot < table.length; slot++) {
      const place = table[slot] ?? EMPTY
      if (place !== EMPTY && place !== GONE) table[slot] = this.#arena.copy(chunkOf(old.chunks, place), byteOf(place))
    }
    this.#superseded = 0
  }
}

/** Chunks of shared memory that entries are written to, one behind the other. */
class Arena {
  readonly chunks: Buffer[]
  #at: number
  #end = 0

  /** @param used bytes of the last chunk */
  constructor(chunks: Buffer[] = [], used = 0) {
    this.chunks = chunks
    this.#at = used
  }

  /** Bytes of the last chunk that are written, and will not change any more. */
  get used(): number {
    return this.#at
  }

  /** Whether an entry may begin at this place. */
  has(place: number): boolean {
    const number = place >>> CHUNK_BITS
    const isLast = number === this.chunks.length - 1
    return place !== EMPTY && byteOf(place) < (isLast ? this.#at : (this.chunks[number]?.length ?? 0))
  }

  /** Writes an entry where the next one belongs: it is there to stay only after {@link keep}. @returns its place */
  write({ id, classification, signals, opinions, withdrawn }: HashListEntry): number {
    let most = textRoom(id) + textRoom(classification ?? '') + 10
    for (const { signal, value } of signals) most += textRoom(signal) + value.length + 5
    for (const { member, opinion } of opinions) most += textRoom(member) + textRoom(opinion) + 5
    const hasOpinions = opinions.length > 0 || withdrawn
    const chunk = this.#room(most)
    let at = writeText(chunk, this.#at, id, 0)
    at = classification === null ? writeNumber(chunk, at, 0) : writeText(chunk, at, classification, 1)
    at = writeNumber(chunk, at, 2 * signals.length + Number(hasOpinions))
    for (const { signal, value } of signals) {
      at = writeNumber(chunk, writeText(chunk, at, signal, 0), value.length)
      chunk.set(value, at)
      at += value.length
    }
    if (!hasOpinions) return this.#written(at)
    at = writeNumber(chunk, at, 2 * opinions.length + Number(withdrawn))
    for (const { member, opinion } of sortedOpinions(opinions)) {
      const word = opinionWords.indexOf(opinion) + 1
      at = writeNumber(chunk, at, word)
      if (word === 0) at = writeText(chunk, at, opinion, 0)
      at = writeText(chunk, at, member, 0)
    }
    return this.#written(at)
  }

  /** Writes an id alone, to look for it. @returns its place */
  writeId(id: string): number {
    const chunk = this.#room(textRoom(id))
    return this.#written(writeText(chunk, this.#at, id, 0))
  }

  /** Writes an entry of another arena. @returns its place */
  copy(from: Buffer, start: number): number {
    const end = endOf(from, start)
    const chunk = this.#room(end - start)
    from.copy(chunk, this.#at, start, end)
    const place = this.#written(this.#at + end - start)
    this.keep()
    return place
  }

  /** What was written last stays. */
  keep(): void {
    this.#at = this.#end
  }

  #written(end: number): number {
    this.#end = Math.ceil(end / UNIT) * UNIT
    return (this.chunks.length - 1) * CHUNK_UNITS + this.#at / UNIT
  }

  /** The chunk to write so many bytes to, at `#at`. */
  #room(bytes: number): Buffer {
    const last = this.chunks.at(-1)
    if (last !== undefined && last.length - this.#at >= bytes + UNIT) return last
    const largest = CHUNK_UNITS * UNIT
    if (bytes > largest - 2 * UNIT || this.chunks.length === MOST_CHUNKS)
      throw new RangeError('the entries are too large')
    const size = Math.min(largest, Math.max(2 * (last?.length ?? FIRST_CHUNK_BYTES / 2), 2 * bytes + 2 * UNIT))
    const chunk = Buffer.from(new SharedArrayBuffer(size))
    this.chunks.push(chunk)
    this.#at = UNIT
    return chunk
  }
}

/** Reads the packed form. */
class Cursor {
  at = 0
  #chunk: Buffer = Buffer.alloc(0)

  set(chunk: Buffer, at: number): void {
    this.#chunk = chunk
    this.at = at
  }

  number(): number {
    let byte = this.#chunk[this.at++] ?? 0
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
      byte = this.#chunk[this.at++] ?? 0
      value += (byte & 0x7f) * scale
    }
    return value
  }

  /** @returns where it was */
  skip(bytes: number): number {
    const from = this.at
    this.at += bytes
    return from
  }

  text(bytes: number): string {
    const from = this.skip(bytes)
    return this.#chunk.toString('utf8', from, this.at)
  }
}

/** Handed over between threads, a buffer is a plain array. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function chunkOf(chunks: readonly Buffer[], place: number): Buffer {
  const chunk = chunks[place >>> CHUNK_BITS]
  if (chunk === undefined) throw new RangeError('no such place among the entries')
  return chunk
}

function byteOf(place: number): number {
  return (place & (CHUNK_UNITS - 1)) * UNIT
}

function decode(list: string, chunk: Buffer, start: number): HashListEntry {
  const cursor = new Cursor()
  cursor.set(chunk, start)
  const id = cursor.text(cursor.number())
  const length = cursor.number()
  const classification = length === 0 ? null : cursor.text(length - 1)
  const signals: KnownHash[] = []
  const doubled = cursor.number()
  for (let count = half(doubled); count > 0; count--) {
    const signal = cursor.text(cursor.number())
    const from = cursor.skip(cursor.number())
    signals.push({ signal, value: Buffer.from(chunk.subarray(from, cursor.at)) })
  }
  return { list, id, signals, classification, ...readOpinions(isOdd(doubled) ? cursor : null) }
}

function endOf(chunk: Buffer, start: number): number {
  const cursor = new Cursor()
  cursor.set(chunk, start)
  if (!toOpinions(cursor)) return cursor.at
  for (let left = half(cursor.number()); left > 0; left--) {
    if (cursor.number() === 0) cursor.skip(cursor.number())
    cursor.skip(cursor.number())
  }
  return cursor.at
}

/** A cursor where an entry's opinions are; null where it has none. */
function atOpinions(chunk: Buffer, start: number): Cursor | null {
  const cursor = new Cursor()
  cursor.set(chunk, start)
  return toOpinions(cursor) ? cursor : null
}

/** Goes from the beginning of an entry to the end of its signals. @returns whether opinions follow */
function toOpinions(cursor: Cursor): boolean {
  cursor.skip(cursor.number())
  cursor.skip(Math.max(0, cursor.number() - 1))
  const doubled = cursor.number()
  for (let left = 2 * half(doubled); left > 0; left--) cursor.skip(cursor.number())
  return isOdd(doubled)
}

function readOpinions(cursor: Cursor | null): Pick<HashListEntry, 'opinions' | 'withdrawn'> {
  const opinions: Opinion[] = []
  if (cursor === null) return { opinions, withdrawn: false }
  const doubled = cursor.number()
  for (let count = half(doubled); count > 0; count--) {
    const word = opinionWords[cursor.number() - 1]
    const opinion = word ?? cursor.text(cursor.number())
    opinions.push({ member: cursor.text(cursor.number()), opinion })
  }
  return { opinions, withdrawn: isOdd(doubled) }
}

function half(number: number): number {
  return Math.floor(number / 2)
}

function isOdd(number: number): boolean {
  return number % 2 === 1
}

/** Most bytes that a text takes, with its length. */
function textRoom(text: string): number {
  return 5 + 3 * text.length
}

/** @param more added to the length as it is written @returns where it ends */
function writeText(chunk: Buffer, start: number, text: string, more: number): number {
  let at = writeNumber(chunk, start, text.length + more)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 0x80) {
      at = writeNumber(chunk, start, Buffer.byteLength(text) + more)
      return at + chunk.write(text, at)
    }
    chunk[at++] = code
  }
  return at
}

function writeNumber(chunk: Buffer, start: number, number: number): number {
  let at = start
  let left = number
  for (; left >= 0x80; left = Math.floor(left / 0x80)) chunk[at++] = (left & 0x7f) | 0x80
  chunk[at++] = left
  return at
}

function isText(chunk: Buffer, from: number, to: number, text: Buffer): boolean {
  if (to - from !== text.length) return false
  for (let at = 0; at < text.length; at++) if (chunk[from + at] !== text[at]) return false
  return true
}

function isSameId(chunk: Buffer, start: number, other: Buffer, otherStart: number): boolean {
  let length = chunk[start] ?? 0
  if (length >= 0x80) {
    const cursor = new Cursor()
    cursor.set(chunk, start)
    length = cursor.number() + cursor.at - start - 1
  }
  for (let at = 0; at <= length; at++) if (chunk[start + at] !== other[otherStart + at]) return false
  return true
}

/** 32 bits of an id, other ones in each process: who writes a list must not be able to choose ids that crowd. */
function hashOfId(chunk: Buffer, start: number): number {
  let at = start
  let length = chunk[at++] ?? 0
  if (length >= 0x80) {
    const cursor = new Cursor()
    cursor.set(chunk, start)
    length = cursor.number()
    at = cursor.at
  }
  let bits = SEED
  for (const end = at + length; at < end; at++) {
    bits = Math.imul(bits ^ (chunk[at] ?? 0), 0x9e3779b1)
    bits ^= bits >>> 15
  }
  bits = Math.imul(bits, 0x85ebca77)
  return (bits ^ (bits >>> 13)) >>> 0
}

/**
 * Writes what `entryText` says of an entry, and a line feed.
 * @returns where it ends; 0 where the text is not plain, or too long: then somebody else has to make it
 */
function writeEntryText(text: Buffer, start: number, chunk: Buffer, entryStart: number): number {
  if (endOf(chunk, entryStart) - entryStart > DIGEST_BYTES / 16) return 0
  const cursor = new Cursor()
  cursor.set(chunk, entryStart)
  let at = start
  text[at++] = BRACKET
  at = writePlain(text, at, chunk, cursor.skip(cursor.number()), cursor.at)
  if (at === 0) return 0
  text[at++] = COMMA
  text[at++] = BRACKET
  const classAt = cursor.at
  cursor.skip(Math.max(0, cursor.number() - 1))
  /** where each hash's text begins and ends, without its quotes */
  const hashes: number[] = []
  const doubled = cursor.number()
  for (let count = half(doubled); count > 0; count--) {
    if (hashes.length > 0) text[at++] = COMMA
    hashes.push(at + 1)
    at = writePlain(text, at, chunk, cursor.skip(cursor.number()), cursor.at)
    if (at === 0) return 0
    text[at - 1] = COLON
    const from = cursor.skip(cursor.number())
    for (let byte = from; byte < cursor.at; byte++) {
      text[at++] = HEX[(chunk[byte] ?? 0) >> 4] ?? 0
      text[at++] = HEX[(chunk[byte] ?? 0) & 15] ?? 0
    }
    hashes.push(at)
    text[at++] = QUOTE
  }
  if (hashes.length > 2) sortTexts(text, hashes)
  text[at++] = BRACKET_END
  text[at++] = COMMA
  const opinionsAt = cursor.at
  cursor.set(chunk, classAt)
  const length = cursor.number()
  if (length === 0) at += text.write('null', at, 'latin1')
  else at = writePlain(text, at, chunk, cursor.skip(length - 1), cursor.at)
  if (at === 0) return 0
  if (isOdd(doubled)) {
    cursor.set(chunk, opinionsAt)
    at = writeOpinionsText(text, at, chunk, cursor)
    if (at === 0) return 0
  }
  text[at++] = BRACKET_END
  text[at++] = LINE_FEED
  return at
}

/** @param cursor where the opinions are @returns where it ends; 0 where they are not plain */
function writeOpinionsText(text: Buffer, start: number, chunk: Buffer, cursor: Cursor): number {
  let at = start
  text[at++] = COMMA
  text[at++] = BRACKET
  const doubled = cursor.number()
  for (let left = half(doubled); left > 0; left--) {
    const word = opinionWords[cursor.number() - 1]
    if (word === undefined) return 0
    text[at++] = BRACKET
    at = writePlain(text, at, chunk, cursor.skip(cursor.number()), cursor.at)
    if (at === 0) return 0
    at += text.write(`,"${word}"]`, at, 'latin1')
    if (left > 1) text[at++] = COMMA
  }
  return at + text.write(`],${isOdd(doubled)}`, at, 'latin1')
}

const [BRACKET, BRACKET_END, COMMA, COLON, QUOTE, BACKSLASH, LINE_FEED] = [0x5b, 0x5d, 0x2c, 0x3a, 0x22, 0x5c, 0x0a]

/** Writes a JSON string of what needs no escaping, and is the same in UTF-8 and UTF-16. @returns where it ends; 0 where it is not plain */
function writePlain(text: Buffer, start: number, chunk: Buffer, from: number, to: number): number {
  let at = start
  text[at++] = QUOTE
  for (let index = from; index < to; index++) {
    const byte = chunk[index] ?? 0
    if (byte < 0x20 || byte >= 0x80 || byte === QUOTE || byte === BACKSLASH) return 0
    text[at++] = byte
  }
  text[at++] = QUOTE
  return at
}

/** Sorts texts that stand in one row, each in quotes, with a comma between two. @param bounds begin and end of each */
function sortTexts(text: Buffer, bounds: readonly number[]): void {
  const texts: string[] = []
  for (let at = 0; at < bounds.length; at += 2) texts.push(text.toString('latin1', bounds[at], bounds[at + 1]))
  text.write(texts.sort().join('","'), bounds[0] ?? 0, 'latin1')
}

/** Of a byte of UTF-8, where it stands in the order of UTF-16 code units; 0 is left for the end of a text. */
const ORDER = Uint8Array.from({ length: 256 }, (_, byte) => {
  // Beyond 0xffff, UTF-16 has surrogates, which come before U+E000 to U+FFFF.
  if (byte === 0xee || byte === 0xef) return byte + 6
  return byte < 0xee ? byte + 1 : byte - 1
})

/**
 * Sorts places by the ids there: by four bytes at a time, all at once, then what is alike in these by the next four. Looks at most ids only a
 * few times, and makes no strings.
 */
function sortById(places: Uint32Array, chunks: readonly Buffer[]): void {
  const words = new Uint32Array(places.length)
  const spare = { places: new Uint32Array(places.length), words: new Uint32Array(places.length) }
  /** runs that are still to be sorted: from, to, number of bytes that are alike in all */
  const runs = [0, places.length, 0]
  while (runs.length > 0) {
    const [alike = 0, to = 0, from = 0] = [runs.pop(), runs.pop(), runs.pop()]
    for (let at = from; at < to; at++) words[at] = wordOfId(chunks, places[at] ?? EMPTY, alike)
    if (to - from <= SHORT_RUN) sortShort(words, places, from, to)
    else sortRun(words, places, spare, from, to)
    for (let at = from + 1, begin = from; at <= to; at++) {
      if (at < to && words[at] === words[begin]) continue
      // A word that ends in nothing is the last one of its id.
      if (at - begin > 1 && ((words[begin] ?? 0) & 0xff) !== 0) runs.push(begin, at, alike + 4)
      begin = at
    }
  }
}

/** Four bytes of an id, such that their order is that of the ids; behind its end nothing. */
function wordOfId(chunks: readonly Buffer[], place: number, alike: number): number {
  const chunk = chunkOf(chunks, place)
  let at = byteOf(place)
  let length = chunk[at++] ?? 0
  if (length >= 0x80) {
    const cursor = new Cursor()
    cursor.set(chunk, at - 1)
    length = cursor.number()
    at = cursor.at
  }
  const end = at + length
  let word = 0
  for (let next = at + alike, stop = next + 4; next < stop; next++) {
    word = (word << 8) | (next < end ? (ORDER[chunk[next] ?? 0] ?? 0) : 0)
  }
  return word >>> 0
}

function sortShort(words: Uint32Array, places: Uint32Array, from: number, to: number): void {
  for (let next = from + 1; next < to; next++) {
    const [word = 0, place = 0] = [words[next], places[next]]
    let at = next
    for (; at > from && (words[at - 1] ?? 0) > word; at--) {
      words[at] = words[at - 1] ?? 0
      places[at] = places[at - 1] ?? 0
    }
    words[at] = word
    places[at] = place
  }
}

/** Sorts by the last bits of the words first, then by those before them; each time what is alike keeps its order. */
function sortRun(
  words: Uint32Array,
  places: Uint32Array,
  spare: { words: Uint32Array; places: Uint32Array },
  from: number,
  to: number,
): void {
  const bits = to - from > 0x8000 ? 16 : 8
  const ends = bits === 16 ? WIDE : NARROW
  const mask = ends.length - 1
  let [source, target] = [{ words, places }, spare]
  for (let shift = 0; shift < 32; shift += bits) {
    ends.fill(0)
    for (let at = from; at < to; at++) {
      const digit = ((source.words[at] ?? 0) >>> shift) & mask
      ends[digit] = (ends[digit] ?? 0) + 1
    }
    for (let digit = 0, sum = from; digit <= mask; digit++) {
      const count = ends[digit] ?? 0
      ends[digit] = sum
      sum += count
    }
    for (let at = from; at < to; at++) {
      const word = source.words[at] ?? 0
      const digit = (word >>> shift) & mask
      const place = ends[digit] ?? 0
      ends[digit] = place + 1
      target.words[place] = word
      target.places[place] = source.places[at] ?? EMPTY
    }
    ;[source, target] = [target, source]
  }
}

const WIDE = new Uint32Array(2 ** 16)
const NARROW = new Uint32Array(2 ** 8)
