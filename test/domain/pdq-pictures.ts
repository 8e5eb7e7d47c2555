/**
 * Generated pictures for the PDQ fixture, from integers alone, so that fixtures/make-pdq.py makes the same pixels.
 * A picture is named by kind, width, height and seed.
 */

/** A well-mixed 32-bit number from four. */
function mix(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(c, 0xc2b2ae3d) ^ Math.imul(d, 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  return (h ^ (h >>> 15)) >>> 0
}

const div = (a: number, b: number) => Math.floor(a / b)

/** Value noise: random corners every `cell` pixels, interpolated between. */
function smooth(x: number, y: number, c: number, seed: number, cell: number): number {
  const cx = div(x, cell)
  const cy = div(y, cell)
  const fx = x % cell
  const fy = y % cell
  const corner = (dx: number, dy: number) => mix(cx + dx, cy + dy, c, seed) & 255
  const top = corner(0, 0) * (cell - fx) + corner(1, 0) * fx
  const bottom = corner(0, 1) * (cell - fx) + corner(1, 1) * fx
  return div(top * (cell - fy) + bottom * fy, cell * cell)
}

type Kind = (x: number, y: number, c: number, width: number, height: number, seed: number) => number

const kinds: Record<string, Kind> = {
  flat: (_x, _y, c, _w, _h, seed) => mix(c, 0, 0, seed) & 255,
  gradient: (x, y, c, w, h, seed) => div(x * (mix(c, 1, 0, seed) & 127), w) + div(y * (mix(c, 2, 0, seed) & 127), h),
  checker: (x, y, c, _w, _h, seed) => {
    const cell = 1 + (seed % 23)
    return mix(c, (div(x, cell) + div(y, cell)) & 1, 3, seed) & 255
  },
  noise: (x, y, c, _w, _h, seed) => mix(x, y, c, seed) & 255,
  blocks: (x, y, c, _w, _h, seed) => mix(div(x, 3 + (seed % 41)), div(y, 2 + (seed % 29)), c, seed) & 255,
  blobs: (x, y, c, w, h, seed) => {
    let sum = 0
    for (let k = 0; k < 5; k++) {
      const dx = x - (mix(k, 4, 0, seed) % w)
      const dy = y - (mix(k, 5, 0, seed) % h)
      const r = 1 + div(w + h, 3 + k)
      sum += Math.max(0, (mix(k, 6, c, seed) & 255) - div((dx * dx + dy * dy) * 255, r * r))
    }
    return Math.min(255, sum)
  },
  clouds: (x, y, c, w, h, seed) => {
    const cell = 2 + div(w + h, 6)
    const coarse = smooth(x, y, c, seed, cell)
    const middle = smooth(x, y, c, seed + 1, 1 + div(cell, 3))
    return div(coarse * 4 + middle * 2 + smooth(x, y, c, seed + 2, 1 + div(cell, 9)), 7)
  },
}

/**
 * Pixels of a generated picture.
 * @param kind flat, gradient, checker, noise, blocks, blobs or clouds (which looks most like a photograph)
 * @returns 8-bit RGB, row by row
 */
export function drawPicture(kind: string, width: number, height: number, seed: number): Uint8Array {
  const value = kinds[kind]
  if (value === undefined) throw new RangeError(`no such kind of picture: ${kind}`)
  const rgb = new Uint8Array(width * height * 3)
  let at = 0
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) rgb[at++] = value(x, y, c, width, height, seed)
    }
  }
  return rgb
}
