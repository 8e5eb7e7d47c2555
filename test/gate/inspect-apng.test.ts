import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { apngFrames } from '../../services/gate/inspect/apng.ts'
import { decode } from '../../services/gate/inspect/decode.ts'
import { apng } from './hostile/parts.ts'
import { generous } from './inspect-made.ts'

type Colour = readonly [red: number, green: number, blue: number, alpha: number]

const red = [255, 0, 0, 255] as const
const green = [0, 255, 0, 255] as const
const blue = [0, 0, 255, 255] as const
const halfBlue = [0, 0, 255, 128] as const
const nothing = [0, 0, 0, 0] as const

function square(side: number, [r, g, b, alpha]: Colour): Promise<Buffer> {
  const background = { r, g, b, alpha: alpha / 255 }
  return sharp({ create: { width: side, height: side, channels: 4, background } })
    .png()
    .toBuffer()
}

test('frames of an APNG are laid, blended, cleared and put back as the specification says', async () => {
  const file = apng([
    { png: await square(8, red) },
    { png: await square(4, halfBlue), over: true, dispose: 2 },
    { png: await square(4, blue), left: 4, dispose: 1 },
    { png: await square(4, halfBlue), top: 4 },
    { png: await square(2, green), left: 6, top: 6, over: true },
  ])
  // One pixel of each quarter: top left, top right, bottom left, bottom right.
  const expected: Colour[][] = [
    [red, red, red, red],
    [[127, 0, 128, 255], red, red, red],
    [red, blue, red, red],
    [red, nothing, halfBlue, red],
    [red, nothing, halfBlue, green],
  ]
  const seen: Colour[][] = []
  const decodePng = (png: Buffer) => decode(png, { first: 0, count: 1 }, generous)
  for await (const { raw, damaged } of apngFrames(file, decodePng)) {
    assert.equal(damaged, false)
    const at = (x: number, y: number): Colour => {
      const [r = -1, g = -1, b = -1, alpha = -1] = raw?.data.subarray((y * 8 + x) * 4) ?? []
      return [r, g, b, alpha]
    }
    seen.push([at(1, 1), at(7, 1), at(1, 7), at(7, 7)])
  }
  assert.deepEqual(seen, expected)
})

test('a frame of an APNG that reaches beyond the picture is damage', async () => {
  const file = apng([{ png: await square(8, red) }, { png: await square(4, blue), left: 5 }])
  const decodePng = (png: Buffer) => decode(png, { first: 0, count: 1 }, generous)
  const damages: boolean[] = []
  for await (const { damaged } of apngFrames(file, decodePng)) damages.push(damaged)
  assert.deepEqual(damages, [false, true])
})
