/*
 * PDQ of a picture in its 8 orientations, in two ways.
 *
 * The quick one: two passes of a box filter and the decimation are linear and separable, so each of the 64 sampled rows is one weighted sum
 * of rows, and each of its 64 samples one weighted sum of what is in it. Between the edges the weights are small whole numbers (a tent), so
 * rows are summed as 16-bit numbers before colours become luma. A flipped picture is sampled a few rows away, which costs a few additions.
 *
 * The reference's: running sums of 32-bit floats, added and taken away in its order, with its roundings. Where a coefficient lies so near
 * to the median that those roundings decide a bit, this one must.
 *
 * First `begin`, then for each i of 64 `rows` with where the rows lie that `PLACES` names, then `finish`; for the reference's way
 * `beginReference` after that, `rowsReference` with all rows by eights, then `finishReference`. Rows lie in a picture that `hold` made room for, or are copied
 * into the strip that `begin` names.
 */

const GRID: i32 = 64
/** samples along the picture, then samples along its mirror image */
const SAMPLES: i32 = 128
const FREQUENCIES: i32 = 16
const COEFFICIENTS: i32 = 256
const FLOAT: usize = 4
const VECTOR: usize = 16
/** 16-bit sums hold a tent of this window at most: its weights are window * window together */
const WIDEST_TENT: i32 = 16
const PAGE: usize = 65536
/** a tent may move on by so many rows for a flipped picture */
const STEPS: i32 = 3

/** 16 hashes of 32 bytes: for each of as it stands, mirrored, flipped, both: itself and transposed; derived ones, then sampled ones. */
export const HASHES: usize = memory.data(512, 16)
/** For each of 64 pairs of sampled rows, one of the picture and one of the flipped picture: first row needed, and how many; i32. */
export const PLACES: usize = memory.data(512, 16)
const cosines: usize = memory.data(4096, 16)
const cosinesByColumn: usize = memory.data(4096, 16)
/** 128 rows of 128 samples: of the picture, its mirror image, and both flipped */
const small: usize = memory.data(65536, 16)
/** 16 x 128 */
const half: usize = memory.data(8192, 16)
/** of the 4 pictures in `small` */
const coefficients: usize = memory.data(4096, 16)
const signed: usize = memory.data(1024, 16)
const sorted: usize = memory.data(1024, 16)
/** where the sampled columns and rows are; i32 */
const columns: usize = memory.data(512, 16)
const lines: usize = memory.data(512, 16)
/** for each sampled column: first pixel, weights (a multiple of four), where they are; i32 */
const columnWeights: usize = memory.data(2048, 16)

let width: i32 = 0
let height: i32 = 0
let windowAcross: i32 = 0
let windowDown: i32 = 0
/** bytes of a row, and from one row to the next */
let used: usize = 0
let pitch: usize = 0
/** where the room for a picture ends, and all other room begins */
let heldEnd: usize = __heap_base
/** behind everything that depends on the picture's size */
let end: usize = 0
/** a place for weights: f64 each */
let scratch: usize = 0
let rowWeights: usize = 0
let luma: usize = 0
let sums: usize = 0
let movedSums: usize = 0

/** 0..100; it lies between the two, which differ where rounding decides */
export let quality: i32 = 0
export let highestQuality: i32 = 0
/** how far above the median the next coefficient is, in the orientation where that is least */
export let gap: f32 = 0

for (let i = 0; i < FREQUENCIES; i++) {
  for (let j = 0; j < GRID; j++) {
    const scale = f64(f32(Math.sqrt(2.0 / GRID)))
    const cosine = f32(scale * Math.cos((Math.PI / 2 / GRID) * f64(i + 1) * f64(2 * j + 1)))
    store<f32>(cosines + FLOAT * (i * GRID + j), cosine)
    store<f32>(cosinesByColumn + FLOAT * (j * FREQUENCIES + i), cosine)
  }
}

/** Room for so many bytes, behind what there is; a vector may be read across its end. Ends the call where there is no such room. */
function room(bytes: usize): usize {
  const at = (end + 15) & ~15
  if (bytes > usize.MAX_VALUE - PAGE - at - VECTOR) unreachable()
  end = at + bytes + VECTOR
  const pages = i32((end + PAGE - 1) / PAGE)
  if (pages > memory.size() && memory.grow(pages - memory.size()) < 0) unreachable()
  return at
}

@inline
function ahead(window: i32): i32 {
  return (window + 2) / 2 - 1
}

@inline
function behind(window: i32): i32 {
  return window - 1 - ahead(window)
}

/** Where a side is sampled: 64 places along the picture, and 64 along its mirror image. */
function sample(length: i32, window: i32, places: usize): void {
  // An even window reaches one pixel further ahead than back. After two passes what is found at x is centred on x + 1, so
  // from the other side the same blur is found two pixels earlier.
  const shift = window % 2 == 0 ? 2 : 0
  for (let i = 0; i < GRID; i++) {
    const place = i32((i64(2 * i + 1) * length) / (2 * GRID))
    store<i32>(places + FLOAT * i, place)
    store<i32>(places + FLOAT * (GRID + i), max<i32>(0, length - 1 - place - shift))
  }
}

