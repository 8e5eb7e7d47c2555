import type { Orientation } from '../../domain/pdq.ts'

/** A frame as decoded: RGB, or RGBA where `channels` is 4. */
export type Raw = { data: Uint8Array; width: number; height: number; channels: 3 | 4 }

/** A decoded picture, or a part of one: 8-bit red, green, blue, row by row; `rowBytes` from the beginning of a row to that of the next. */
export type Pixels = { rgb: Uint8Array; width: number; height: number; rowBytes: number }

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

/** Pixels whose rows follow each other without gaps. */
export function packed(rgb: Uint8Array, width: number, height: number): Pixels {
  return { rgb, width, height, rowBytes: width * 3 }
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
export function turn({ rgb, width, height, rowBytes }: Pixels, how: Orientation): Pixels {
  const right = (width - 1) * 3
  const bottom = (height - 1) * rowBytes
  // Where the new top left pixel was, and how far one step to the right and one step down go in the old picture, in bytes.
  const { start, across, down, swapped } = {
    identity: { start: 0, across: 3, down: rowBytes, swapped: false },
    mirror: { start: right, across: -3, down: rowBytes, swapped: false },
    rotate180: { start: bottom + right, across: -3, down: -rowBytes, swapped: false },
    flip: { start: bottom, across: 3, down: -rowBytes, swapped: false },
    transpose: { start: 0, across: rowBytes, down: 3, swapped: true },
    rotate90: { start: bottom, across: -rowBytes, down: 3, swapped: true },
    transverse: { start: bottom + right, across: -rowBytes, down: -3, swapped: true },
    rotate270: { start: right, across: rowBytes, down: -3, swapped: true },
  }[how]
  const turned = packed(new Uint8Array(width * height * 3), swapped ? height : width, swapped ? width : height)
  for (let y = 0, to = 0; y < turned.height; y++) {
    for (let x = 0, from = start + y * down; x < turned.width; x++, to += 3, from += across) {
      turned.rgb[to] = rgb[from] ?? 0
      turned.rgb[to + 1] = rgb[from + 1] ?? 0
      turned.rgb[to + 2] = rgb[from + 2] ?? 0
    }
  }
  return turned
}

/** A part of a picture, where it lies. */
export function crop({ rgb, rowBytes }: Pixels, { left, top, width, height }: Box): Pixels {
  const from = top * rowBytes + left * 3
  return { rgb: rgb.subarray(from, from + (height - 1) * rowBytes + width * 3), width, height, rowBytes }
}
