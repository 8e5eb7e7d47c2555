import { readContainer } from './containers/read-container.ts'
import { formats, readHeader } from './decode.ts'

export type Embedded = { bytes: Buffer; mediaType: string }

/** First bytes of pictures, and how far before them the file begins. */
const starts: readonly { mediaType: string; start: Buffer; before: number }[] = [
  { mediaType: 'image/jpeg', start: Buffer.from([0xff, 0xd8, 0xff]), before: 0 },
  { mediaType: 'image/png', start: Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), before: 0 },
  { mediaType: 'image/gif', start: Buffer.from('GIF87a'), before: 0 },
  { mediaType: 'image/gif', start: Buffer.from('GIF89a'), before: 0 },
  { mediaType: 'image/webp', start: Buffer.from('WEBPVP8'), before: 8 },
  { mediaType: 'image/avif', start: Buffer.from('ftypavif'), before: 4 },
]
/** The same in base64, as XMP has them. */
const inBase64 = /(?:\/9j\/|iVBORw0KGgo|R0lGOD|UklGR)[A-Za-z0-9+/]{64,}={0,2}/g
/** What makes other programs take the file for a document of their own. */
const documents = /%PDF-|<(?:!doctype|html|head|body|script|svg|img|iframe|object|embed)[\s/>]/i
const endOfZip = 'PK\x05\x06'
const padding = new Set([0x00, 0xff, 0x20, 0x09, 0x0a, 0x0d])

/** What was found among bytes that no decoder looks at. */
export type Finds = {
  pictures: Embedded[]
  /** bytes that are neither part of a picture nor padding */
  unexplained: number
  /** whether other programs would find a document in them */
  document: boolean
  /** whether there were more beginnings of pictures than were tried */
  more: boolean
}

/**
 * Finds the pictures in bytes that no decoder looks at.
 * @param most how many beginnings are tried
 */
export async function findEmbedded(bytes: Buffer, most: number): Promise<Finds> {
  const text = bytes.toString('latin1')
  const { pictures, covered, tried } = await findAsTheyAre(bytes, most)
  const finds: Finds = {
    pictures,
    unexplained: countUnexplained(bytes, covered),
    document: documents.test(text) || text.includes(endOfZip),
    more: tried >= most,
  }
  for (const [encoded] of text.replaceAll(/&#x[ad];|\s+/gi, '').matchAll(inBase64)) {
    const decoded = await findAsTheyAre(Buffer.from(encoded, 'base64'), Math.max(1, most - finds.pictures.length))
    finds.pictures.push(...decoded.pictures)
    if (finds.pictures.length < most) continue
    finds.more = true
    break
  }
  return finds
}

async function findAsTheyAre(bytes: Buffer, most: number) {
  const pictures: Embedded[] = []
  const covered: [from: number, to: number][] = []
  let tried = 0
  for (let at = 0; tried < most; ) {
    const next = nextStart(bytes, at)
    if (next === null) break
    tried++
    const candidate = bytes.subarray(next.at)
    const header = await readHeader(candidate)
    if (header === null || header.format !== formats[next.mediaType]) {
      at = next.at + 1
      continue
    }
    at = next.at + readContainer(candidate, next.mediaType).end
    pictures.push({ bytes: bytes.subarray(next.at, at), mediaType: next.mediaType })
    covered.push([next.at, at])
  }
  return { pictures, covered, tried }
}

function nextStart(bytes: Buffer, from: number): { at: number; mediaType: string } | null {
  let first: { at: number; mediaType: string } | null = null
  for (const { mediaType, start, before } of starts) {
    const found = bytes.indexOf(start, from + before)
    const at = found - before
    if (found >= 0 && at >= from && (first === null || at < first.at)) first = { at, mediaType }
  }
  return first
}

function countUnexplained(bytes: Buffer, covered: readonly (readonly [number, number])[]): number {
  let unexplained = 0
  let at = 0
  for (const [from, to] of [...covered, [bytes.length, bytes.length] as const]) {
    for (; at < from; at++) if (!padding.has(bytes[at] ?? 0)) unexplained++
    at = Math.max(at, to)
  }
  return unexplained
}
