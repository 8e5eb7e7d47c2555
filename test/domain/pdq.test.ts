import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import {
  leavePictureRoom,
  type Orientation,
  orientations,
  PDQ_BYTES,
  pdqHashes,
  takePictureRoom,
} from '../../services/domain/pdq.ts'
import { distance } from '../gate/inspect-made.ts'
import { drawPicture } from './pdq-pictures.ts'

const row = z.tuple([z.string(), z.int(), z.int(), z.int(), z.int(), z.array(z.string().length(64)).min(1).max(8)])
const fixture = z.array(row).parse(JSON.parse(readFileSync(new URL('fixtures/pdq.json', import.meta.url), 'utf8')))

const hex = (hash: Uint8Array) => Buffer.from(hash).toString('hex')

/** For each orientation, where in the old picture the pixel at (x, y) of the new one was. */
const turned: Record<Orientation, (x: number, y: number, width: number, height: number) => [number, number]> = {
  identity: (x, y) => [x, y],
  rotate90: (x, y, _w, h) => [y, h - 1 - x],
  rotate180: (x, y, w, h) => [w - 1 - x, h - 1 - y],
  rotate270: (x, y, w) => [w - 1 - y, x],
  mirror: (x, y, w) => [w - 1 - x, y],
  flip: (x, y, _w, h) => [x, h - 1 - y],
  transpose: (x, y) => [y, x],
  transverse: (x, y, w, h) => [w - 1 - y, h - 1 - x],
}

function turn(rgb: Uint8Array, width: number, height: number, orientation: Orientation) {
  const [newWidth, newHeight] =
    turned[orientation](1, 0, width, height)[0] === turned[orientation](0, 0, width, height)[0]
      ? [height, width]
      : [width, height]
  const out = new Uint8Array(rgb.length)
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      const [oldX, oldY] = turned[orientation](x, y, width, height)
      const from = (oldY * width + oldX) * 3
      out.set(rgb.subarray(from, from + 3), (y * newWidth + x) * 3)
    }
  }
  return { rgb: out, width: newWidth, height: newHeight }
}

test('the fixture has at least 500 pictures, of many sizes', () => {
  assert.ok(fixture.length >= 500)
  assert.ok(new Set(fixture.map(([, width, height]) => `${width}x${height}`)).size >= 70)
})

test('hashes and quality of identical pixels are those of the reference, in all orientations', () => {
  for (const [kind, width, height, seed, quality, hashes] of fixture) {
    const ours = pdqHashes(drawPicture(kind, width, height, seed), width, height)
    const name = `${kind} ${width}x${height} seed ${seed}`
    assert.deepEqual(
      orientations.slice(0, hashes.length).map((orientation) => hex(ours.hashes[orientation])),
      hashes,
      name,
    )
    assert.equal(ours.quality, quality, name)
  }
})

test('the luma of every colour, reckoned in thousandths, is what the reference makes of it in 64-bit floats', () => {
  let others = 0
  for (let red = 0; red < 256; red++) {
    for (let green = 0; green < 256; green++) {
      for (let blue = 0; blue < 256; blue++) {
        const thousandths = 299 * red + 587 * green + 114 * blue
        const reference = red * 0.299 + green * 0.587 + blue * 0.114
        if (Math.fround(thousandths / 1000) !== Math.fround(reference)) others++
      }
    }
  }
  assert.equal(others, 0)
})

test('the hash of an orientation is the hash of the picture after that turn', () => {
  for (const [width, height, seed] of [
    [960, 640, 1],
    [512, 512, 2],
    [640, 900, 3],
  ] as const) {
    const picture = drawPicture('clouds', width, height, seed)
    const { hashes } = pdqHashes(picture, width, height)
    for (const orientation of orientations) {
      const after = turn(picture, width, height, orientation)
      const really = pdqHashes(after.rgb, after.width, after.height).hashes.identity
      const nearest = orientations.toSorted((a, b) => distance(hashes[a], really) - distance(hashes[b], really))[0]
      assert.equal(nearest, orientation)
      assert.ok(distance(hashes[orientation], really) <= 31, `${orientation}: ${distance(hashes[orientation], really)}`)
    }
  }
})

test('a picture whose pixels were turned is found within a few bits, however fine its detail', () => {
  for (const kind of ['clouds', 'noise'] as const) {
    for (const [width, height] of [
      [1024, 683],
      [960, 640],
      [64, 64],
      [127, 300],
      [129, 257],
      [1000, 70],
    ] as const) {
      const picture = drawPicture(kind, width, height, 7)
      const { turned: ours } = pdqHashes(picture, width, height)
      for (const orientation of orientations) {
        const after = turn(picture, width, height, orientation)
        const really = pdqHashes(after.rgb, after.width, after.height).hashes.identity
        const bits = distance(ours[orientation], really)
        // Noise differs most at the edges, where the blur is cut off.
        assert.ok(bits <= (kind === 'noise' ? 16 : 4), `${kind} ${width}x${height} ${orientation}: ${bits} bits`)
      }
    }
  }
})

