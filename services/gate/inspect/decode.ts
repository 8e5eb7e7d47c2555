import sharp, { type SharpOptions } from 'sharp'
import type { InspectLimits } from '../../domain/fingerprint.ts'
import type { inspectedMediaTypes } from '../../domain/media-types.ts'
import { giveMemoryBack } from './picture-memory.ts'
import type { Raw } from './pixels.ts'
import { openTurboJpeg, type TurboJpeg } from './turbo-jpeg.ts'

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

let turbo: TurboJpeg | null = null

/**
 * Sets the decoders up for a scanner process: one thread, no cache, and no code for types that are not inspected. Only here is a second decoder for JPEGs
 * taken into use, where this system has one that decodes a picture of each sampling to the same pixels as sharp: a hash must not depend on the machine.
 */
export async function preparePictures(): Promise<void> {
  sharp.concurrency(1)
  sharp.cache(false)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: loaders })
  const found = await openTurboJpeg()
  turbo = found !== null && (await decodesAsSharp(found)) ? found : null
}

/**
 * Pictures that tell libraries apart: each sampling, in one scan and in many; coefficients far out of range, which a library without vector instructions makes something else of; and
 * two that are damaged.
 */
async function decodesAsSharp({ decode }: TurboJpeg): Promise<boolean> {
  const [width, height] = [37, 29]
  const noise = Uint8Array.from({ length: width * height * 3 }, (_, at) => Math.imul(at + 1, 0x9e3779b1) >>> 24)
  const drawn = sharp(noise, { raw: { width, height, channels: 3 } })
  for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
    for (const progressive of [false, true]) {
      const jpeg = await drawn.clone().jpeg({ chromaSubsampling, progressive }).toBuffer()
      for (const each of [jpeg, withCoarsestTables(jpeg)]) {
        const expected = await sharp(each).raw().toBuffer()
        const { data = new Uint8Array() } = decode(each, width * height) ?? {}
        const isSame = expected.equals(data)
        giveMemoryBack(data)
        if (!isSame) return false
      }
      for (const cut of [2, jpeg.length >> 2]) {
        if (decode(jpeg.subarray(0, -cut), width * height) !== null) return false
      }
    }
  }
  return true
}

/** The same JPEG with each number of its quantisation tables at its greatest. */
function withCoarsestTables(jpeg: Buffer): Buffer {
  const changed = Buffer.from(jpeg)
  const begin = Buffer.from([0xff, 0xdb])
  for (let at = changed.indexOf(begin); at >= 0; at = changed.indexOf(begin, at + 2)) {
    const length = changed.readUInt16BE(at + 2)
    // A byte for the table's number, then 64 of the table; again for the next.
    for (let from = at + 4; from < at + 2 + length; from += 65) changed.fill(0xff, from + 1, from + 65)
  }
  return changed
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
  const size = turbo?.size(payload) ?? null
  if (size !== null) return { format: 'jpeg', ...size, pages: 1, orientation: 1, hasProfile: false }
  try {
    const metadata = await sharp(payload, { failOn: 'none', limitInputPixels: false }).metadata()
    const { format, width, height, pages = 1, orientation = 1, hasProfile } = metadata
    return { format, width, height, pages, orientation, hasProfile }
  } catch {
    return null
  }
}

export type Decoded = { frames: { index: number; raw: Raw }[]; damaged: boolean }
/** @param ignoreIcc whether the colours are as stored, whatever the colour profile says */
export type DecodeOptions = { ignoreIcc?: boolean; density?: number }

/** Gives the memory of decoded frames back, also where several share it. */
export function release(frames: Decoded['frames']): void {
  for (const { raw } of frames) giveMemoryBack(raw.data)
}

/**
 * The one frame of an ordinary JPEG that is whole, with its colours as stored, whatever its profile says.
 * @returns null for everything else, and where nothing but sharp can decode
 */
export function decodeJpeg(payload: Uint8Array, { pixels }: Pick<InspectLimits, 'pixels'>): Decoded | null {
  const raw = turbo?.decode(payload, pixels) ?? null
  return raw && { frames: [{ index: 0, raw }], damaged: false }
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
