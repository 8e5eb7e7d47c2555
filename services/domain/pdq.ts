import { type KernelMemory, type KernelNumber, loadKernel } from './load-kernel.ts'

/*
 * PDQ, the perceptual hash, as its specification describes it and as the reference implementation rounds it. The kernel works out what a
 * picture's hashes are in a thirtieth of the reference's time, and says how near a bit was to falling the other way; where that is
 * nearer than rounding has been seen to account for, five times over, it does as the reference does, addition by addition.
 */

/** Version of the algorithm, for signals. */
export const PDQ_VERSION = 1
/** Length of a hash in bytes. */
export const PDQ_BYTES = 32

const grid = 64
const leastSide = 5
/** Rows that the reference's way takes at a time. */
const rowsAtOnce = 4
/** By how much coefficients and samples may differ from the reference's, in grey levels for each pixel of the longer side; measured: a fifth. */
const slackEach = 5e-6
const leastSlack = 0.005
/** A kernel that a huge picture has made this large, in bytes, is left to the garbage collector when a small one comes. */
const largest = 67_108_864

/**
 * What was done to the picture before hashing. Coefficients follow from those of the picture as it stands: a flip changes
 * the sign of every second row or column, and a transposition swaps the axes.
 */
const turns = {
  /** nothing */
  identity: { flipped: false, mirrored: false, transposed: false },
  /** turned clockwise by 90 degrees (the reference calls it rotate 270) */
  rotate90: { flipped: true, mirrored: false, transposed: true },
  /** turned by 180 degrees */
  rotate180: { flipped: true, mirrored: true, transposed: false },
  /** turned clockwise by 270 degrees (the reference calls it rotate 90) */
  rotate270: { flipped: false, mirrored: true, transposed: true },
  /** left and right swapped (the reference: flip Y) */
  mirror: { flipped: false, mirrored: true, transposed: false },
  /** top and bottom swapped (the reference: flip X) */
  flip: { flipped: true, mirrored: false, transposed: false },
  /** rows made columns: mirrored at the diagonal from top left (the reference: flip plus 1) */
  transpose: { flipped: false, mirrored: false, transposed: true },
  /** mirrored at the diagonal from top right (the reference: flip minus 1) */
  transverse: { flipped: true, mirrored: true, transposed: true },
} as const
export type Orientation = keyof typeof turns

/** The 8 orientations of a picture; `identity` first. */
export const orientations: readonly Orientation[] = [
  'identity',
  'rotate90',
  'rotate180',
  'rotate270',
  'mirror',
  'flip',
  'transpose',
  'transverse',
]

export type PdqHashes = {
  /** 0..100; below 50 a hash means little */
  quality: number
  /** 32 bytes each, big-endian as the reference prints them: derived from the picture's own coefficients, as the reference does */
  hashes: Record<Orientation, Uint8Array>
  /**
   * The hashes that the reference gives to the picture when its pixels have been turned first, to within a few bits.
   * `hashes` drift from these by up to 40 bits on fine detail: blur and decimation are not symmetric, so that a turned
   * picture is sampled a pixel or two elsewhere.
   */
  turned: Record<Orientation, Uint8Array>
}

/** What `kernels/pdq.ts` exports. */
type Kernel = {
  memory: KernelMemory
  HASHES: KernelNumber
  PLACES: KernelNumber
  gap: KernelNumber
  quality: KernelNumber
  highestQuality: KernelNumber
  begin(width: number, height: number): number
  rows(i: number): void
  finish(slack: number): void
  beginReference(): void
  rowsReference(count: number): void
  finishReference(): void
}

type Picture = { rgb: Uint8Array; width: number; height: number; rowBytes: number }

let kernel: Kernel | null = null

/**
 * PDQ hashes of a picture in its 8 orientations.
 * @param rgb 8-bit red, green, blue, row by row; not changed
 * @param width in pixels
 * @param height in pixels
 * @param rowBytes from the beginning of a row to that of the next, more than a row has where the picture is a part of another
 * @returns quality 0 and hashes of zeros when a side is shorter than 5 pixels
 * @throws {RangeError} when `rgb` does not end where its last row does
 */
