import sharp, { type SharpOptions } from 'sharp'
import { type Fingerprint, type Inspection, type InspectLimits, TURNED, UNTURNED } from '../../domain/fingerprint.ts'
import { type Orientation, orientations, PDQ_VERSION, pdqHashes } from '../../domain/pdq.ts'
import type { ItemFault } from '../../domain/reasons.ts'
import { findPicture } from './border.ts'
import { readContainer } from './container.ts'
import { crop, dropAlpha, exifTurns, flatten, isTransparent, type Pixels, turn } from './pixels.ts'

/** Frames are decoded in groups of about this many pixels, so that memory stays bounded. */
const groupPixels = 16_000_000

/** The name that sharp gives each media type: what it takes for something else is not decoded. */
const formats: Readonly<Record<string, string>> = {
  'image/jpeg': 'jpeg',
  'image/png': 'png',
  'image/apng': 'png',
  'image/webp': 'webp',
  'image/gif': 'gif',
}
const loaders = ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadNsgif']

/** Sets the decoder up for a scanner process: one thread, no cache, and no code for types that are not inspected. */
export function preparePictures(): void {
  sharp.concurrency(1)
  sharp.cache(false)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: loaders })
}

/** Hashes every frame of a picture in all the ways that a viewer, or somebody evading the lists, might show it. */
export async function inspectPicture(
  payload: Uint8Array,
  mediaType: string,
  limits: InspectLimits,
): Promise<Pick<Inspection, 'fingerprint' | 'faults'>> {
  const header = await readHeader(payload)
  if (header === null || header.format !== formats[mediaType]) return { fingerprint: [], faults: ['MEDIA_UNDECODABLE'] }
  const { width, height, pages } = header
  if (width * height > limits.pixels) return { fingerprint: [], faults: ['DIMENSIONS_OVER_LIMIT'] }

  const faults = new Set<ItemFault>()
  const container = readContainer(payload, mediaType)
  if (!container.whole || container.frames > pages) faults.add('MEDIA_INCOMPLETE')
  if (pages > limits.frames) faults.add('FRAMES_OVER_LIMIT')

  const upright = exifTurns[header.orientation - 1] ?? 'identity'
  const fingerprint: Fingerprint = []
  const end = Math.min(pages, limits.frames)
  const step = Math.max(1, Math.floor(groupPixels / (width * height)))
  for (let first = 0; first < end; first += step) {
    const count = Math.min(step, end - first)
    const { frames, damaged } = await decode(payload, first, count, limits)
    if (damaged) faults.add('MEDIA_INCOMPLETE')
    for (const { index, raw } of frames) fingerprint.push(...hashFrame(raw, index, upright))
  }
  if (fingerprint.length === 0) return { fingerprint, faults: ['MEDIA_UNDECODABLE'] }
  return { fingerprint, faults: [...faults] }
}

async function readHeader(payload: Uint8Array) {
  try {
    const { format, width, height, pages, orientation } = await sharp(payload, {
      failOn: 'none',
      limitInputPixels: false,
    }).metadata()
    return { format, width, height, pages: pages ?? 1, orientation: orientation ?? 1 }
  } catch {
    return null
  }
}

/** A frame as decoded: RGB, or RGBA where `channels` is 4. */
type Raw = { data: Uint8Array; width: number; height: number; channels: 3 | 4 }
type Decoded = { frames: { index: number; raw: Raw }[]; damaged: boolean }

/** Decodes strictly; where that fails, whatever can be had, frame by frame. */
async function decode(payload: Uint8Array, first: number, count: number, limits: InspectLimits): Promise<Decoded> {
  const strict = await decodePages(payload, first, count, 'warning', limits)
  if (strict !== null) return { frames: strict.map((raw, i) => ({ index: first + i, raw })), damaged: false }
  const frames: Decoded['frames'] = []
  for (let index = first; index < first + count; index++) {
    const rest = await decodePages(payload, index, 1, 'none', limits)
    for (const raw of rest ?? []) frames.push({ index, raw })
  }
  return { frames, damaged: true }
}