let firstOfTent: i32 = 0

/** What each pixel weighs at one place after two box filters. The first such pixel is `firstOfTent`. @returns how many there are */
function tent(length: i32, window: i32, place: i32, weights: usize): i32 {
  const from = max<i32>(0, place - behind(window))
  const to = min<i32>(length - 1, place + ahead(window))
  firstOfTent = max<i32>(0, from - behind(window))
  const count = min<i32>(length - 1, to + ahead(window)) - firstOfTent + 1
  memory.fill(scratch, 0, 8 * (count + 1))
  const outer = 1.0 / f64(to - from + 1)
  for (let x = from; x <= to; x++) {
    const first = max<i32>(0, x - behind(window))
    const last = min<i32>(length - 1, x + ahead(window))
    const inner = outer / f64(last - first + 1)
    const begins = scratch + 8 * (first - firstOfTent)
    const ends = scratch + 8 * (last + 1 - firstOfTent)
    store<f64>(begins, load<f64>(begins) + inner)
    store<f64>(ends, load<f64>(ends) - inner)
  }
  let weight: f64 = 0
  for (let j = 0; j < count; j++) {
    weight += load<f64>(scratch + 8 * j)
    store<f32>(weights + FLOAT * j, f32(weight))
  }
  return count
}

/** Makes room for a picture of so many bytes that stays until the next one is held, and gives up the last. @returns where it is */
export function hold(bytes: usize): usize {
  end = __heap_base
  const at = room(bytes)
  heldEnd = end
  return at
}

/**
 * Takes the size of a picture, of 5 x 5 pixels at least.
 * @param rowBytes from the beginning of a row to that of the next
 * @returns where rows go that lie elsewhere, one behind the other
 */
export function begin(pixelsAcross: i32, pixelsDown: i32, rowBytes: usize): usize {
  width = pixelsAcross
  height = pixelsDown
  used = 3 * usize(width)
  pitch = rowBytes
  windowAcross = (width + 127) / 128
  windowDown = (height + 127) / 128
  sample(width, windowAcross, columns)
  sample(height, windowDown, lines)

  end = heldEnd
  scratch = room(8 * 2 * usize(max<i32>(windowAcross, windowDown) + 1))
  for (let c = 0; c < SAMPLES; c++) {
    const weights = room(FLOAT * 2 * windowAcross)
    const count = tent(width, windowAcross, load<i32>(columns + FLOAT * c), weights)
    v128.store(weights + FLOAT * count, f32x4.splat(0))
    store<i32>(columnWeights + VECTOR * c, firstOfTent)
    store<i32>(columnWeights + VECTOR * c, (count + 3) & ~3, 4)
    store<i32>(columnWeights + VECTOR * c, i32(weights), 8)
  }
  rowWeights = room(FLOAT * 2 * windowDown)
  luma = room(FLOAT * usize(width + 8))
  // Weights that are noughts meet what is here, which must be a number.
  v128.store(luma + FLOAT * width, f32x4.splat(0))
  sums = room(FLOAT * (used + VECTOR))
  movedSums = room(2 * (used + VECTOR))
  const strip = room(used * max<i32>(ROWS, 2 * windowDown + STEPS))

  for (let i = 0; i < GRID; i++) {
    const high = load<i32>(lines + FLOAT * i)
    const low = mirrored(i)
    const from = max<i32>(0, min<i32>(low, high) - 2 * behind(windowDown))
    const to = min<i32>(height - 1, max<i32>(low, high) + 2 * ahead(windowDown))
    store<i32>(PLACES + 8 * i, from)
    store<i32>(PLACES + 8 * i, to - from + 1, 4)
  }
  return strip
}

/** The row that a flipped picture has nearest to the i-th sampled one: the same, or a few rows up. */
@inline
function mirrored(i: i32): i32 {
  return load<i32>(lines + FLOAT * (2 * GRID - 1 - i))
}

/** Takes the i-th pair of rows: the first row that they need is at `first`. */
export function rows(i: i32, first: usize): void {
  const own = load<i32>(lines + FLOAT * i)
  const other = mirrored(i)
  const from = load<i32>(PLACES + 8 * i)
  const ownSamples = small + FLOAT * SAMPLES * i
  const otherSamples = small + FLOAT * SAMPLES * (2 * GRID - 1 - i)
  const steps = own - other
  const isInside = other >= 2 * behind(windowDown) && own + 2 * ahead(windowDown) < height
  if (isInside && steps >= 0 && steps <= STEPS && windowDown <= WIDEST_TENT) {
    sumTents(first + pitch * (other - 2 * behind(windowDown) - from), steps)
    toLuma(sums)
    across(otherSamples)
    if (steps > 0) {
      toLuma(movedSums)
      across(ownSamples)
    }
  } else {
    sumWeighted(other, first - pitch * from)
    across(otherSamples)
    if (steps != 0) {
      sumWeighted(own, first - pitch * from)
      across(ownSamples)
    }
  }
  if (steps == 0) memory.copy(ownSamples, otherSamples, FLOAT * SAMPLES)
}

