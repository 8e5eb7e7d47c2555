import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { openBench } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { publish } from './door.ts'
import { assertOneWriter } from './one-writer.ts'

const HOLD = new URL('hold-transaction.ts', import.meta.url).href
const ITEMS = 200

/** What a frozen gate is about to do, on waking, with a partition that is no longer its own. */
const aboutTo = {
  'to fence the owner before it, which is now the one after it': '2:before-fencing',
  'to begin a transaction': '3:before-begin',
  'to go on sending': '3:amid-sends',
  'to commit': '3:before-commit',
} as const

describe('a gate is frozen until its partitions are given away', { concurrency: true }, () => {
  for (const [name, step] of Object.entries(aboutTo)) {
    test(`on waking it is about ${name}: nothing comes twice, and it goes on as one of two`, {
      skip: skipWithoutPython(),
    }, async (t) => {
      const bench = await openBench(t, { partitions: 2 })
      await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
      await publish(bench, 'before', ITEMS / bench.partitions)
      const environment = { SLUICE_CHUNK_ITEMS: '8' }
      const zombie = bench.startGate({
        environment: { ...environment, HOLD_TRANSACTION: `${step}:freeze` },
        preload: [HOLD],
      })
      await zombie.event('it is frozen', ({ event }) => event === 'transaction-held')
      const heir = bench.startGate({ environment })
      await waitFor('the other has judged everything', () => bench.caughtUp())

      zombie.kill('SIGCONT')
      await publish(bench, 'after', ITEMS / bench.partitions)
      await waitFor('both have judged everything', () => bench.caughtUp())
      await zombie.untilReady()
      await heir.untilReady()
      await bench.stopGate(zombie)
      await bench.stopGate(heir)
      assert.equal((await audit(bench)).length, 2 * ITEMS)
      await assertOneWriter(bench)
    })
  }

  test('on waking it commits in the moment before the other fences it: the other goes on behind that', {
    skip: skipWithoutPython(),
  }, async (t) => {
    const bench = await openBench(t, { partitions: 1 })
    await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
    await publish(bench, 'before', ITEMS / bench.partitions)
    const held = (step: string) =>
      bench.startGate({
        environment: { SLUICE_CHUNK_ITEMS: '8', HOLD_TRANSACTION: `${step}:freeze` },
        preload: [HOLD],
      })
    const zombie = held('3:before-commit')
    await zombie.event('it is frozen', ({ event }) => event === 'transaction-held')
    const heir = held('1:before-fencing')
    await heir.event('the other is about to fence it', ({ event }) => event === 'transaction-held')
    const before = await bench.committed()
    zombie.kill('SIGCONT')
    await waitFor('its commit counts', async () => (await bench.committed()) > before)
    heir.kill('SIGCONT')
    await waitFor('everything is judged', () => bench.caughtUp())
    await bench.stopGate(zombie)
    await bench.stopGate(heir)
    assert.equal((await audit(bench)).length, ITEMS)
  })
})
