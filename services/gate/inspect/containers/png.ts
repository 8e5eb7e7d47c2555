import { crc32, inflateSync } from 'node:zlib'
import type { Container } from './container.ts'

export type Chunk = { type: string; data: Buffer }

const signatureLength = 8
/** Longest text that is unpacked from one chunk, in bytes. */
const longestText = 8_388_608
/** Where gAMA says about this, colours are as in every other picture: 1 / 2.2. */
const usualGamma = 0.4545
/** Viewers that know these primaries, transfer and matrix show what those show that do not: sRGB and Display P3. */
const usualColours = new Set(['1,13,0,1', '12,13,0,1'])
const drawn = new Set(['IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'acTL', 'fcTL', 'fdAT'])
/** Coded pixels. All other chunks are looked into, whatever they are called. */
const pixels = new Set(['IDAT', 'fdAT'])

/** The chunks of a PNG up to its end mark, and whether they are all there and as they were written. */
export function pngChunks(bytes: Buffer): { chunks: Chunk[]; whole: boolean; end: number } {
  const chunks: Chunk[] = []
  let whole = true
  let at = signatureLength
  while (at + 12 <= bytes.length) {
    const end = at + 12 + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    const type = bytes.toString('latin1', at + 4, at + 8)
    whole &&= crc32(bytes.subarray(at + 4, end - 4)) === bytes.readUInt32BE(end - 4)
    chunks.push({ type, data: bytes.subarray(at + 8, end - 4) })
    at = end
    if (type === 'IEND') return { chunks, whole, end }
  }
  return { chunks, whole: false, end: bytes.length }
}

/** Counts the frames of a PNG or APNG. */
export function readPng(bytes: Buffer): Container {
  const { chunks, whole, end } = pngChunks(bytes)
  const metadata: Buffer[] = []
  let known = true
  let gamma = 1
  for (const { type, data } of chunks) {
    // The case of the first letter says whether a picture can be shown without knowing the chunk.
    if (!drawn.has(type) && /^[A-Z]/.test(type)) known = false
    if (type === 'cICP') known &&= usualColours.has([...data].join())
    if (type === 'gAMA' && data.length === 4) gamma = exponent(data.readUInt32BE() / 100_000)
    if (pixels.has(type)) continue
    metadata.push(data)
    const text = unpacked(type, data)
    if (text === 'too long') known = false
    else if (text !== null) metadata.push(text)
  }
  return {
    frames: countFrames(chunks),
    whole: whole && known && isDataInOnePiece(chunks) && isOfFrames(chunks),
    metadata,
    rest: [bytes.subarray(end)],
    end,
    gamma,
  }
}

function countFrames(chunks: readonly Chunk[]): number {
  const controls = chunks.filter(({ type }) => type === 'fcTL').length
  if (controls === 0 && !chunks.some(({ type }) => type === 'acTL')) return 1
  const firstControl = chunks.findIndex(({ type }) => type === 'fcTL')
  const stillApart = chunks.findIndex(({ type }) => type === 'IDAT') < firstControl || firstControl < 0
  return controls + (stillApart ? 1 : 0)
}

/** Decoders disagree on data that goes on after something else. */
function isDataInOnePiece(chunks: readonly Chunk[]): boolean {
  const first = chunks.findIndex(({ type }) => type === 'IDAT')
  const last = chunks.findLastIndex(({ type }) => type === 'IDAT')
  return first >= 0 && chunks.slice(first, last).every(({ type }) => type === 'IDAT')
}

/** Whether all pixels of further frames have a frame that they belong to: others are shown by nobody. */
function isOfFrames(chunks: readonly Chunk[]): boolean {
  const data = chunks.findIndex(({ type }) => type === 'fdAT')
  const still = chunks.findIndex(({ type }) => type === 'IDAT')
  return data < 0 || chunks.slice(still, data).some(({ type }) => type === 'fcTL')
}

function exponent(gamma: number): number {
  if (gamma <= 0) return 1
  const ratio = usualGamma / gamma
  return ratio > 0.9 && ratio < 1.1 ? 1 : ratio
}

/** The text of a chunk that has it compressed; null where there is none. */
function unpacked(type: string, data: Buffer): Buffer | 'too long' | null {
  const name = data.indexOf(0)
  let from = -1
  if (type === 'zTXt') from = name + 2
  // Keyword, compression flag and method, language, translated keyword, text.
  else if (type === 'iTXt' && data[name + 1] === 1) from = data.indexOf(0, data.indexOf(0, name + 3) + 1) + 1
  if (name < 0 || from <= 0) return null
  try {
    return inflateSync(data.subarray(from), { maxOutputLength: longestText })
  } catch (error) {
    return error instanceof RangeError ? 'too long' : null
  }
}