/** Two box filters over the rows that begin at `top`, into `sums`, and over those `steps` rows further down, into `movedSums`; 16 bits each. */
function sumTents(top: usize, steps: i32): void {
  const window = windowDown
  for (let x: usize = 0; x < used; x += VECTOR) {
    // Sums of sums: the row next to the middle is in all of them, the outermost in one.
    let upper0 = i16x8.splat(0)
    let upper1 = i16x8.splat(0)
    let lower0 = i16x8.splat(0)
    let lower1 = i16x8.splat(0)
    let sum0 = i16x8.splat(0)
    let sum1 = i16x8.splat(0)
    let at = top + x + pitch * (window - 1)
    for (let k = 0; k < window; k++) {
      const row = v128.load(at)
      upper0 = i16x8.add(upper0, i16x8.extend_low_i8x16_u(row))
      upper1 = i16x8.add(upper1, i16x8.extend_high_i8x16_u(row))
      sum0 = i16x8.add(sum0, upper0)
      sum1 = i16x8.add(sum1, upper1)
      at -= pitch
    }
    at = top + x + pitch * window
    for (let k = 1; k < window; k++) {
      const row = v128.load(at)
      lower0 = i16x8.add(lower0, i16x8.extend_low_i8x16_u(row))
      lower1 = i16x8.add(lower1, i16x8.extend_high_i8x16_u(row))
      sum0 = i16x8.add(sum0, lower0)
      sum1 = i16x8.add(sum1, lower1)
      at += pitch
    }
    v128.store(sums + 2 * x, sum0)
    v128.store(sums + 2 * x, sum1, VECTOR)
    if (steps == 0) continue

    // One row further down: less all rows of the upper half, and more all of the lower one, to which a row has come.
    let leaves = top + x
    let passes = leaves + pitch * window
    let comes = at
    for (let k = 0; k < steps; k++) {
      const left = v128.load(leaves)
      const passed = v128.load(passes)
      const come = v128.load(comes)
      lower0 = i16x8.add(lower0, i16x8.extend_low_i8x16_u(come))
      lower1 = i16x8.add(lower1, i16x8.extend_high_i8x16_u(come))
      sum0 = i16x8.add(i16x8.sub(sum0, upper0), lower0)
      sum1 = i16x8.add(i16x8.sub(sum1, upper1), lower1)
      upper0 = i16x8.add(i16x8.sub(upper0, i16x8.extend_low_i8x16_u(left)), i16x8.extend_low_i8x16_u(passed))
      upper1 = i16x8.add(i16x8.sub(upper1, i16x8.extend_high_i8x16_u(left)), i16x8.extend_high_i8x16_u(passed))
      lower0 = i16x8.sub(lower0, i16x8.extend_low_i8x16_u(passed))
      lower1 = i16x8.sub(lower1, i16x8.extend_high_i8x16_u(passed))
      leaves += pitch
      passes += pitch
      comes += pitch
    }
    v128.store(movedSums + 2 * x, sum0)
    v128.store(movedSums + 2 * x, sum1, VECTOR)
  }
}

@inline
function low32(levels: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(levels))
}

@inline
function high32(levels: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(levels))
}

/** For red, green and blue, from each of three vectors: where in it the bytes of the next 8 levels are; 0xff where they are in another one. */
const lanes: usize = memory.data(144, 16)
for (let colour = 0; colour < 3; colour++) {
  memory.fill(lanes + 3 * VECTOR * colour, 0xff, 3 * VECTOR)
  for (let pixel = 0; pixel < 8; pixel++) {
    const level = 3 * pixel + colour
    const to = lanes + VECTOR * (3 * colour + level / 8) + 2 * pixel
    store<u8>(to, u8(2 * (level % 8)))
    store<u8>(to, u8(2 * (level % 8) + 1), 1)
  }
}

/**
 * Bytes of three vectors, put together by where they are in each. Shuffles of two vectors would do, but the compiler makes their constants anew each time, which takes
 * longer than they do.
 */
@inline
function gather(one: v128, two: v128, three: v128, ofOne: v128, ofTwo: v128, ofThree: v128): v128 {
  return v128.or(v128.or(i8x16.swizzle(one, ofOne), i8x16.swizzle(two, ofTwo)), i8x16.swizzle(three, ofThree))
}

