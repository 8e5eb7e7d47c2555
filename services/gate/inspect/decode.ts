import sharp, { type SharpOptions } from 'sharp'
import type { InspectLimits } from '../../domain/fingerprint.ts'
import type { inspectedMediaTypes } from '../../domain/media-types.ts'

/** The name that sharp gives each media type: what it takes for something else is not decoded. */
export const formats: Readonly<Record<string, string>> = {
  'image/jpeg': 'jpeg',
  'image/png': 'png',
  'image/apng': 'png',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'image/tiff': 'tiff',
  'image/avif': 'heif',
  'image/svg+xml': 'svg',
} satisfies Record<(typeof inspectedMediaTypes)[number], string>
const loaders = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff', 'Heif', 'Svg'].map((name) => `VipsForeignLoad${name}`)

/** Frames are decoded in groups of about this many pixels, so that memory stays bounded. */
export const groupPixels = 16_000_000

/** Sets the decoder up for a scanner process: one thread, no cache, and no code for types that are not inspected. */
export function preparePictures(): void {
  sharp.concurrency(1)
  sharp.cache(false)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: loaders })
}

/** What the header of a picture says. */
export type Header = {
  format: string
  width: number
  height: number
  pages: number
  /** as EXIF counts them, 1 to 8 */
  orientation: number
  hasProfile: boolean
}

/** Reads a header; null where there is none that the decoder knows. */
export async function readHeader(payload: Uint8Array): Promise<Header | null> {
  try {
    const metadata = await sharp(payload, { failOn: 'none', limitInputPixels: false }).metadata()
    const { format, width, height, pages = 1, orientation = 1, hasProfile } = metadata
    return { format, width, height, pages, orientation, hasProfile }
  } catch {
    return null
  }
}

/** A frame as decoded: RGB, or RGBA where `channels` is 4. */
export type Raw = { data: Uint8Array; width: number; height: number; channels: 3 | 4 }
export type Decoded = { frames: { index: number; raw: Raw }[]; damaged: boolean }
/** @param ignoreIcc whether the colours are as stored, whatever the colour profile says */
export type DecodeOptions = { ignoreIcc?: boolean; density?: number }

/**
 * Gives the memory of decoded frames back at once, also where several share it. Left to the collector, megabytes pile up for each picture, and the
 * system clears fresh ones for the next: a third of the time that decoding takes.
 */
export function release(frames: Decoded['frames']): void {
  for (const buffer of new Set(frames.map(({ raw }) => raw.data.buffer))) {
    if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  }
}

/** Decodes some frames of one size strictly; where that fails, whatever can be had, frame by frame. */
export async function decode(
  payload: Uint8Array,
  { first, count }: { first: number; count: number },
  limits: InspectLimits,
  options: DecodeOptions = {},
): Promise<Decoded> {
  const strict = await decodePages(payload, first, count, { ...options, failOn: 'warning' }, limits)
  if (strict !== null) return { frames: strict.map((raw, i) => ({ index: first + i, raw })), damaged: false }
  const frames: Decoded['frames'] = []
  for (let index = first; index < first + count; index++) {
    const rest = await decodePages(payload, index, 1, { ...options, failOn: 'none' }, limits)
    for (const raw of rest ?? []) frames.push({ index, raw })
  }
  return { frames, damaged: true }
}

async function decodePages(
  payload: Uint8Array,
  page: number,
  pages: number,
  options: SharpOptions,
  limits: InspectLimits,
): Promise<Raw[] | null> {
  const limitInputPixels = Math.max(limits.pixels, groupPixels)
  // The pool kills a scanner at the limit; the decoder's own clock is for callers in this process.
  const timeout = { seconds: Math.ceil(limits.seconds) + 1 }
  try {
    const { data, info } = await sharp(payload, { ...options, limitInputPixels, page, pages })
      .timeout(timeout)
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const { width, channels } = info
    const height = info.height / pages
    const size = width * height * channels
    if ((channels !== 3 && channels !== 4) || data.length !== size * pages) return null
    return Array.from({ length: pages }, (_, i) => ({
      data: data.subarray(i * size, (i + 1) * size),
      width,
      height,
      channels,
    }))
  } catch {
    return null
  }
}
