import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureGaps } from '../bench/gap.ts'
import { openBench } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'

// How long it may take is asked by `make bench`, on a quiet machine.
for (const [successor, ending] of [
  ['restart', 'SIGTERM'],
  ['standby', 'SIGKILL'],
] as const) {
  test(`after ${ending} with a ${successor} all lanes are judged again`, async (t) => {
    const bench = await openBench(t, { partitions: 2 })
    await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
    for (const { first, last } of await measureGaps(bench, successor, ending, 1)) {
      assert.ok(first > 0 && last >= first)
      t.diagnostic(`${(first / 1000).toFixed(1)} s until the first lane, ${(last / 1000).toFixed(1)} s until all`)
    }
  })
}