/** Sums of red, green and blue, 16 bits each, to a row of luma. */
function toLuma(from: usize): void {
  const scale = 1.0 / f64(windowDown * windowDown)
  const red = f32x4.splat(f32(0.299 * scale))
  const green = f32x4.splat(f32(0.587 * scale))
  const blue = f32x4.splat(f32(0.114 * scale))
  const reds1 = v128.load(lanes, 0)
  const reds2 = v128.load(lanes, 16)
  const reds3 = v128.load(lanes, 32)
  const greens1 = v128.load(lanes, 48)
  const greens2 = v128.load(lanes, 64)
  const greens3 = v128.load(lanes, 80)
  const blues1 = v128.load(lanes, 96)
  const blues2 = v128.load(lanes, 112)
  const blues3 = v128.load(lanes, 128)
  let at = from
  for (let x = 0; x < width; x += 8) {
    // r0 g0 b0 r1 g1 b1 r2 g2 | b2 r3 g3 b3 r4 g4 b4 r5 | g5 b5 r6 g6 b6 r7 g7 b7
    const one = v128.load(at)
    const two = v128.load(at, VECTOR)
    const three = v128.load(at, 2 * VECTOR)
    const reds = gather(one, two, three, reds1, reds2, reds3)
    const greens = gather(one, two, three, greens1, greens2, greens3)
    const blues = gather(one, two, three, blues1, blues2, blues3)
    const low = f32x4.add(f32x4.mul(low32(reds), red), f32x4.mul(low32(greens), green))
    const high = f32x4.add(f32x4.mul(high32(reds), red), f32x4.mul(high32(greens), green))
    v128.store(luma + FLOAT * x, f32x4.add(low, f32x4.mul(low32(blues), blue)))
    v128.store(luma + FLOAT * x, f32x4.add(high, f32x4.mul(high32(blues), blue)), VECTOR)
    at += 3 * VECTOR
  }
}

/** A row of luma as a sum of rows with weights of any size: at the edges, and where windows are wide. @param picture where its first row would be */
function sumWeighted(place: i32, picture: usize): void {
  const count = tent(height, windowDown, place, rowWeights)
  const top = picture + pitch * firstOfTent
  for (let x: usize = 0; x < used; x += VECTOR) {
    let sum0 = f32x4.splat(0)
    let sum1 = f32x4.splat(0)
    let sum2 = f32x4.splat(0)
    let sum3 = f32x4.splat(0)
    let at = top + x
    for (let k = 0; k < count; k++) {
      const row = v128.load(at)
      const weight = v128.load32_splat(rowWeights + FLOAT * k)
      const low = i16x8.extend_low_i8x16_u(row)
      const high = i16x8.extend_high_i8x16_u(row)
      sum0 = f32x4.add(sum0, f32x4.mul(weight, low32(low)))
      sum1 = f32x4.add(sum1, f32x4.mul(weight, high32(low)))
      sum2 = f32x4.add(sum2, f32x4.mul(weight, low32(high)))
      sum3 = f32x4.add(sum3, f32x4.mul(weight, high32(high)))
      at += pitch
    }
    const to = sums + FLOAT * x
    v128.store(to, sum0)
    v128.store(to, sum1, VECTOR)
    v128.store(to, sum2, 2 * VECTOR)
    v128.store(to, sum3, 3 * VECTOR)
  }
  for (let x = 0; x < width; x++) {
    const at = sums + 3 * FLOAT * x
    const level = load<f32>(at) * f32(0.299) + load<f32>(at, 4) * f32(0.587) + load<f32>(at, 8) * f32(0.114)
    store<f32>(luma + FLOAT * x, level)
  }
}

/** Samples the row of luma, along the picture and along its mirror image. */
function across(samples: usize): void {
  for (let c = 0; c < SAMPLES; c++) {
    const entry = columnWeights + VECTOR * c
    let at = luma + FLOAT * load<i32>(entry)
    let weights = usize(load<i32>(entry, 8))
    const last = weights + FLOAT * load<i32>(entry, 4)
    let sum = f32x4.splat(0)
    while (weights < last) {
      sum = f32x4.add(sum, f32x4.mul(v128.load(at), v128.load(weights)))
      at += VECTOR
      weights += VECTOR
    }
    const pairs = f32x4.add(sum, v128.shuffle<u32>(sum, sum, 2, 3, 0, 1))
    store<f32>(samples + FLOAT * c, f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1))
  }
}

/** Hashes and quality of what was sampled. @param slack by how much a sample may differ from the reference's */
export function finish(slack: f32): void {
  rate(slack)
  transform()
  derive()
  // What a flip and a mirroring would be sampled as; the picture as it stands is the same in both.
  memory.copy(HASHES + 256, HASHES, 64)
  for (let turn = 1; turn < 4; turn++) {
    memory.copy(signed, coefficients + FLOAT * COEFFICIENTS * turn, FLOAT * COEFFICIENTS)
    hash(HASHES + 256 + 64 * turn)
  }
}

/** The hashes that follow from the picture's own coefficients. */
function derive(): void {
  gap = f32.MAX_VALUE
  for (let turn = 0; turn < 4; turn++) {
    sign((turn & 2) != 0, (turn & 1) != 0)
    gap = min<f32>(gap, hash(HASHES + 64 * turn))
  }
}

