import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { openBench } from '../integration/harness.ts'
import { crawlItem, sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { startWorker, statusOf } from './replay-bench.ts'

const ITEMS = 160
const asked = z.looseObject({ run: z.string() })

test('a run pauses by itself while the gate is too far behind, and stops and asks when most of what comes out is a fault', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [{ id: 'other', sha256: 'ab'.repeat(32) }])
  await bench.store('intake').make()
  const gate = bench.startGate()
  const messages = Array.from({ length: ITEMS }, async (_, n) => {
    const item = crawlItem(`missing-${n}`, { reference: sha256(Buffer.from(`nowhere ${n}`)) })
    return { key: `missing-${n}`, value: await bench.registry.encode('crawl.items', item) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  await waitFor('all are held', () => bench.caughtUp())

  async function askFor(name: string): Promise<string> {
    const file = join(bench.folder, `${name}.json`)
    await bench.sluice(['replay', 'plan', '--why', 'a test', '--canary', '0', '--out', file])
    const run = await bench.sluice(['replay', 'run', file, '--rate', '20', '--detach', '--json'])
    return asked.parse(JSON.parse(run.stdout())).run
  }

  gate.kill('SIGSTOP')
  const first = startWorker(t, bench, ['--most-lag', '5', '--most-faults', '1'])
  const behind = await askFor('behind')
  const paused = await waitFor('it pauses', async () => {
    const status = await statusOf(bench, behind)
    return status.waits !== null && status
  })
  assert.equal(paused.state, 'running')
  assert.match(paused.waits ?? '', /^pauses by itself: the gate has \d+ records before it, more than 5$/)
  const written = paused.counts.replayed ?? 0
  assert.ok(written > 5 && written < ITEMS, `${written} items are on the door`)
  gate.kill('SIGCONT')
  await waitFor('it goes on to the end', async () => (await statusOf(bench, behind)).state === 'done')
  assert.deepEqual((await statusOf(bench, behind)).counts, { replayed: ITEMS })
  await waitFor('all are held again', () => bench.caughtUp())
  first.kill('SIGTERM')
  assert.equal((await first.ended).code, 0, first.stderr())

  const second = startWorker(t, bench)
  const faulty = await askFor('faulty')
  await waitFor('it asks', async () => (await statusOf(bench, faulty)).state === 'waiting')
  const waiting = await statusOf(bench, faulty)
  assert.match(waiting.waits ?? '', /^(\d+) of the \1 newest outcomes are faults/)
  assert.ok((waiting.counts.replayed ?? 0) < ITEMS, JSON.stringify(waiting.counts))
  second.kill('SIGTERM')
  assert.equal((await second.ended).code, 0, second.stderr())
  await bench.stopGate(gate)
})
