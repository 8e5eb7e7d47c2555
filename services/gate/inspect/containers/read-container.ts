import { readAvif } from './avif.ts'
import type { Container } from './container.ts'
import { readGif } from './gif.ts'
import { readJpeg } from './jpeg.ts'
import { readPng } from './png.ts'
import { readTiff } from './tiff.ts'
import { readWebp } from './webp.ts'

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