/** Sum of the significant steps between neighbours, scaled to 0..100: the least and the most that it can be. */
function rate(slack: f32): void {
  let least = i32x4.splat(0)
  let most = i32x4.splat(0)
  for (let y = 0; y < GRID; y++) {
    for (let x = 0; x < GRID; x += 4) {
      const at = small + FLOAT * (y * SAMPLES + x)
      const here = v128.load(at)
      if (y + 1 < GRID) {
        const difference = f32x4.abs(f32x4.sub(here, v128.load(at + FLOAT * SAMPLES)))
        least = i32x4.add(least, stepLevels(difference, -slack))
        most = i32x4.add(most, stepLevels(difference, slack))
      }
      // What is right of the last sample belongs to the mirror image.
      const counted = x + 4 < GRID ? i32x4.splat(-1) : i32x4(-1, -1, -1, 0)
      const difference = f32x4.abs(f32x4.sub(here, v128.load(at, 4)))
      least = i32x4.add(least, v128.and(counted, stepLevels(difference, -slack)))
      most = i32x4.add(most, v128.and(counted, stepLevels(difference, slack)))
    }
  }
  quality = min<i32>(100, sumOf(least) / 90)
  highestQuality = min<i32>(100, sumOf(most) / 90)
}

@inline
function stepLevels(differences: v128, more: f32): v128 {
  const levels = f32x4.max(f32x4.splat(0), f32x4.add(differences, f32x4.splat(more)))
  return i32x4.trunc_sat_f32x4_s(f32x4.div(f32x4.mul(levels, f32x4.splat(100)), f32x4.splat(255)))
}

@inline
function sumOf(four: v128): i32 {
  return (
    i32x4.extract_lane(four, 0) + i32x4.extract_lane(four, 1) + i32x4.extract_lane(four, 2) + i32x4.extract_lane(four, 3)
  )
}

/** The 16 x 16 lowest frequencies but the constant ones, of each of the 4 pictures, added in the reference's order. */
function transform(): void {
  for (let flipped = 0; flipped < 2; flipped++) {
    const picture = small + FLOAT * SAMPLES * GRID * flipped
    for (let i = 0; i < FREQUENCIES; i++) {
      for (let block = 0; block < SAMPLES; block += 32) {
        let sum0 = f32x4.splat(0)
        let sum1 = f32x4.splat(0)
        let sum2 = f32x4.splat(0)
        let sum3 = f32x4.splat(0)
        let sum4 = f32x4.splat(0)
        let sum5 = f32x4.splat(0)
        let sum6 = f32x4.splat(0)
        let sum7 = f32x4.splat(0)
        let at = picture + FLOAT * block
        for (let k = 0; k < GRID; k++) {
          const cosine = v128.load32_splat(cosines + FLOAT * (i * GRID + k))
          sum0 = f32x4.add(sum0, f32x4.mul(cosine, v128.load(at)))
          sum1 = f32x4.add(sum1, f32x4.mul(cosine, v128.load(at, 16)))
          sum2 = f32x4.add(sum2, f32x4.mul(cosine, v128.load(at, 32)))
          sum3 = f32x4.add(sum3, f32x4.mul(cosine, v128.load(at, 48)))
          sum4 = f32x4.add(sum4, f32x4.mul(cosine, v128.load(at, 64)))
          sum5 = f32x4.add(sum5, f32x4.mul(cosine, v128.load(at, 80)))
          sum6 = f32x4.add(sum6, f32x4.mul(cosine, v128.load(at, 96)))
          sum7 = f32x4.add(sum7, f32x4.mul(cosine, v128.load(at, 112)))
          at += FLOAT * SAMPLES
        }
        const to = half + FLOAT * (i * SAMPLES + block)
        v128.store(to, sum0)
        v128.store(to, sum1, 16)
        v128.store(to, sum2, 32)
        v128.store(to, sum3, 48)
        v128.store(to, sum4, 64)
        v128.store(to, sum5, 80)
        v128.store(to, sum6, 96)
        v128.store(to, sum7, 112)
      }
    }
    for (let mirrored = 0; mirrored < 2; mirrored++) {
      for (let i = 0; i < FREQUENCIES; i++) {
        let sum0 = f32x4.splat(0)
        let sum1 = f32x4.splat(0)
        let sum2 = f32x4.splat(0)
        let sum3 = f32x4.splat(0)
        for (let k = 0; k < GRID; k++) {
          const value = v128.load32_splat(half + FLOAT * (i * SAMPLES + GRID * mirrored + k))
          const cosine = cosinesByColumn + FLOAT * FREQUENCIES * k
          sum0 = f32x4.add(sum0, f32x4.mul(value, v128.load(cosine)))
          sum1 = f32x4.add(sum1, f32x4.mul(value, v128.load(cosine, 16)))
          sum2 = f32x4.add(sum2, f32x4.mul(value, v128.load(cosine, 32)))
          sum3 = f32x4.add(sum3, f32x4.mul(value, v128.load(cosine, 48)))
        }
        const to = coefficients + FLOAT * (COEFFICIENTS * (2 * flipped + mirrored) + FREQUENCIES * i)
        v128.store(to, sum0)
        v128.store(to, sum1, 16)
        v128.store(to, sum2, 32)
        v128.store(to, sum3, 48)
      }
    }
  }
}

