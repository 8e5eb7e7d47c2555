import type { Box, Pixels } from './pixels.ts'

/** Mean difference from the border's colour, in grey levels, up to which a line counts as border. */
const flatLevel = 2
/** Share of pixels of a border line that may differ by more than `farLevel`. */
const farLevel = 32
const farShare = 0.03
/** Lossy coding blurs a border up to this many lines from the picture: the width of a block of colour. */
const blurred = 16
/** Where an outer border was cut off, the next one may begin behind this many spoiled lines: tried in this order. */
const spoiledLines = [0, 4, 8, blurred]
/** Lines that are blurred only are at most this share as far from the border's colour as the picture. */
const blurredShare = 0.35
/** What is left must be at least this long and wide to mean anything. */
const leastSide = 32
/** Thinner borders hardly move a hash: share of a side. */
const leastBorder = 0.01

/** One line of a picture, a row or a column: its pixels are at start, start + step, ... (in bytes). */
type Line = { start: number; step: number; count: number }

/**
 * The picture within its borders of one colour: each side on its own, of any colour, so letterboxes too.
 * @param afterCut whether an outer border was cut off just before, which leaves spoiled lines at the edges
 * @returns null when there is no border, or when nothing reasonable is left within it
 */
export function findPicture({ rgb, width, height, rowBytes }: Pixels, afterCut: boolean): Box | null {
  const row = (y: number): Line => ({ start: y * rowBytes, step: 3, count: width })
  const top = borderLines(rgb, height, afterCut, row)
  const bottom = height - borderLines(rgb, height, afterCut, (y) => row(height - 1 - y))
  if (bottom - top < leastSide) return null

  const column = (x: number): Line => ({ start: top * rowBytes + x * 3, step: rowBytes, count: bottom - top })
  const left = borderLines(rgb, width, afterCut, column)
  const right = width - borderLines(rgb, width, afterCut, (x) => column(width - 1 - x))
  if (right - left < leastSide) return null

  const removedAcross = width - (right - left)
  const removedDown = height - (bottom - top)
  if (removedAcross < width * leastBorder && removedDown < height * leastBorder) return null
  return { left, top, width: right - left, height: bottom - top }
}

/** How many lines from one edge inwards are border. */
function borderLines(rgb: Uint8Array, count: number, afterCut: boolean, line: (index: number) => Line): number {
  if (!afterCut) return linesFrom(0, rgb, count, line)
  for (const first of spoiledLines) {
    const lines = first < count ? linesFrom(first, rgb, count, line) : 0
    // A flat line or two within a picture are no border.
    if (lines > first + blurred) return lines
  }
  return 0
}

function linesFrom(first: number, rgb: Uint8Array, count: number, line: (index: number) => Line): number {
  if (isUneven(rgb, line(first))) return first
  const colour = medianColour(rgb, line(first))
  let lines = first
  while (lines < count && isFlat(rgb, line(lines), colour)) lines++
  if (lines === first || lines === count) return lines

  // The true edge is the steepest step within reach of the coder's blur, which is wider in colour than in luma.
  let before = mostlyLuma(rgb, line(lines - 1), colour)
  let edge = lines
  let steepest = 0
  let highest = 0
  for (let i = lines; i < Math.min(count, lines + blurred); i++) {
    const level = mostlyLuma(rgb, line(i), colour)
    if (level - before > steepest && highest <= level * blurredShare) {
      edge = i
      steepest = level - before
    }
    highest = Math.max(highest, level)
    before = level
  }
  return edge
}

/**
 * Whether a line is certainly no border, whatever its colour is taken to be: two pixels are at most as far apart as both are from that colour
 * together. Most lines of most pictures have shown it within a few pixels, long before a median is known.
 */
function isUneven(rgb: Uint8Array, { start, step, count }: Line): boolean {
  const most = flatLevel * 3 * count
  const half = count >> 1
  let apart = 0
  for (let i = 0, one = start, other = start + half * step; i < half; i++, one += step, other += step) {
    apart += Math.abs((rgb[one] ?? 0) - (rgb[other] ?? 0))
    apart += Math.abs((rgb[one + 1] ?? 0) - (rgb[other + 1] ?? 0))
    apart += Math.abs((rgb[one + 2] ?? 0) - (rgb[other + 2] ?? 0))
    if (apart > most) return true
  }
  return false
}

function medianColour(rgb: Uint8Array, { start, step, count }: Line): [number, number, number] {
  const median = (channel: number) => {
    const levels = new Uint32Array(256)
    for (let i = 0, at = start + channel; i < count; i++, at += step) {
      const level = rgb[at] ?? 0
      levels[level] = (levels[level] ?? 0) + 1
    }
    let level = 0
    for (let seen = levels[0] ?? 0; seen <= count >> 1; seen += levels[level] ?? 0) level++
    return level
  }
  return [median(0), median(1), median(2)]
}

/** Whether a line is of a colour, but for a few pixels. */
function isFlat(rgb: Uint8Array, { start, step, count }: Line, [r, g, b]: [number, number, number]): boolean {
  const most = flatLevel * 3 * count
  let sum = 0
  for (let i = 0, at = start; i < count; i++, at += step) {
    sum += Math.abs((rgb[at] ?? 0) - r) + Math.abs((rgb[at + 1] ?? 0) - g) + Math.abs((rgb[at + 2] ?? 0) - b)
    if (sum > most) return false
  }
  // Each far pixel adds at least so much: where the sum has no room for too many, as in nearly every border, they need not be counted.
  if (sum <= farShare * count * (farLevel + 1)) return true
  let far = 0
  for (let i = 0, at = start; i < count; i++, at += step) {
    const isFar =
      Math.abs((rgb[at] ?? 0) - r) > farLevel ||
      Math.abs((rgb[at + 1] ?? 0) - g) > farLevel ||
      Math.abs((rgb[at + 2] ?? 0) - b) > farLevel
    if (isFar) far++
  }
  return far / count <= farShare
}

/** How far a line is from a colour in the mean, mostly in luma. */
function mostlyLuma(rgb: Uint8Array, { start, step, count }: Line, [r, g, b]: [number, number, number]): number {
  let sum = 0
  let luma = 0
  for (let i = 0, at = start; i < count; i++, at += step) {
    const red = (rgb[at] ?? 0) - r
    const green = (rgb[at + 1] ?? 0) - g
    const blue = (rgb[at + 2] ?? 0) - b
    sum += Math.abs(red) + Math.abs(green) + Math.abs(blue)
    luma += Math.abs(red * 0.299 + green * 0.587 + blue * 0.114)
  }
  return (luma * 3 + sum / 3) / count
}