test('a picture with a side below 5 pixels has quality 0 and hashes of zeros', () => {
  const { quality, hashes } = pdqHashes(drawPicture('noise', 4, 300, 1), 4, 300)
  assert.equal(quality, 0)
  for (const orientation of orientations) assert.deepEqual(hashes[orientation], new Uint8Array(PDQ_BYTES))
})

test('pixels that do not fit the size are refused', () => {
  assert.throws(() => pdqHashes(new Uint8Array(10), 2, 2), RangeError)
})

test('any picture gets 8 hashes, a quality within 0..100, and keeps its pixels', () => {
  const picture = fc
    .tuple(fc.integer({ min: 1, max: 140 }), fc.integer({ min: 1, max: 140 }))
    .chain(([width, height]) =>
      fc.record({
        width: fc.constant(width),
        height: fc.constant(height),
        rgb: fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
      }),
    )
  fc.assert(
    fc.property(picture, ({ width, height, rgb }) => {
      const before = hex(rgb)
      const { quality, hashes } = pdqHashes(rgb, width, height)
      assert.ok(Number.isInteger(quality) && quality >= 0 && quality <= 100)
      for (const orientation of orientations) assert.equal(hashes[orientation].length, PDQ_BYTES)
      assert.equal(hex(rgb), before)
    }),
    { numRuns: 25 },
  )
})

/** Puts a picture into the room for one. */
function held(rgb: Uint8Array): Uint8Array {
  const room = takePictureRoom(rgb.length)
  assert.ok(room !== null)
  room.set(rgb)
  return room
}

test('where a picture lies makes no difference, nor that it is a part of another; larger ones are hashed in between', () => {
  const sides = fc.record({ width: fc.integer({ min: 5, max: 1500 }), height: fc.integer({ min: 5, max: 700 }) })
  const part = fc.record({ x: fc.nat(), y: fc.nat(), right: fc.nat(), below: fc.nat() })
  fc.assert(
    fc.property(
      sides,
      part,
      fc.constantFrom('clouds', 'noise', 'flat', 'checker'),
      fc.nat(99),
      (whole, cut, kind, seed) => {
        const { width, height } = whole
        const picture = drawPicture(kind, width, height, seed)
        const left = cut.x % (width - 4)
        const top = cut.y % (height - 4)
        const box = { width: 5 + (cut.right % (width - left - 4)), height: 5 + (cut.below % (height - top - 4)) }
        const partOf = (rgb: Uint8Array): Uint8Array => {
          const from = (top * width + left) * 3
          return rgb.subarray(from, from + ((box.height - 1) * width + box.width) * 3)
        }
        const hashPart = (rgb: Uint8Array) => pdqHashes(partOf(rgb), box.width, box.height, width * 3)
        const expected = [pdqHashes(picture, width, height), hashPart(picture)]

        const room = held(picture)
        try {
          assert.equal(takePictureRoom(1), null, 'it is taken')
          assert.deepEqual(pdqHashes(room, width, height), expected[0])
          // Takes more of the kernel's memory than this one needs.
          const large = drawPicture('flat', 1600, 1200, 1)
          pdqHashes(large, 1600, 1200)
          assert.deepEqual([pdqHashes(room, width, height), hashPart(room)], expected)
          assert.deepEqual(Buffer.compare(room, picture), 0)
        } finally {
          leavePictureRoom(room)
        }
        assert.deepEqual(pdqHashes(room, width, height), expected[0], 'left, and not taken again')
      },
    ),
    { numRuns: 60 },
  )
})

test('there is no room for what is huge; what has grown huge is left, but not under a picture that lies in it', () => {
  assert.equal(takePictureRoom(64 * 2 ** 20), null)
  const picture = drawPicture('clouds', 300, 200, 3)
  const expected = pdqHashes(picture, 300, 200)
  const room = held(picture)
  const huge = new Uint8Array(3 * 1_200_000 * 5)
  pdqHashes(huge, 1_200_000, 5)
  assert.deepEqual(pdqHashes(room, 300, 200), expected)
  leavePictureRoom(room)
  const next = held(picture)
  assert.notEqual(next.buffer.byteLength, room.buffer.byteLength)
  assert.deepEqual(pdqHashes(next, 300, 200), expected)
  leavePictureRoom(room)
  assert.equal(takePictureRoom(1), null, 'left once, it may be taken by somebody else')
  leavePictureRoom(next)
  const last = held(picture)
  assert.equal(last.buffer, next.buffer)
  leavePictureRoom(next)
  assert.equal(takePictureRoom(1), null, 'also where it is the same memory')
  leavePictureRoom(last)
})
