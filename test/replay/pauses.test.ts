import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { startSluice } from '../integration/gate-process.ts'
import { openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { startWorker, statusOf } from './replay-bench.ts'

const ITEMS = 160
const HOLD = new URL('../faults/hold-transaction.ts', import.meta.url).href
/** A worker's transaction lasts 10 s at most (the client library's own would last 60), and the local brokers look every second; the rest is for a slow machine. */
const LONGEST_WAIT_MS = 45_000
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

  // Never so far before the outcomes that all is on the door when there are enough of them.
  const second = startWorker(t, bench, ['--most-lag', '30'])
  const faulty = await askFor('faulty')
  await waitFor('it asks', async () => (await statusOf(bench, faulty)).state === 'waiting')
  const waiting = await statusOf(bench, faulty)
  assert.match(waiting.waits ?? '', /^(\d+) of the \1 newest outcomes are faults/)
  assert.ok((waiting.counts.replayed ?? 0) < ITEMS, JSON.stringify(waiting.counts))
  second.kill('SIGTERM')
  assert.equal((await second.ended).code, 0, second.stderr())
  await bench.stopGate(gate)
})

test('what crawlers send waits for a worker that died with a transaction open no longer than that may last', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [{ id: 'other', sha256: 'ab'.repeat(32) }])
  const gate = bench.startGate()
  await bench.produce('crawl.items', [{ key: 'broken', value: 'broken' }])
  await waitFor('it is held', () => bench.caughtUp())
  const file = join(bench.folder, 'plan.json')
  await bench.sluice(['replay', 'plan', '--why', 'a test', '--out', file])
  await bench.sluice(['replay', 'run', file, '--detach'])
  const environment = { ...bench.environment, HOLD_TRANSACTION: '2:before-commit' }
  const worker = startSluice(['replay', 'worker'], environment, [HOLD])
  t.after(() => worker.kill('SIGKILL'))
  await waitFor('it stands still', async () => worker.events.some(({ event }) => event === 'transaction-held'))
  worker.kill('SIGKILL')
  await worker.ended

  const died = performance.now()
  const value = await bench.registry.encode('crawl.items', crawlItem('after', { inline: await tinyPicture(1) }))
  await bench.produce('crawl.items', [{ key: 'after', value }])
  await waitFor('it is judged', async () => (await bench.endOf('gate.clean')) > 0)
  const waited = performance.now() - died
  t.diagnostic(`${(waited / 1000).toFixed(1)} s`)
  assert.ok(waited < LONGEST_WAIT_MS, `${waited} ms`)
  await bench.stopGate(gate)
})
