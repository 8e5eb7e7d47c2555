import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { countOutcomes, faultsOf, noFaults } from '../foreign/outcome-count.ts'
import { type SluiceProcess, startSluice } from '../integration/gate-process.ts'
import { type Bench, openBench, type Scope } from '../integration/harness.ts'
import { crawlItem, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { heldKinds, holdThenMend, reportShape, splitHeaders, statusOf } from '../replay/replay-bench.ts'
import { endGate } from './break-gates.ts'
import { createChance } from './seeded.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
/** `REPLAYED=50000` for as many as the promise is made of. */
const ITEMS = Number(process.env.REPLAYED ?? 600)
const KILLS = 3
const PARTITIONS = 3
/** Transactions of a worker before which it is killed, at most: of many items each worker comes to a share of them. */
const LAST_HELD = Math.max(5, Math.floor(ITEMS / 100 / (KILLS + 1)))
const RATE = Number(process.env.RATE ?? 200)

const HOLD = new URL('hold-transaction.ts', import.meta.url).href
const skip = skipWithoutPython()
const groups = z.record(z.string(), z.looseObject({ items: z.number() }))
const planShape = z.looseObject({ byReason: groups, byPartition: groups })

test(`through ${KILLS} kills of the worker and one of the gate, each with a transaction open, while crawlers go on, each of ${ITEMS} items is replayed once (SEED=${SEED})`, {
  skip,
}, async (t) => {
  const chance = createChance(SEED)
  const bench = await openBench(t, { partitions: PARTITIONS })
  const first = await holdThenMend(bench, ITEMS)
  await bench.stopGate(first)
  const before = await countOutcomes(bench.settings)
  assert.deepEqual([before.outcomes, faultsOf(before)], [{ quarantine: ITEMS }, noFaults])
  // As they were sent, and nothing else lies there.
  const held = Array.from({ length: ITEMS }, (_, n) => `${n % PARTITIONS}/${Math.floor(n / PARTITIONS)}`)

  const crawlers = startCrawlers(t, bench)
  const file = join(bench.folder, 'plan.json')
  const plan = planShape.parse(
    JSON.parse((await bench.sluice(['replay', 'plan', '--why', 'a test of kills', '--out', file, '--json'])).stdout()),
  )
  for (const { reason } of Object.values(heldKinds)) {
    const counted = Object.entries(before.fates).filter(([fate]) => fate.includes(reason))
    assert.equal(
      plan.byReason[reason]?.items,
      counted.reduce((sum, [, items]) => sum + items, 0),
      reason,
    )
  }
  const each = Array.from({ length: PARTITIONS }, (_, n) => held.filter((place) => place.startsWith(`${n}/`)).length)
  assert.deepEqual(
    Object.values(plan.byPartition).map(({ items }) => items),
    each,
  )
  const words = ['replay', 'run', file, '--detach', '--yes', '--json', '--rate', String(RATE)]
  const { run } = z.object({ run: z.string() }).parse(JSON.parse((await bench.sluice(words)).stdout()))

  let gate = bench.startGate()
  await gate.untilReady()
  for (let kill = 0; kill < KILLS; kill++) {
    const step = chance.pick(['before-commit', 'before-commit', 'amid-commit'])
    await killWorker(t, bench, `${chance.between(2, LAST_HELD)}:${step}`)
    if (kill > 0) continue
    await bench.stopGate(gate)
    await endGate['kill-in-transaction'](bench.startGate, chance)
    gate = bench.startGate()
  }
  const last = startSluice(['replay', 'worker', '--until-idle', '--most-faults', '1'], bench.environment)
  t.after(() => last.kill('SIGKILL'))
  assert.equal((await last.ended).code, 0, last.stderr())
  const status = await statusOf(bench, run)
  assert.deepEqual([status.state, status.counts], ['done', { replayed: ITEMS }])
  const crawled = await crawlers.stop()
  await waitFor('all are judged', () => bench.caughtUp())
  await bench.stopGate(gate)

  const { records: door } = await readTopics(bench.settings, [bench.topic('crawl.items')])
  assert.equal(door.length, 2 * ITEMS + crawled)
  const planned = new Map(held.map((place) => [place, 0]))
  for (const { replay } of door.map(splitHeaders)) {
    if (replay.get('sluice-replay-run') !== run) continue
    const origin = replay.get('sluice-replay-origin')?.split('/').slice(-2).join('/') ?? ''
    planned.set(origin, (planned.get(origin) ?? Number.NaN) + 1)
  }
  assert.deepEqual(
    [...planned.values()].filter((times) => times !== 1),
    [],
    'each once, and nothing else',
  )
  const report = reportShape.parse(JSON.parse((await bench.sluice(['replay', 'report', run, '--json'])).stdout()))
  // What was held stands as it was judged then; what came of it stands beside that.
  const count = await countOutcomes(bench.settings)
  assert.deepEqual(faultsOf(count), noFaults, count.examples.join('\n'))
  assert.deepEqual(count.outcomes, {
    clean: report.total.clean + crawled,
    quarantine: ITEMS + report.total.quarantine,
  })
  assert.equal(report.total.open, 0)
  t.diagnostic(`${crawled} crawled meanwhile; ${JSON.stringify(report.total)}`)
})

/** Starts a worker, and kills it where it stands still with a transaction open. */
async function killWorker(t: Scope, bench: Bench, hold: string): Promise<void> {
  const worker: SluiceProcess = startSluice(
    ['replay', 'worker', '--most-faults', '1'],
    { ...bench.environment, HOLD_TRANSACTION: hold },
    [HOLD],
  )
  t.after(() => worker.kill('SIGKILL'))
  try {
    await waitFor(`the worker stands still at ${hold}`, () => {
      assert.ok(worker.running(), 'it has ended by itself')
      return worker.events.some(({ event }) => event === 'transaction-held')
    })
  } catch (error) {
    throw new Error(`${String(error)}; the worker wrote:\n${worker.stderr()}`)
  }
  worker.kill('SIGKILL')
  await worker.ended
}

/** A few items a second on every partition, by an idempotent producer, as crawlers send them. */
function startCrawlers(t: Scope, bench: Bench): { stop(): Promise<number> } {
  let isOver = false
  let sent = 0
  async function crawl(): Promise<void> {
    while (!isOver) {
      const messages = await Promise.all(
        Array.from({ length: bench.partitions }, async (_, partition) => {
          const id = `crawled-${sent + partition}`
          const inline = await tinyPicture(1000 + ((sent + partition) % 100))
          return { key: id, partition, value: await bench.registry.encode('crawl.items', crawlItem(id, { inline })) }
        }),
      )
      await bench.produce('crawl.items', messages)
      sent += messages.length
      await wait(200)
    }
  }
  const crawling = crawl()
  t.after(() => {
    isOver = true
  })
  return {
    async stop() {
      isOver = true
      await crawling
      return sent
    },
  }
}
