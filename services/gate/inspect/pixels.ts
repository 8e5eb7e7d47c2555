import type { Orientation } from '../../domain/pdq.ts'

/** A decoded picture: 8-bit red, green, blue, row by row. */
export type Pixels = { rgb: Uint8Array; width: number; height: number }

/** A part of a picture, in pixels from its top left. */
export type Box = { left: number; top: number; width: number; height: number }

/** What EXIF orientation 1 to 8 asks a viewer to do. */
export const exifTurns: readonly Orientation[] = [
  'identity',
  'mirror',
  'rotate180',
  'flip',
  'transpose',
  'rotate90',
  'transverse',
  'rotate270',
]

/** Whether any pixel of RGBA data lets something shine through. */
export function isTransparent(rgba: Uint8Array): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return true
  return false
}

/** RGBA as a viewer shows it on a grey background of a level of 0 to 255. */
export function flatten(rgba: Uint8Array, background: number): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3)
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const alpha = rgba[from + 3] ?? 0
    const behind = background * (255 - alpha)
    rgb[to] = divideBy255((rgba[from] ?? 0) * alpha + behind)
    rgb[to + 1] = divideBy255((rgba[from + 1] ?? 0) * alpha + behind)
    rgb[to + 2] = divideBy255((rgba[from + 2] ?? 0) * alpha + behind)
  }
  return rgb
}

/** The colours of RGBA, those that transparency hides included. */
export function dropAlpha(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3)
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from] ?? 0
    rgb[to + 1] = rgba[from + 1] ?? 0
    rgb[to + 2] = rgba[from + 2] ?? 0
  }
  return rgb
}

/** A frame of 3 or 4 channels with its colours raised to a power, as a viewer does where a picture names another gamma. */
export function withGamma<Frame extends { data: Uint8Array; channels: 3 | 4 }>(frame: Frame, exponent: number): Frame {
  const levels = Uint8Array.from({ length: 256 }, (_, level) => Math.round(255 * (level / 255) ** exponent))
  const data = frame.data.map((level, i) => (frame.channels === 4 && i % 4 === 3 ? level : (levels[level] ?? 0)))
  return { ...frame, data }
}

/** Rounded, for products of two bytes: far faster than dividing. */
function divideBy255(product: number): number {
  const half = product + 128
  return (half + (half >> 8)) >> 8
}

/** The picture after a turn. */
export function turn({ rgb, width, height }: Pixels, how: Orientation): Pixels {
  const right = width - 1
  const bottom = (height - 1) * width
  // Where the new top left pixel was, and how far one step to the right and one step down go in the old picture.
  const { start, across, down, swapped } = {
    identity: { start: 0, across: 1, down: width, swapped: false },
    mirror: { start: right, across: -1, down: width, swapped: false },
    rotate180: { start: bottom + right, across: -1, down: -width, swapped: false },
    flip: { start: bottom, across: 1, down: -width, swapped: false },
    transpose: { start: 0, across: width, down: 1, swapped: true },
    rotate90: { start: bottom, across: -width, down: 1, swapped: true },
    transverse: { start: bottom + right, across: -width, down: -1, swapped: true },
    rotate270: { start: right, across: width, down: -1, swapped: true },
  }[how]
  const turned = { rgb: new Uint8Array(rgb.length), width: swapped ? height : width, height: swapped ? width : height }
  for (let y = 0, to = 0; y < turned.height; y++) {
    for (let x = 0, from = (start + y * down) * 3; x < turned.width; x++, to += 3, from += across * 3) {
      turned.rgb[to] = rgb[from] ?? 0
      turned.rgb[to + 1] = rgb[from + 1] ?? 0
      turned.rgb[to + 2] = rgb[from + 2] ?? 0
    }
  }
  return turned
}

/** A part of a picture. */
export function crop({ rgb, width }: Pixels, box: Box): Pixels {
  const part = new Uint8Array(box.width * box.height * 3)
  for (let y = 0; y < box.height; y++) {
    const from = ((box.top + y) * width + box.left) * 3
    part.set(rgb.subarray(from, from + box.width * 3), y * box.width * 3)
  }
  return { rgb: part, width: box.width, height: box.height }
}
