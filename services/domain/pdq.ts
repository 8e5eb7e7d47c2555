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
type Turn = { flipped: boolean; mirrored: boolean; transposed: boolean }
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
  if (width < leastSide || height < leastSide) {
    const none = hashEach(() => new Uint8Array(PDQ_BYTES))
    return { quality: 0, hashes: none, turned: none }
  }
  const grids = shrink(rgb, width, height)
  const coefficients = grids.map((small) => cosineTransform(small))
  const own = coefficients[0] ?? new Float32Array()
  return {
    quality: qualityOf(grids[0]),
    hashes: hashEach((orientation) => hashOf(own, turns[orientation])),
    turned: hashEach((orientation) => {
      const { flipped, mirrored, transposed } = turns[orientation]
      const sampled = coefficients[gridOf(flipped, mirrored)] ?? own
      return hashOf(sampled, { flipped: false, mirrored: false, transposed })
    }),
  }
}

/** The picture as it stands, mirrored, flipped, and both: each 64x64, sampled where the reference would after that turn. */
type Grids = [Float32Array, Float32Array, Float32Array, Float32Array]

function gridOf(flipped: boolean, mirrored: boolean): number {
  return Number(flipped) * 2 + Number(mirrored)
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
function shrink(rgb: Uint8Array, width: number, height: number): Grids {
  const grids: Grids = [
    new Float32Array(grid * grid),
    new Float32Array(grid * grid),
    new Float32Array(grid * grid),
    new Float32Array(grid * grid),
  ]
  const columns = samples(width)
  const rows = samples(height)
  /** Puts the sampled columns of a blurred row, those of the picture and those of the mirrored one, into the grids. */
  function place(y: number, line: Float32Array): void {
    for (const [flip, places] of [rows.own, rows.reversed].entries()) {
      for (let at = places.indexOf(y); at >= 0 && places[at] === y; at++) {
        grids[gridOf(flip === 1, false)]?.set(line.subarray(0, grid), at * grid)
        grids[gridOf(flip === 1, true)]?.set(line.subarray(grid), at * grid)
      }
    }
  }
  function sampleColumns(from: Float32Array, at: number, to: Float32Array, toAt: number): void {
    for (let i = 0; i < grid; i++) {
      to[toAt + i] = from[at + (columns.own[i] ?? 0)] ?? 0
      to[toAt + grid + i] = from[at + (columns.reversed[i] ?? 0)] ?? 0
    }
  }

  if (width === grid && height === grid) {
    const brightness = new Float32Array(grid * grid)
    luma(rgb, 0, brightness, brightness.length)
    const line = new Float32Array(2 * grid)
    for (let y = 0; y < grid; y++) {
      sampleColumns(brightness, y * grid, line, 0)
      place(y, line)
    }
    return grids
  }

  const rowsInGroups = Math.ceil(height / lines) * lines
  const group = new Float32Array(lines * width)
  const onceAcross = new Float32Array(rowsInGroups * width)
  for (let y = 0; y < height; y += lines) {
    luma(rgb, y * width * 3, group, Math.min(lines, height - y) * width)
    boxAcross(group, onceAcross, y * width, width, columns.window)
  }

  // Of the second pass only the columns that are kept need going on, so whole rows are never stored.
  const twiceAcross = new Float32Array(height * 2 * grid)
  const blurred = new Float32Array(lines * width)
  boxDown(onceAcross, width, height, rows.window, (y, line) => {
    group.set(line, (y % lines) * width)
    if (y % lines < lines - 1 && y < height - 1) return
    boxAcross(group, blurred, 0, width, columns.window)
    for (let done = y - (y % lines); done <= y; done++) {
      sampleColumns(blurred, (done % lines) * width, twiceAcross, done * 2 * grid)
    }
  })
  boxDown(twiceAcross, 2 * grid, height, rows.window, place)
  return grids
}

/** How one side is sampled: the box filter's window, and 64 places along the picture and along its mirror image. */
type Samples = { window: number; own: Int32Array; reversed: Int32Array }

function samples(length: number): Samples {
  const window = Math.floor((length + 127) / 128)
  const own = Int32Array.from({ length: grid }, (_, i) => Math.floor(((i + 0.5) * length) / grid))
  // An even window reaches one pixel further ahead than back. After two passes what is found at x is centred on x + 1, so
  // from the other side the same blur is found two pixels earlier.
  const shift = window % 2 === 0 ? 2 : 0
  return { window, own, reversed: own.map((place) => Math.max(0, length - 1 - place - shift)) }
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
function hashOf(coefficients: Float32Array, { flipped, mirrored, transposed }: Turn): Uint8Array {
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
