import { type KernelMemory, type KernelNumber, kernelMemory, loadKernel } from './load-kernel.ts'

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
const rowsAtOnce = 8
/** By how much coefficients and samples may differ from the reference's, in grey levels for each pixel of the longer side; measured: a fifth. */
const slackEach = 5e-6
const leastSlack = 0.005
/** A kernel that a huge picture has made this large, in bytes, is left to the garbage collector when a small one comes. */
const largest = 67_108_864
/** The room for a picture takes no more than this, in bytes. */
const largestHeld = largest / 2

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
type Exports = {
  HASHES: KernelNumber
  PLACES: KernelNumber
  gap: KernelNumber
  quality: KernelNumber
  highestQuality: KernelNumber
  hold(bytes: number): number
  begin(width: number, height: number, rowBytes: number): number
  rows(i: number, first: number): void
  finish(slack: number): void
  beginReference(): void
  rowsReference(count: number, first: number): void
  finishReference(): void
}
/** `held`: the room for a picture, while it is taken */
type Kernel = Exports & { memory: KernelMemory; held: Uint8Array | null }

type Picture = { rgb: Uint8Array; width: number; height: number; rowBytes: number }

let kernel: Kernel | null = null

/**
 * Room for a picture of so many bytes: there `pdqHashes` hashes it, and parts of it, without copying. There is one room, which must be left before it is taken again.
 * @returns null while it is taken, and for a picture too large to keep room for
 */
export function takePictureRoom(bytes: number): Uint8Array | null {
  const own = kernelFor(bytes)
  if (own.held !== null || bytes > largestHeld) return null
  const at = own.hold(bytes) >>> 0
  own.held = new Uint8Array(own.memory.buffer, at, bytes)
  return own.held
}

/** Leaves the room for a picture, if `rgb` is what it was taken as; what is in it may change from now on. */
export function leavePictureRoom(rgb: Uint8Array): void {
  if (kernel?.held === rgb) kernel.held = null
}

/** The kernel, or a new one instead of one that has grown large for nothing. */
function kernelFor(bytes: number): Kernel {
  if (kernel?.held === null && kernel.memory.buffer.byteLength > largest && bytes < largest / 8) kernel = null
  if (kernel === null) {
    const memory = kernelMemory()
    kernel = { ...loadKernel<Exports>('pdq', memory), memory, held: null }
  }
  return kernel
}

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
  const own = kernelFor(rgb.length)
  const { memory, HASHES, quality } = own
  const picture = { rgb, width, height, rowBytes }
  hashQuickly(own, picture)
  if (!isCertain(own, slackFor(picture))) hashAsTheReference(own, picture)
  const hashesAt = (at: number) =>
    hashEach((orientation) => {
      const { flipped, mirrored, transposed } = turns[orientation]
      const from = at + PDQ_BYTES * (Number(flipped) * 4 + Number(mirrored) * 2 + Number(transposed))
      return new Uint8Array(memory.buffer, from, PDQ_BYTES).slice()
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
  const rowsAt = begin(kernel, picture)
  const places = new Int32Array(kernel.memory.buffer, kernel.PLACES.value, 2 * grid)
  for (let i = 0; i < grid; i++) kernel.rows(i, rowsAt(places[2 * i] ?? 0, places[2 * i + 1] ?? 0))
  kernel.finish(slackFor(picture))
}

function hashAsTheReference(kernel: Kernel, picture: Picture): void {
  const rowsAt = begin(kernel, picture)
  kernel.beginReference()
  for (let y = 0; y < picture.height; y += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, picture.height - y)
    kernel.rowsReference(count, rowsAt(y, count))
  }
  kernel.finishReference()
}

/** @returns where in the kernel's memory some rows are: where they lie, or where they were copied to just now, one behind the other */
function begin(kernel: Kernel, picture: Picture): (first: number, count: number) => number {
  const { rgb, width, height, rowBytes } = picture
  if (rgb.buffer === kernel.held?.buffer) {
    kernel.begin(width, height, rowBytes)
    return (first) => rgb.byteOffset + first * rowBytes
  }
  const strip = kernel.begin(width, height, width * 3) >>> 0
  return (first, count) => {
    copyRows(kernel, strip, picture, first, count)
    return strip
  }
}

/** Copies rows to where the kernel wants them, one behind the other. `set` copies to shared memory word by word: three times slower. */
function copyRows(
  { memory }: Kernel,
  strip: number,
  { rgb, width, rowBytes }: Picture,
  first: number,
  count: number,
): void {
  const source = Buffer.from(rgb.buffer, rgb.byteOffset, rgb.length)
  const target = Buffer.from(memory.buffer, strip)
  const used = width * 3
  // Rows without gaps are one piece.
  const [pieces, length] = rowBytes === used ? [1, count * used] : [count, used]
  for (let piece = 0; piece < pieces; piece++) {
    const from = (first + piece) * rowBytes
    source.copy(target, piece * used, from, from + length)
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
