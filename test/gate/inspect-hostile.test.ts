import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import type { Inspection } from '../../services/domain/fingerprint.ts'
import { pdqHashes } from '../../services/domain/pdq.ts'
import { createScanners, scannerMemory } from '../../services/gate/inspect/scanners.ts'
import { families, makePair } from './hostile/corpus.ts'
import { damages, wholeFiles } from './hostile/damage.ts'
import type { Pair } from './hostile/file.ts'
import { ordinaryFiles } from './hostile/ordinary.ts'
import { generous, nearest } from './inspect-made.ts'

/** Damaged files of each type; many more in a long run. */
const RUNS = Number(process.env.HOSTILE_RUNS ?? 25)
const NEAR = 31

const restarts: string[] = []
const scanners = createScanners({
  size: 2,
  memoryBytes: scannerMemory({ pixels: generous.pixels, payloadBytes: 8_388_608 }),
  onRestart: (why) => restarts.push(why),
})
const inspect = (payload: Buffer) => scanners.inspect(payload, generous)
let pair: Pair
let known: Buffer

before(async () => {
  pair = await makePair()
  known = (await inspect(pair.known)).fingerprint[0]?.value ?? Buffer.alloc(0)
  assert.ok(nearest(await inspect(pair.innocent), known).distance > 90)
})
after(() => scanners.close())

const isFound = (inspection: Inspection) => nearest(inspection, known).distance <= NEAR

for (const [family, make] of Object.entries(families)) {
  test(`${family}: the known picture never clears, and no scanner dies of it`, async () => {
    const files = await make(pair)
    const seen = await Promise.all(files.map(({ bytes }) => inspect(bytes)))
    for (const [i, { name, expected }] of files.entries()) {
      const inspection = seen[i]
      assert.ok(inspection)
      const held = inspection.faults.length > 0
      const { distance, transform } = nearest(inspection, known)
      const what = `${name}: ${inspection.mediaType} ${inspection.faults} ${distance} bits (${transform})`
      if (expected === 'found') assert.ok(isFound(inspection), what)
      if (expected === 'held') assert.ok(held || isFound(inspection), what)
    }
    assert.deepEqual(restarts, [])
  })
}

test('what cameras, drawing programs and sites make is cleared', async () => {
  const files = await ordinaryFiles()
  const seen = await Promise.all(files.map(({ bytes }) => inspect(bytes)))
  assert.deepEqual(
    files.map(({ name }, i) => [name, seen[i]?.faults]),
    files.map(({ name }) => [name, []]),
  )
})

test('a file of any type is held wherever it is cut short', async () => {
  for (const [name, bytes] of Object.entries(await wholeFiles(pair.known, pair.innocent))) {
    assert.deepEqual((await inspect(bytes)).faults, [], name)
    const lengths = [
      ...Array.from({ length: 10 }, (_, i) => Math.floor((bytes.length * (i + 1)) / 11)),
      bytes.length - 1,
    ]
    const seen = await Promise.all(lengths.map((length) => inspect(bytes.subarray(0, length))))
    for (const [i, { faults }] of seen.entries())
      assert.ok(faults.length > 0, `${name} cut at ${lengths[i]} of ${bytes.length}`)
  }
  assert.deepEqual(restarts, [])
})

test('a damaged file of any type is held, or else hashed as any viewer shows it', async () => {
  for (const [name, bytes] of Object.entries(await wholeFiles(pair.known, pair.innocent))) {
    await fc.assert(
      fc.asyncProperty(damages, async (damage) => {
        const damaged = damage(bytes)
        const inspection = await inspect(damaged)
        assert.deepEqual(restarts, [], name)
        if (inspection.faults.length > 0) return
        // The first frame, by nobody's code but the decoder's.
        const { data, info } = await sharp(damaged, { failOn: 'none' })
          .autoOrient()
          .flatten({ background: 'white' })
          .toColourspace('srgb')
          .raw()
          .toBuffer({ resolveWithObject: true })
        const shown = pdqHashes(data, info.width, info.height)
        const { distance } = nearest(inspection, shown.hashes.identity)
        // What is nearly of one colour has no hash to speak of.
        assert.ok(distance <= NEAR || shown.quality < 50, `${name}: ${distance} bits from what is shown`)
      }),
      { numRuns: RUNS },
    )
  }
})
