import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { skipWithoutPython } from '../../foreign/foreign.ts'
import { audit } from '../../integration/audit.ts'
import { type Bench, openBench } from '../../integration/harness.ts'
import { crawlItem, tinyPicture } from '../../integration/items.ts'
import { sharedStack } from '../../integration/shared-stack.ts'
import { waitFor } from '../../integration/waiting.ts'
import { openContainerBrokers } from './container-brokers.ts'
import { openEngine } from './docker-engine.ts'

const ITEMS = 250
const PATIENCE_SECONDS = 300

const engine = await openEngine()
after(() => engine.close())

test('while the coordinator stands still, its connections open, the gate finishes its work by the others', {
  skip: engine.skip || skipWithoutPython(),
}, async (t) => {
  const cluster = await openContainerBrokers(sharedStack().registry)
  t.after(() => cluster.close())
  const bench = await openBench(t, { cluster })
  await bench.importList('stand-in', [])
  const gate = bench.startGate({ environment: { SLUICE_CHUNK_ITEMS: '8' } })

  await produce(bench)
  await gate.untilReady(PATIENCE_SECONDS)
  await waitFor('the gate is at work', async () => (await bench.committed()) > 0, PATIENCE_SECONDS)
  const coordinator = await cluster.coordinatorOf(bench.group)
  await coordinator.freeze()
  await waitFor('another broker coordinates', async () => (await cluster.coordinatorOf(bench.group)) !== coordinator)
  await waitFor('the gate is done without it', () => doneWith(bench, ITEMS), PATIENCE_SECONDS)
  await coordinator.thaw()
  await cluster.untilInSync(PATIENCE_SECONDS)

  await bench.stopGate(gate)
  const fates = await audit(bench)
  assert.equal(fates.length, ITEMS)
  assert.ok(fates.every(({ outcome }) => outcome === 'clean'))
})

async function produce(bench: Bench): Promise<void> {
  const messages = Array.from({ length: ITEMS }, async (_, index) => {
    const id = `item-${index}`
    const inline = await tinyPicture(index)
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline }))
    return { key: id, partition: index % bench.partitions, value }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}

/** While brokers are away, asking may fail. */
async function doneWith(bench: Bench, items: number): Promise<boolean> {
  return (await bench.committed().catch(() => 0)) >= items
}
