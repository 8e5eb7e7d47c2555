import { readAvif } from './avif.ts'
import { readGif } from './gif.ts'
import { readJpeg } from './jpeg.ts'
import { readPng } from './png.ts'
import { readTiff } from './tiff.ts'
import { readWebp } from './webp.ts'

/** What a picture's container says of itself, read without decoding. */
export type Container = {
  /** pictures that a viewer may show one after the other */
  frames: number
  /** false: cut short, or with parts that some viewer may show and the decoder does not */
  whole: boolean
  /** what is kept beside the picture: comments, EXIF, XMP and the like, unpacked */
  metadata: Buffer[]
  /** bytes that belong to nothing, those after its end above all */
  rest: Buffer[]
  /** length of the picture from its first byte to its own end mark, in bytes */
  end: number
  /** exponent by which a viewer may change the colours, where it is told to; else 1 */
  gamma: number
}

const readers = new Map<string, (bytes: Buffer) => Container>([
  ['image/jpeg', readJpeg],
  ['image/png', readPng],
  ['image/apng', readPng],
  ['image/gif', readGif],
  ['image/webp', readWebp],
  ['image/tiff', readTiff],
  ['image/avif', readAvif],
])

/**
 * Counts frames in the container, because decoders skip some of them silently, and finds what no decoder looks at.
 * Types without a reader count as one whole picture.
 */
export function readContainer(payload: Uint8Array, mediaType: string): Container {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const reader = readers.get(mediaType)
  if (reader === undefined) return { frames: 1, whole: true, metadata: [], rest: [], end: bytes.length, gamma: 1 }
  return reader(bytes)
}
