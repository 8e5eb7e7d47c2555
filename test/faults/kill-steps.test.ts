import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { assertOneWriter } from './one-writer.ts'
import { createChance } from './seeded.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const HOLD = new URL('hold-transaction.ts', import.meta.url).href
const ITEMS = 320

/** Steps of `hold-transaction.ts`, those that follow each other on one door together. */
const rounds = {
  'before and after fencing the owner before, and with the stores written': [
    'before-fencing',
    'after-fencing',
    'before-begin',
  ],
  'before, amid and after the sending of records': ['before-sends', 'amid-sends', 'before-offsets'],
  'before, amid and after the commit': ['before-commit', 'amid-commit', 'after-commit'],
} as const

describe(`a gate is killed at each step of a transaction (SEED=${SEED})`, { concurrency: true }, () => {
  for (const [name, steps] of Object.entries(rounds)) {
    test(`${name}: nothing is lost, repeated or out of order`, { skip: skipWithoutPython() }, async (t) => {
      const bench = await openBench(t, { partitions: 2 })
      await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
      await publish(bench)
      const chance = createChance(SEED, name)
      for (const step of steps) {
        const nth = step.endsWith('-fencing') ? chance.between(1, bench.partitions) : chance.between(1, 6)
        t.diagnostic(`${nth}:${step}`)
        const gate = bench.startGate({
          environment: { SLUICE_CHUNK_ITEMS: '8', HOLD_TRANSACTION: `${nth}:${step}` },
          preload: [HOLD],
        })
        await gate.event('the step is reached', ({ event }) => event === 'transaction-held')
        gate.kill('SIGKILL')
        await gate.ended
      }
      assert.ok((await bench.committed()) < ITEMS, 'there was work left at every kill')
      const last = bench.startGate({ words: ['--until-caught-up'] })
      assert.equal((await last.ended).code, 0)
      assert.equal((await audit(bench)).length, ITEMS)
      await assertOneWriter(bench)
    })
  }
})

/** Small pictures, and texts that will be held. */
async function publish(bench: Bench): Promise<void> {
  const messages = Array.from({ length: ITEMS }, async (_, index) => {
    const id = `item-${index}`
    const inline = index % 5 === 3 ? Buffer.from(`a text, number ${index}`) : await tinyPicture(index)
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline }))
    return { key: id, partition: index % bench.partitions, value }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}
