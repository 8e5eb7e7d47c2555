import type { Container } from './container.ts'
import { gaps, type Range } from './gaps.ts'

type Entry = { type: number; values: () => number[]; data: Buffer; at: number; outside: boolean }
type Directory = { tags: Map<number, Entry>; at: number; end: number; next: number }

const tag = {
  bitsPerSample: 258,
  compression: 259,
  stripOffsets: 273,
  stripLengths: 279,
  tileOffsets: 324,
  tileLengths: 325,
  subDirectories: 330,
  sampleFormat: 339,
  exif: 34665,
  gps: 34853,
  photoshopLayers: 37724,
}
const jpegOfOldKind = 6
const typeSizes = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4]
/** More directories than this are a trap. */
const mostDirectories = 2000
/** Longest list of numbers that is read: strips of a large picture. */
const mostValues = 1_000_000

/** Counts the pages of a TIFF along its chain of directories, and finds bytes that belong to none of them. */
export function readTiff(bytes: Buffer): Container {
  const { directories, whole } = readDirectories(bytes)
  const metadata: Buffer[] = []
  const used: Range[] = [[0, 8]]
  let tidy = whole
  for (const directory of directories) {
    tidy &&= !hasUnseen(directory)
    cover(directory)
    for (const offsets of [tag.stripOffsets, tag.tileOffsets]) {
      const lengths = directory.tags.get(offsets === tag.stripOffsets ? tag.stripLengths : tag.tileLengths)?.values()
      const starts = directory.tags.get(offsets)?.values() ?? []
      // Without a length decoders guess, and whatever lies there would be taken for pixels.
      tidy &&= starts.length === (lengths?.length ?? 0)
      for (const [i, from] of starts.entries()) used.push([from, from + (lengths?.[i] ?? 0)])
    }
    for (const pointer of [tag.exif, tag.gps]) {
      const at = directory.tags.get(pointer)?.values()[0]
      const further = at === undefined ? null : readDirectory(bytes, at)
      if (further !== null) cover(further)
    }
  }
  return {
    frames: directories.length,
    whole: tidy && directories.length > 0,
    metadata,
    rest: gaps(bytes, used),
    end: bytes.length,
    gamma: 1,
  }

  function cover({ at, end, tags }: Directory): void {
    used.push([at, end])
    for (const { data, at: from, outside } of tags.values()) {
      if (!outside) continue
      used.push([from, from + data.length])
      metadata.push(data)
    }
  }
}

/**
 * Each page of a TIFF as the only one of its file, so that a decoder need not walk the chain to reach it.
 * The buffer is the same each time, with other pointers.
 */
export function* singlePages(payload: Uint8Array): Generator<Buffer> {
  const bytes = Buffer.from(payload)
  const { directories } = readDirectories(bytes)
  const write = (value: number, at: number) =>
    bytes[0] === 0x49 ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at)
  for (const { at, end } of directories) {
    write(at, 4)
    write(0, end - 4)
    yield bytes
  }
}

/** Whether the EXIF block of another type has a thumbnail that is no JPEG. */
export function hasOddThumbnail(exif: Buffer): boolean {
  const thumbnail = readDirectories(exif).directories[1]
  if (thumbnail === undefined) return false
  const compression = thumbnail.tags.get(tag.compression)?.values()[0]
  return thumbnail.tags.has(tag.stripOffsets) && compression !== jpegOfOldKind
}

/** Pages within pages, layers, and numbers that every viewer scales in its own way. */
function hasUnseen({ tags }: Directory): boolean {
  return (
    tags.has(tag.subDirectories) ||
    tags.has(tag.photoshopLayers) ||
    tags.get(tag.compression)?.values()[0] === jpegOfOldKind ||
    (tags.get(tag.bitsPerSample)?.values() ?? []).some((bits) => bits > 16) ||
    (tags.get(tag.sampleFormat)?.values() ?? []).some((format) => format !== 1)
  )
}

function readDirectories(bytes: Buffer): { directories: Directory[]; whole: boolean } {
  const directories: Directory[] = []
  const visited = new Set<number>()
  const reader = numbersOf(bytes)
  if (reader === null || bytes.length < 8) return { directories, whole: false }
  for (let at = reader(4, 4); at !== 0; ) {
    const directory = readDirectory(bytes, at)
    if (directory === null || visited.has(at) || visited.size >= mostDirectories) return { directories, whole: false }
    visited.add(at)
    directories.push(directory)
    at = directory.next
  }
  return { directories, whole: true }
}

/** Reads unsigned numbers in the file's byte order; null where it is no TIFF of 32-bit offsets. */
function numbersOf(bytes: Buffer): ((at: number, size: number) => number) | null {
  const start = bytes.toString('latin1', 0, 4)
  if (start === 'II*\0') return (at, size) => bytes.readUIntLE(at, size)
  if (start === 'MM\0*') return (at, size) => bytes.readUIntBE(at, size)
  return null
}

function readDirectory(bytes: Buffer, at: number): Directory | null {
  const read = numbersOf(bytes)
  if (read === null || at < 8 || at + 2 > bytes.length) return null
  const count = read(at, 2)
  const end = at + 2 + count * 12 + 4
  if (end > bytes.length) return null
  const tags = new Map<number, Entry>()
  for (let entry = at + 2; entry < end - 4; entry += 12) {
    const type = read(entry + 2, 2)
    const size = typeSizes[type] ?? 1
    const values = read(entry + 4, 4)
    const outside = values * size > 4
    const from = outside ? read(entry + 8, 4) : entry + 8
    tags.set(read(entry, 2), {
      type,
      at: from,
      outside,
      data: bytes.subarray(from, from + values * size),
      values: () =>
        size > 4 || from + values * size > bytes.length || values > mostValues
          ? []
          : Array.from({ length: values }, (_, i) => read(from + i * size, size)),
    })
  }
  return { tags, at, end, next: read(end - 4, 4) }
}