/** What a flip and a mirroring make of the picture's coefficients: every second row or column changes its sign. */
function sign(flipped: bool, mirrored: bool): void {
  const columnSigns = mirrored ? f32x4(-1, 1, -1, 1) : f32x4.splat(1)
  for (let i = 0; i < FREQUENCIES; i++) {
    const signs = flipped && i % 2 == 0 ? f32x4.neg(columnSigns) : columnSigns
    for (let j = 0; j < FREQUENCIES; j += 4) {
      const at = FLOAT * (i * FREQUENCIES + j)
      v128.store(signed + at, f32x4.mul(v128.load(coefficients + at), signs))
    }
  }
}

/**
 * One bit for each of the `signed` coefficients: greater than the lower median of all; then the same transposed.
 * @returns how far above the median the next one is
 */
function hash(to: usize): f32 {
  memory.copy(sorted, signed, FLOAT * COEFFICIENTS)
  const median = select(COEFFICIENTS / 2 - 1)
  let next = f32.MAX_VALUE
  for (let k = COEFFICIENTS / 2; k < COEFFICIENTS; k++) next = min<f32>(next, load<f32>(sorted + FLOAT * k))
  const medians = f32x4.splat(median)
  const transposed = to + 32
  memory.fill(transposed, 0, 32)
  for (let byte = 0; byte < 32; byte++) {
    const at = signed + 8 * FLOAT * byte
    const low = i32x4.bitmask(f32x4.gt(v128.load(at), medians))
    const high = i32x4.bitmask(f32x4.gt(v128.load(at, VECTOR), medians))
    const bits = low | (high << 4)
    store<u8>(to + 31 - byte, u8(bits))
    for (let bit = 0; bit < 8; bit++) {
      const k = 8 * byte + bit
      const other = (k % FREQUENCIES) * FREQUENCIES + k / FREQUENCIES
      const place = transposed + 31 - (other >> 3)
      store<u8>(place, load<u8>(place) | u8(((bits >> bit) & 1) << (other & 7)))
    }
  }
  return next - median
}

/** The n-th smallest of `sorted`; those behind it are not smaller. Hoare's selection. */
function select(n: i32): f32 {
  let low = 0
  let high = COEFFICIENTS - 1
  while (low < high) {
    const pivot = load<f32>(sorted + FLOAT * n)
    let i = low
    let j = high
    do {
      while (load<f32>(sorted + FLOAT * i) < pivot) i++
      while (pivot < load<f32>(sorted + FLOAT * j)) j--
      if (i <= j) {
        const value = load<f32>(sorted + FLOAT * i)
        store<f32>(sorted + FLOAT * i, load<f32>(sorted + FLOAT * j))
        store<f32>(sorted + FLOAT * j, value)
        i++
        j--
      }
    } while (i <= j)
    if (j < n) low = i
    if (n < i) high = j
  }
  return load<f32>(sorted + FLOAT * n)
}

// From here on the reference's way: eight rows side by side, since each running sum has to wait for itself.

const ROWS: i32 = 8
/** a vector's floats: rows are turned into columns by blocks of so many rows and columns */
const BLOCK: i32 = 4
/** bytes of a column of eight rows */
const COLUMN: usize = FLOAT * ROWS
/** Where in 16 bytes red and green of four pixels are, as 16-bit numbers, then where blue is, as 32-bit numbers; 0xff for noughts. */
const wide: usize = memory.data(32, 16)
memory.fill(wide, 0xff, 32)
for (let pixel = 0; pixel < BLOCK; pixel++) {
  const to = wide + 4 * pixel
  store<u8>(to, u8(3 * pixel))
  store<u8>(to, u8(3 * pixel + 1), 2)
  store<u8>(to, u8(3 * pixel + 2), 16)
}
/** bytes of a row in the rings and of a row of samples */
let floats: usize = 0
const sampled: usize = FLOAT * GRID
/** eight rows by columns, before and after a box filter along them */
let sharp: usize = 0
let blurred: usize = 0
/** rings of rows that were blurred along, once and twice; as many as a window needs, and the eight in hand */
let once: usize = 0
let twice: usize = 0
let ringRows: i32 = 0
let runningSums: usize = 0
let sampledSums: usize = 0
let sampledRow: usize = 0
/** rows that were blurred along and down, until there are eight */
let waiting: usize = 0
let waitingRows: i32 = 0
let rowsTaken: i32 = 0
let rowsBlurred: i32 = 0
let nextSample: i32 = 0

