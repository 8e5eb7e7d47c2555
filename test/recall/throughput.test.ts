import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recallInStages } from '../bench/recall-stages.ts'
import { openRecallBench } from './cleared.ts'

// How fast is asked by `make bench`, on a quiet machine.
test('of thousands of cleared items, a version with many new entries recalls exactly those that are near one of them', async (t) => {
  const bench = await openRecallBench(t)
  const stages = await recallInStages(bench, [1000, 5000], 200)
  assert.deepEqual(
    stages.map(({ verdicts }) => verdicts),
    [1000, 5000],
  )
  for (const { seconds, peakMebibytes } of stages) {
    assert.ok(peakMebibytes < 400, `${peakMebibytes} MiB`)
    t.diagnostic(`${seconds.toFixed(1)} s, ${peakMebibytes.toFixed(0)} MiB`)
  }
})
