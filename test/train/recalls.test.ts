import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { RecallRecord } from '../../services/domain/records.ts'
import { followRecalls } from '../../services/train/recalls.ts'
import { openBench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'

const input = { cluster: 'c', topic: 'crawl.items', partition: 0, offset: 0 }
const of = (name: string, state: string, acceptedReason: string | null = null): RecallRecord => ({
  sha256: hash('sha256', name),
  state,
  input,
  matches: [],
  recalledAt: 0,
  acceptedBy: null,
  acceptedReason,
})

test('what was recalled, withdrawn and recalled again is recalled at every moment from the first on', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  // More than is fetched at once lies between the last two.
  const long = Array.from({ length: 24 }, (_, index) => of(`other ${index}`, 'recalled', 'x'.repeat(450_000)))
  const last = of('last', 'recalled')
  for (const recall of [of('a', 'recalled'), of('a', 'withdrawn'), ...long, of('a', 'recalled')]) await write(recall)
  const recalls = await followRecalls(bench.settings, bench.registry)
  t.after(() => recalls.stop())
  await write(last)
  let free = 0
  await waitFor('what comes later is heard of', async () => {
    for (let times = 0; times < 50; times++) {
      if (!recalls.has(of('a', '').sha256)) free += 1
      await turn()
    }
    return recalls.has(last.sha256)
  })
  assert.equal(free, 0)

  async function write(recall: RecallRecord): Promise<void> {
    const value = await bench.registry.encode('gate.recalls', recall)
    await bench.produce('gate.recalls', [{ key: recall.sha256, partition: 0, value }])
  }
})