/** Begins the reference's way for the picture that was begun last. */
export function beginReference(): void {
  floats = (FLOAT * usize(width) + 15) & ~15
  ringRows = windowDown + ROWS
  sharp = room(COLUMN * usize(width + BLOCK))
  blurred = room(COLUMN * usize(width + BLOCK))
  once = room(floats * ringRows)
  twice = room(sampled * ringRows)
  runningSums = room(floats)
  sampledSums = room(sampled)
  sampledRow = room(sampled)
  waiting = room(floats * ROWS)
  memory.fill(runningSums, 0, floats)
  memory.fill(sampledSums, 0, sampled)
  waitingRows = 0
  rowsTaken = 0
  rowsBlurred = 0
  nextSample = 0
}

/** Takes the next rows, which begin at `first`: eight, or what is left at the end. */
export function rowsReference(count: i32, first: usize): void {
  // Behind the last row may be nothing.
  const last = count - 1
  const redsAndGreens = v128.load(wide)
  const blues = v128.load(wide, 16)
  for (let k = 0; k < ROWS; k += BLOCK) {
    let row0 = first + pitch * min<i32>(k, last)
    let row1 = first + pitch * min<i32>(k + 1, last)
    let row2 = first + pitch * min<i32>(k + 2, last)
    let row3 = first + pitch * min<i32>(k + 3, last)
    for (let x = 0; x < width; x += BLOCK) {
      const to = sharp + COLUMN * x + FLOAT * k
      turnBlock(
        lumaOf(row0, redsAndGreens, blues),
        lumaOf(row1, redsAndGreens, blues),
        lumaOf(row2, redsAndGreens, blues),
        lumaOf(row3, redsAndGreens, blues),
        to,
        to + COLUMN,
        to + 2 * COLUMN,
        to + 3 * COLUMN,
      )
      row0 += 3 * BLOCK
      row1 += 3 * BLOCK
      row2 += 3 * BLOCK
      row3 += 3 * BLOCK
    }
  }
  if (width == GRID && height == GRID) return takeAsItIs()
  blurAcross()
  for (let k = 0; k < ROWS; k += BLOCK) {
    const to0 = ring(once, floats, rowsTaken + k)
    const to1 = ring(once, floats, rowsTaken + k + 1)
    const to2 = ring(once, floats, rowsTaken + k + 2)
    const to3 = ring(once, floats, rowsTaken + k + 3)
    for (let x = 0; x < width; x += BLOCK) {
      const at = blurred + COLUMN * x + FLOAT * k
      turnBlock(
        v128.load(at),
        v128.load(at, 32),
        v128.load(at, 64),
        v128.load(at, 96),
        to0 + FLOAT * x,
        to1 + FLOAT * x,
        to2 + FLOAT * x,
        to3 + FLOAT * x,
      )
    }
  }
  for (let k = 0; k < count; k++) blurDown(rowsTaken++)
  if (rowsTaken < height) return
  for (let k = 0; k < ahead(windowDown); k++) blurDown(height + k)
}

/**
 * Luma of four pixels, which are 12 bytes of 16 that are read. The reference adds 0.299 red, 0.587 green and 0.114 blue as 64-bit floats and keeps 32 bits. That is the
 * 32-bit float nearest to a number of thousandths: none of them lies so near the middle of two floats that the way there matters (every colour is tested).
 * @param redsAndGreens where their bytes are, by swizzle (see `gather`)
 */
@inline
function lumaOf(at: usize, redsAndGreens: v128, blues: v128): v128 {
  const bytes = v128.load(at)
  const two = i32x4.dot_i16x8_s(i8x16.swizzle(bytes, redsAndGreens), i32x4.splat((587 << 16) | 299))
  const third = i32x4.dot_i16x8_s(i8x16.swizzle(bytes, blues), i32x4.splat(114))
  return f32x4.div(f32x4.convert_i32x4_s(i32x4.add(two, third)), f32x4.splat(1000))
}

/** A picture of 64 x 64 is not blurred. */
function takeAsItIs(): void {
  for (let k = 0; k < ROWS; k++) {
    const to = small + FLOAT * SAMPLES * (rowsTaken + k)
    for (let x = 0; x < GRID; x++) store<f32>(to + FLOAT * x, load<f32>(sharp + COLUMN * x + FLOAT * k))
  }
  rowsTaken += ROWS
}

/** Quality and derived hashes, as the reference has them. */
export function finishReference(): void {
  rate(0)
  transform()
  derive()
}

/** Where a row is in a ring. Asked once for a row: what is left of a division takes as long as twenty additions. */
@inline
function ring(rows: usize, bytes: usize, row: i32): usize {
  return rows + bytes * (row % ringRows)
}

