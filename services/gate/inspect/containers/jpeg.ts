import type { Container } from './container.ts'
import { hasOddThumbnail } from './tiff.ts'

const SOS = 0xda
const EOI = 0xd9
const COMMENT = 0xfe
const TEM = 0x01
/** Says after the first scan how many lines there are; some decoders heed it, others what the frame says. */
const DEFINE_LINES = 0xdc
/** Frames whose components come in several scans, bit by bit; in others each comes in one only. */
const progressive = [0xc2, 0xc6, 0xca, 0xce]
/** A long XMP block is cut into segments, each behind a name of 35 bytes and a header of 40. */
const extendedXmp = 'http://ns.adobe.com/xmp/extension/\0'

/** Walks the segments of a JPEG up to its end mark. What follows, a further picture or not, is its rest. */
export function readJpeg(bytes: Buffer): Container {
  const metadata: Buffer[] = []
  const longXmp: Buffer[] = []
  let frames = 0
  let thumbnail = false
  /** what one decoder shows and another does not: lines or whole scans more */
  let ambiguous = false
  let isProgressive = false
  const scanned = new Set<number>()
  let at = 2
  const container = (whole: boolean, end: number): Container => ({
    frames,
    whole: whole && frames === 1 && !thumbnail && !ambiguous,
    metadata: [...metadata, Buffer.concat(longXmp)],
    rest: [bytes.subarray(end)],
    end,
    gamma: 1,
  })

  while (at + 2 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) {
      at += 1
      continue
    }
    if (marker === EOI) return container(true, at + 2)
    // Decoders pass over them; who took what comes next for a length would pass over whatever is there.
    if (standsAlone(marker)) {
      ambiguous = true
      at += 2
      continue
    }
    if (at + 4 > bytes.length) break
    const next = at + 2 + bytes.readUInt16BE(at + 2)
    const segment = bytes.subarray(at + 4, next)
    if (isFrameHeader(marker)) {
      frames++
      isProgressive = progressive.includes(marker)
    }
    if (marker === DEFINE_LINES) ambiguous = true
    if (marker === SOS && !isProgressive) {
      for (const component of componentsOf(segment)) {
        ambiguous ||= scanned.has(component)
        scanned.add(component)
      }
    }
    if (isApplication(marker) || marker === COMMENT) {
      if (segment.toString('latin1', 0, extendedXmp.length) === extendedXmp) longXmp.push(segment.subarray(75))
      else metadata.push(segment)
      thumbnail ||= hasRawThumbnail(segment)
    }
    at = marker === SOS ? endOfScan(bytes, next) : next
  }
  return container(false, Math.min(at, bytes.length))
}

/** Whether a marker begins a frame, of whatever kind. */
export function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
}

/** Whether a marker has neither length nor content. Among segments no writer has a reason for one. */
function standsAlone(marker: number): boolean {
  return marker === 0 || marker === TEM || (marker >= 0xd0 && marker <= 0xd8)
}

/** The ids of the components in a scan, by its header. */
function componentsOf(header: Buffer): number[] {
  return Array.from({ length: header[0] ?? 0 }, (_, at) => header[1 + 2 * at] ?? 0)
}

function isApplication(marker: number): boolean {
  return marker >= 0xe0 && marker <= 0xef
}

/** Thumbnails that are JPEGs are found by their first bytes; those of bare pixels are rare, and not decoded. */
function hasRawThumbnail(segment: Buffer): boolean {
  const name = segment.toString('latin1', 0, 6)
  if (name.startsWith('JFIF\0')) return (segment[12] ?? 0) * (segment[13] ?? 0) > 0
  if (name.startsWith('JFXX\0')) return (segment[5] ?? 0) !== 0x10
  return name === 'Exif\0\0' && hasOddThumbnail(segment.subarray(6))
}

/** Where the coded data that begin somewhere end: at the next marker, or where the bytes do. */
export function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at)) {
    const marker = bytes[at + 1]
    if (marker === undefined) break
    const goesOn = marker === 0 || (marker >= 0xd0 && marker <= 0xd7)
    if (!goesOn && marker !== 0xff) return at
    at += goesOn ? 2 : 1
  }
  return bytes.length
}
