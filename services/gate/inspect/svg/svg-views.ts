import type { InspectLimits } from '../../../domain/fingerprint.ts'
import { type Decoded, decode, type Header } from '../decode.ts'
import type { Raw } from '../pixels.ts'
import type { PlainSvg } from './plain-svg.ts'

/** Longer side of a drawing that is hashed, in pixels. */
const drawnSide = 1024
/** Side of the view that shows what lies around the view box, in pixels, and in longer sides of the box. */
const aroundSide = 600
const aroundSides = 3
/** What reaches further than this out of the view box, in longer sides of it, is meant to be seen. */
const overlap = 0.05
const dotsPerInch = 72

/** Draws an SVG at a bounded size. */
export function drawSvg(payload: Uint8Array, { width, height }: Header, limits: InspectLimits): Promise<Decoded> {
  const density = Math.min(100_000, Math.max(1, (dotsPerInch * drawnSide) / Math.max(width, height)))
  return decode(payload, { first: 0, count: 1 }, limits, { density })
}

/**
 * Whether something is drawn outside the view box, where a window of another shape shows it.
 * @param text the SVG; `root` is what was read of it
 */
export async function drawsOutside(
  text: string,
  root: NonNullable<PlainSvg['root']>,
  limits: InspectLimits,
): Promise<boolean> {
  const [x, y, width, height] = root.box
  const side = Math.max(width, height) * aroundSides
  const box = [x + (width - side) / 2, y + (height - side) / 2, side, side].join(' ')
  const tag = text
    .slice(root.from, root.to)
    .replaceAll(/\s(width|height|viewBox|preserveAspectRatio|x|y|overflow)\s*=\s*("[^"]*"|'[^']*')/g, '')
    .replace(/^<svg/, `<svg viewBox="${box}" width="${aroundSide}" height="${aroundSide}"`)
  const around = Buffer.from(text.slice(0, root.from) + tag + text.slice(root.to))
  const { frames } = await decode(around, { first: 0, count: 1 }, limits, { density: dotsPerInch })
  const raw = frames[0]?.raw
  if (raw === undefined) return true
  const reach = (length: number) => (length / 2 / side + overlap / aroundSides) * raw.width
  return hasInkBeyond(raw, reach(width), reach(height))
}

/** Whether any pixel further from the middle than so many pixels across or down is not fully transparent. */
function hasInkBeyond({ data, width, height, channels }: Raw, across: number, down: number): boolean {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (Math.abs(x + 0.5 - width / 2) <= across && Math.abs(y + 0.5 - height / 2) <= down) continue
      if (channels === 3 || (data[(y * width + x) * 4 + 3] ?? 0) > 8) return true
    }
  }
  return false
}