/** A box filter along eight rows, from `sharp` to `blurred`. */
function blurAcross(): void {
  let running = f32x4.splat(0)
  let others = f32x4.splat(0)
  let size: f32 = 0
  for (let right = 0; right < width + ahead(windowAcross); right++) {
    if (right < width) {
      const comes = sharp + COLUMN * right
      running = f32x4.add(running, v128.load(comes))
      others = f32x4.add(others, v128.load(comes, 16))
      size += 1
    }
    if (right >= windowAcross) {
      const goes = sharp + COLUMN * (right - windowAcross)
      running = f32x4.sub(running, v128.load(goes))
      others = f32x4.sub(others, v128.load(goes, 16))
      size -= 1
    }
    const x = right - ahead(windowAcross)
    if (x >= 0) {
      v128.store(blurred + COLUMN * x, f32x4.div(running, f32x4.splat(size)))
      v128.store(blurred + COLUMN * x, f32x4.div(others, f32x4.splat(size)), 16)
    }
  }
}

/** Rows that a window downwards has when it reaches row `bottom`. */
@inline
function rowsWithin(bottom: i32): f32 {
  return f32(min<i32>(bottom, height - 1) - max<i32>(-1, bottom - windowDown))
}

/** The first box filter downwards, whose window reaches row `bottom`; once eight rows have come of it, the second pass along them. */
function blurDown(bottom: i32): void {
  const size = f32x4.splat(rowsWithin(bottom))
  const isDone = bottom >= ahead(windowDown)
  const to = waiting + floats * waitingRows
  const comes = ring(once, floats, bottom)
  const goes = ring(once, floats, bottom - windowDown)
  for (let x: usize = 0; x < floats; x += VECTOR) {
    let running = v128.load(runningSums + x)
    if (bottom < height) running = f32x4.add(running, v128.load(comes + x))
    if (bottom >= windowDown) running = f32x4.sub(running, v128.load(goes + x))
    v128.store(runningSums + x, running)
    if (isDone) v128.store(to + x, f32x4.div(running, size))
  }
  if (!isDone) return
  waitingRows++
  if (waitingRows < ROWS && bottom - ahead(windowDown) < height - 1) return

  for (let k = 0; k < ROWS; k += BLOCK) {
    for (let x = 0; x < width; x += BLOCK) {
      const at = waiting + floats * k + FLOAT * x
      const into = sharp + COLUMN * x + FLOAT * k
      turnBlock(
        v128.load(at),
        v128.load(at + floats),
        v128.load(at + 2 * floats),
        v128.load(at + 3 * floats),
        into,
        into + COLUMN,
        into + 2 * COLUMN,
        into + 3 * COLUMN,
      )
    }
  }
  blurAcross()
  for (let k = 0; k < waitingRows; k++) {
    const row = ring(twice, sampled, rowsBlurred)
    for (let c = 0; c < GRID; c++) {
      store<f32>(row + FLOAT * c, load<f32>(blurred + COLUMN * load<i32>(columns + FLOAT * c) + FLOAT * k))
    }
    sampleDown(rowsBlurred++)
  }
  waitingRows = 0
  if (rowsBlurred < height) return
  for (let k = 0; k < ahead(windowDown); k++) sampleDown(height + k)
}

/** The second box filter downwards, of the columns that are sampled; of its rows the sampled ones go to `small`. */
function sampleDown(bottom: i32): void {
  const size = f32x4.splat(rowsWithin(bottom))
  const comes = ring(twice, sampled, bottom)
  const goes = ring(twice, sampled, bottom - windowDown)
  for (let x: usize = 0; x < sampled; x += VECTOR) {
    let running = v128.load(sampledSums + x)
    if (bottom < height) running = f32x4.add(running, v128.load(comes + x))
    if (bottom >= windowDown) running = f32x4.sub(running, v128.load(goes + x))
    v128.store(sampledSums + x, running)
    v128.store(sampledRow + x, f32x4.div(running, size))
  }
  const y = bottom - ahead(windowDown)
  while (nextSample < GRID && load<i32>(lines + FLOAT * nextSample) == y) {
    memory.copy(small + FLOAT * SAMPLES * nextSample, sampledRow, sampled)
    nextSample++
  }
}

/** Rows to columns, each of which goes to a place of its own; or columns to rows. */
@inline
function turnBlock(
  a: v128,
  b: v128,
  c: v128,
  d: v128,
  to0: usize,
  to1: usize,
  to2: usize,
  to3: usize,
): void {
  const ab0 = v128.shuffle<u32>(a, b, 0, 4, 1, 5)
  const ab1 = v128.shuffle<u32>(a, b, 2, 6, 3, 7)
  const cd0 = v128.shuffle<u32>(c, d, 0, 4, 1, 5)
  const cd1 = v128.shuffle<u32>(c, d, 2, 6, 3, 7)
  v128.store(to0, v128.shuffle<u64>(ab0, cd0, 0, 2))
  v128.store(to1, v128.shuffle<u64>(ab0, cd0, 1, 3))
  v128.store(to2, v128.shuffle<u64>(ab1, cd1, 0, 2))
  v128.store(to3, v128.shuffle<u64>(ab1, cd1, 1, 3))
}
