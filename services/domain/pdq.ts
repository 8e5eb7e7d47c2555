/**
 * PDQ, the perceptual hash, as its specification describes it and as the reference implementation rounds it: every
 * intermediate value is a 32-bit float, added in the same order, because bits near the median hang on that.
 */

/** Version of the algorithm, for signals. */
export const PDQ_VERSION = 1
/** Length of a hash in bytes. */
export const PDQ_BYTES = 32

const grid = 64
const frequencies = 16
const leastSide = 5
const lines = 4

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
  /** 32 bytes each, big-endian as the reference prints them: the hash of the picture after that turn */
  hashes: Record<Orientation, Uint8Array>
}

/**
 * PDQ hashes of a picture in its 8 orientations.
 * @param rgb 8-bit red, green, blue, row by row, without padding; not changed
 * @param width in pixels
 * @param height in pixels
 * @returns quality 0 and hashes of zeros when a side is shorter than 5 pixels
 * @throws {RangeError} when the length of `rgb` is not width * height * 3
 */
export function pdqHashes(rgb: Uint8Array, width: number, height: number): PdqHashes {
  if (rgb.length !== width * height * 3) throw new RangeError('the length of rgb is not width * height * 3')
  if (width < leastSide || height < leastSide) return { quality: 0, hashes: hashEach(() => new Uint8Array(PDQ_BYTES)) }
  const small = shrink(rgb, width, height)
  const coefficients = cosineTransform(small)
  return { quality: qualityOf(small), hashes: hashEach((orientation) => hashOf(coefficients, orientation)) }
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

/** Luma, blurred and decimated to 64x64. */
function shrink(rgb: Uint8Array, width: number, height: number): Float32Array {
  const small = new Float32Array(grid * grid)
  if (width === grid && height === grid) {
    luma(rgb, 0, small, small.length)
    return small
  }
  const across = Math.floor((width + 127) / 128)
  const down = Math.floor((height + 127) / 128)
  const columns = Int32Array.from({ length: grid }, (_, i) => Math.floor(((i + 0.5) * width) / grid))
  const rows = Int32Array.from({ length: grid }, (_, i) => Math.floor(((i + 0.5) * height) / grid))

  const rowsInGroups = Math.ceil(height / lines) * lines
  const group = new Float32Array(lines * width)
  const onceAcross = new Float32Array(rowsInGroups * width)
  for (let y = 0; y < height; y += lines) {
    luma(rgb, y * width * 3, group, Math.min(lines, height - y) * width)
    boxAcross(group, onceAcross, y * width, width, across)
  }

  // Of the second pass only the 64 columns that are kept need going on, so whole rows are never stored.
  const twiceAcross = new Float32Array(height * grid)
  const blurred = new Float32Array(lines * width)
  boxDown(onceAcross, width, height, down, (y, line) => {
    group.set(line, (y % lines) * width)
    if (y % lines < lines - 1 && y < height - 1) return
    boxAcross(group, blurred, 0, width, across)
    for (let done = y - (y % lines); done <= y; done++) {
      const from = (done % lines) * width
      for (let i = 0; i < grid; i++) twiceAcross[done * grid + i] = blurred[from + (columns[i] ?? 0)] ?? 0
    }
  })
  let next = 0
  boxDown(twiceAcross, grid, height, down, (y, line) => {
    for (; rows[next] === y; next++) small.set(line, next * grid)
  })
  return small
}

function luma(rgb: Uint8Array, from: number, out: Float32Array, count: number): void {
  for (let i = 0, p = from; i < count; i++, p += 3) {
    out[i] = (rgb[p] ?? 0) * 0.299 + (rgb[p + 1] ?? 0) * 0.587 + (rgb[p + 2] ?? 0) * 0.114
  }
}

/** Box filter along 4 lines at once: each running sum has to wait for itself, so four of them share the waiting. */
function boxAcross(input: Float32Array, output: Float32Array, at: number, width: number, window: number): void {
  const { fround } = Math
  const ahead = Math.floor((window + 2) / 2) - 1
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let size = 0
  for (let right = 0; right < width + ahead; right++) {
    if (right < width) {
      a = fround(a + (input[right] ?? 0))
      b = fround(b + (input[right + width] ?? 0))
      c = fround(c + (input[right + 2 * width] ?? 0))
      d = fround(d + (input[right + 3 * width] ?? 0))
      size++
    }
    const left = right - window
    if (left >= 0) {
      a = fround(a - (input[left] ?? 0))
      b = fround(b - (input[left + width] ?? 0))
      c = fround(c - (input[left + 2 * width] ?? 0))
      d = fround(d - (input[left + 3 * width] ?? 0))
      size--
    }
    const x = right - ahead
    if (x < 0) continue
    output[at + x] = a / size
    output[at + x + width] = b / size
    output[at + x + 2 * width] = c / size
    output[at + x + 3 * width] = d / size
  }
}

/** Box filter down all columns, handing out each row as it is done; the row is valid until `emit` returns. */
function boxDown(
  input: Float32Array,
  width: number,
  height: number,
  window: number,
  emit: (y: number, line: Float32Array) => void,
): void {
  const ahead = Math.floor((window + 2) / 2) - 1
  const sums = new Float32Array(width)
  const line = new Float32Array(width)
  let size = 0
  for (let bottom = 0; bottom < height + ahead; bottom++) {
    if (bottom < height) {
      const from = bottom * width
      for (let x = 0; x < width; x++) sums[x] = (sums[x] ?? 0) + (input[from + x] ?? 0)
      size++
    }
    if (bottom >= window) {
      const from = (bottom - window) * width
      for (let x = 0; x < width; x++) sums[x] = (sums[x] ?? 0) - (input[from + x] ?? 0)
      size--
    }
    if (bottom < ahead) continue
    for (let x = 0; x < width; x++) line[x] = (sums[x] ?? 0) / size
    emit(bottom - ahead, line)
  }
}

/** Sum of the significant steps between neighbours, scaled to 0..100. */
function qualityOf(small: Float32Array): number {
  const { fround } = Math
  let sum = 0
  const step = (u: number, v: number) => Math.abs(Math.trunc(fround(fround(fround(u - v) * 100) / 255)))
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) {
      const here = small[y * grid + x] ?? 0
      if (y + 1 < grid) sum += step(here, small[(y + 1) * grid + x] ?? 0)
      if (x + 1 < grid) sum += step(here, small[y * grid + x + 1] ?? 0)
    }
  }
  return Math.min(100, Math.floor(sum / 90))
}

