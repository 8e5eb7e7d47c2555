import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { skipWithoutPython } from '../../foreign/foreign.ts'
import { countOutcomes, faultsOf, noFaults } from '../../foreign/outcome-count.ts'
import { openBench } from '../../integration/harness.ts'
import { sharedStack } from '../../integration/shared-stack.ts'
import { runChaos } from '../chaos.ts'
import { expectedFates, importKnown } from '../mixed-load.ts'
import { openJvmBrokers } from './jvm-brokers.ts'

const ITEMS = 20_000
const SEED = Number(process.env.CHAOS_SEED ?? randomInt(1_000_000))

test(`20,000 items go through 20 kills with a transaction open, 3 freezes and 3 broker kills: seed ${SEED}`, {
  skip: skipWithoutPython(),
}, async (t) => {
  const cluster = await openJvmBrokers({ registry: sharedStack().registry, secured: true })
  t.after(() => cluster.close())
  const bench = await openBench(t, { cluster, partitions: 6 })
  await importKnown(bench)

  const report = await runChaos({
    bench,
    cluster,
    seed: SEED,
    ending: inTurn(...repeated('kill-in-transaction', 20), 'terminate', 'kill'),
    freezing: inTurn(...repeated('freeze', 3)),
    breaking: inTurn('kill-coordinator', 'kill-transaction-coordinator', 'freeze-broker', 'kill-broker'),
    moreItems: ({ made, lag, over }) => made < ITEMS || (!over && lag < 2000),
    say: (line) => process.stderr.write(`${line}\n`),
  })
  t.diagnostic(JSON.stringify({ ...report, samples: report.samples.length }))

  const count = await countOutcomes(bench.settings)
  assert.deepEqual(faultsOf(count), noFaults, count.examples.join('\n'))
  assert.ok(
    report.sent >= ITEMS && count.items >= report.sent,
    `${count.items} items on the door, ${report.sent} were confirmed`,
  )
  assert.deepEqual(
    Object.keys(count.fates).filter((fate) => !expectedFates.has(fate)),
    [],
  )
})

function repeated<Item extends string>(item: Item, times: number): Item[] {
  return Array.from({ length: times }, () => item)
}

function inTurn<Item extends string>(...items: Item[]): () => Item | null {
  return () => items.shift() ?? null
}