async function decodePages(
  payload: Uint8Array,
  page: number,
  pages: number,
  failOn: NonNullable<SharpOptions['failOn']>,
  limits: InspectLimits,
): Promise<Raw[] | null> {
  const options = { failOn, limitInputPixels: Math.max(limits.pixels, groupPixels), page, pages }
  // The pool kills a scanner at the limit; the decoder's own clock is for callers in this process.
  const timeout = { seconds: Math.ceil(limits.seconds) + 1 }
  try {
    const { data, info } = await sharp(payload, options)
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

function hashFrame(raw: Raw, frame: number, upright: Orientation): Fingerprint {
  const fingerprint: Fingerprint = []
  const seen = new Set<string>()
  for (const { name, pixels } of variantsOf(raw, upright)) {
    const { quality, hashes, turned } = pdqHashes(pixels.rgb, pixels.width, pixels.height)
    const signalOf = (hash: Uint8Array, transform: string[]) => ({
      signal: 'pdq',
      version: PDQ_VERSION,
      value: Buffer.from(hash),
      quality,
      frame,
      transform: transform.join('+'),
    })
    const signals = orientations.flatMap((orientation) => {
      const [derived, sampled] = [hashes[orientation], turned[orientation]]
      const signal = signalOf(derived, [...name, orientation])
      if (Buffer.compare(derived, sampled) === 0) return [signal]
      return [signal, signalOf(sampled, [...name, TURNED, orientation])]
    })
    const print = Buffer.concat(signals.map(({ value }) => value)).toString('latin1')
    if (seen.has(print)) continue
    seen.add(print)
    fingerprint.push(...signals)
  }
  return fingerprint
}

type Variant = { name: string[]; pixels: Pixels }

/** Every combination of background, turn and trimming, one at a time; the picture as it stands first. */
function* variantsOf(raw: Raw, upright: Orientation): Generator<Variant> {
  for (const shown of shownOn(raw)) {
    for (const turned of turnedAs(shown, upright)) yield* trimmedFrom(turned)
  }
}

function* shownOn({ data, width, height, channels }: Raw): Generator<Variant> {
  if (channels === 3) return yield { name: [], pixels: { rgb: data, width, height } }
  if (!isTransparent(data)) return yield { name: [], pixels: { rgb: dropAlpha(data), width, height } }
  yield { name: [], pixels: { rgb: flatten(data, 255), width, height } }
  yield { name: ['on-black'], pixels: { rgb: flatten(data, 0), width, height } }
  yield { name: ['without-alpha'], pixels: { rgb: dropAlpha(data), width, height } }
}

function* turnedAs({ name, pixels }: Variant, upright: Orientation): Generator<Variant> {
  if (upright === 'identity') return yield { name, pixels }
  yield { name, pixels: turn(pixels, upright) }
  yield { name: [...name, UNTURNED], pixels }
}

function* trimmedFrom(variant: Variant): Generator<Variant> {
  const { name, pixels } = variant
  yield variant
  const box = findPicture(pixels, false)
  if (box === null) return
  const trimmed = crop(pixels, box)
  yield { name: [...name, 'trimmed'], pixels: trimmed }
  // Where bars run along two sides, the other two may be plain parts of the picture itself.
  if (box.width < pixels.width && box.height < pixels.height) {
    yield { name: [...name, 'trimmed-rows'], pixels: crop(pixels, { ...box, left: 0, width: pixels.width }) }
    yield { name: [...name, 'trimmed-columns'], pixels: crop(pixels, { ...box, top: 0, height: pixels.height }) }
  }
  const inner = findPicture(trimmed, true)
  if (inner !== null) yield { name: [...name, 'trimmed-twice'], pixels: crop(trimmed, inner) }
}