const cosines = Float32Array.from({ length: frequencies * grid }, (_, at) => {
  const i = Math.floor(at / grid)
  const j = at % grid
  return Math.fround(Math.sqrt(2 / grid)) * Math.cos((Math.PI / 2 / grid) * (i + 1) * (2 * j + 1))
})

/** The 16x16 lowest frequencies but the constant ones: row = vertical, column = horizontal. */
function cosineTransform(small: Float32Array): Float32Array {
  const { fround } = Math
  const half = new Float32Array(frequencies * grid)
  for (let i = 0; i < frequencies; i++) {
    for (let k = 0; k < grid; k++) {
      const factor = cosines[i * grid + k] ?? 0
      for (let j = 0; j < grid; j++) {
        half[i * grid + j] = (half[i * grid + j] ?? 0) + fround(factor * (small[k * grid + j] ?? 0))
      }
    }
  }
  const coefficients = new Float32Array(frequencies * frequencies)
  for (let i = 0; i < frequencies; i++) {
    for (let j = 0; j < frequencies; j++) {
      let sum = 0
      for (let k = 0; k < grid; k++) {
        sum = fround(sum + fround((half[i * grid + k] ?? 0) * (cosines[j * grid + k] ?? 0)))
      }
      coefficients[i * frequencies + j] = sum
    }
  }
  return coefficients
}

/** One bit a coefficient: greater than the lower median of all. */
function hashOf(coefficients: Float32Array, orientation: Orientation): Uint8Array {
  const { flipped, mirrored, transposed } = turns[orientation]
  const turned = new Float32Array(coefficients.length)
  for (let i = 0; i < frequencies; i++) {
    for (let j = 0; j < frequencies; j++) {
      const negative = (flipped && i % 2 === 0) !== (mirrored && j % 2 === 0)
      const value = coefficients[i * frequencies + j] ?? 0
      turned[transposed ? j * frequencies + i : i * frequencies + j] = negative ? -value : value
    }
  }
  const median = turned.toSorted()[turned.length / 2 - 1] ?? 0
  const hash = new Uint8Array(PDQ_BYTES)
  for (let k = 0; k < turned.length; k++) {
    if ((turned[k] ?? 0) <= median) continue
    const at = PDQ_BYTES - 1 - (k >> 3)
    hash[at] = (hash[at] ?? 0) | (1 << (k & 7))
  }
  return hash
}