export function pdqHashes(rgb: Uint8Array, width: number, height: number, rowBytes = width * 3): PdqHashes {
  if (rowBytes < width * 3 || rgb.length !== (height - 1) * rowBytes + width * 3) {
    throw new RangeError('the rows of rgb are not those of width and height')
  }
  if (width < leastSide || height < leastSide) {
    const none = hashEach(() => new Uint8Array(PDQ_BYTES))
    return { quality: 0, hashes: none, turned: none }
  }
  if (kernel !== null && kernel.memory.buffer.byteLength > largest && rgb.length < largest / 8) kernel = null
  kernel ??= loadKernel<Kernel>('pdq')
  const { memory, HASHES, quality } = kernel
  const picture = { rgb, width, height, rowBytes }
  hashQuickly(kernel, picture)
  if (!isCertain(kernel, slackFor(picture))) hashAsTheReference(kernel, picture)
  const hashesAt = (at: number) =>
    hashEach((orientation) => {
      const { flipped, mirrored, transposed } = turns[orientation]
      const from = at + PDQ_BYTES * (Number(flipped) * 4 + Number(mirrored) * 2 + Number(transposed))
      return new Uint8Array(memory.buffer.slice(from, from + PDQ_BYTES))
    })
  const found = {
    quality: quality.value,
    hashes: hashesAt(HASHES.value),
    turned: hashesAt(HASHES.value + 8 * PDQ_BYTES),
  }
  // The reference's way does not go on to the sampled ones; as it stands, a picture is sampled as it is.
  for (const orientation of ['identity', 'transpose'] as const) found.turned[orientation] = found.hashes[orientation]
  return found
}

function slackFor({ width, height }: Picture): number {
  return Math.max(leastSlack, slackEach * Math.max(width, height))
}

/** Whether no bit, nor the quality, hangs on how the reference rounds. */
function isCertain({ gap, quality, highestQuality }: Kernel, slack: number): boolean {
  return gap.value > slack && quality.value === highestQuality.value
}

function hashQuickly(kernel: Kernel, picture: Picture): void {
  const strip = kernel.begin(picture.width, picture.height) >>> 0
  const places = new Int32Array(kernel.memory.buffer, kernel.PLACES.value, 2 * grid)
  for (let i = 0; i < grid; i++) {
    copyRows(kernel, strip, picture, places[2 * i] ?? 0, places[2 * i + 1] ?? 0)
    kernel.rows(i)
  }
  kernel.finish(slackFor(picture))
}

function hashAsTheReference(kernel: Kernel, picture: Picture): void {
  const strip = kernel.begin(picture.width, picture.height) >>> 0
  kernel.beginReference()
  for (let y = 0; y < picture.height; y += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, picture.height - y)
    copyRows(kernel, strip, picture, y, count)
    kernel.rowsReference(count)
  }
  kernel.finishReference()
}

/** Copies rows to where the kernel wants them, one behind the other. */
function copyRows(
  { memory }: Kernel,
  strip: number,
  { rgb, width, rowBytes }: Picture,
  first: number,
  count: number,
): void {
  const target = new Uint8Array(memory.buffer, strip)
  const used = width * 3
  // Rows without gaps are one piece.
  const [pieces, length] = rowBytes === used ? [1, count * used] : [count, used]
  for (let piece = 0; piece < pieces; piece++) {
    const from = (first + piece) * rowBytes
    target.set(rgb.subarray(from, from + length), piece * used)
  }
}

function hashEach(hash: (orientation: Orientation) => Uint8Array): Record<Orientation, Uint8Array> {
  return {
    identity: hash('identity'),
    rotate90: hash('rotate90'),
    rotate180: hash('rotate180'),
    rotate270: hash('rotate270'),
    mirror: hash('mirror'),
    flip: hash('flip'),
    transpose: hash('transpose'),
    transverse: hash('transverse'),
  }
}
