import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { skipWithoutPython } from '../../foreign/foreign.ts'
import { audit } from '../../integration/audit.ts'
import type { GateProcess } from '../../integration/gate-process.ts'
import { type Bench, openBench, openScope } from '../../integration/harness.ts'
import { crawlItem, tinyPicture } from '../../integration/items.ts'
import { sharedStack } from '../../integration/shared-stack.ts'
import { waitFor } from '../../integration/waiting.ts'
import { type ContainerCluster, openContainerBrokers } from './container-brokers.ts'
import { openEngine } from './docker-engine.ts'

const ITEMS = 250

const engine = await openEngine()
after(() => engine.close())

const faults = [
  { what: 'is cut off from the network', fault: 'disconnect', mend: 'connect' },
  { what: 'stands still, its connections open', fault: 'freeze', mend: 'thaw' },
] as const

describe('a gate and brokers in containers', { skip: engine.skip || skipWithoutPython() }, () => {
  let parts: { cluster: ContainerCluster; bench: Bench; gate: GateProcess } | null = null
  const scope = openScope('container-brokers')
  scope.passed = true

  /** One cluster, one bench and one gate for all tests: it has to live through everything. */
  before(async () => {
    const cluster = await openContainerBrokers(sharedStack().registry)
    scope.after(() => cluster.close())
    const bench = await openBench(scope, { cluster })
    await bench.importList('stand-in', [])
    const gate = bench.startGate({ environment: { SLUICE_CHUNK_ITEMS: '8' } })
    await gate.untilReady()
    parts = { cluster, bench, gate }
  })
  after(() => scope.close())

  for (const { what, fault, mend } of faults) {
    test(`while the coordinator ${what}, the gate finishes its work by the others`, async () => {
      assert.ok(parts)
      const { cluster, bench, gate } = parts
      const before = await bench.committed()
      try {
        await produce(bench, fault)
        await waitFor('the gate is at work', () => doneWith(bench, before + 1))
        const { id } = await cluster.coordinatorOf(bench.group)
        const coordinator = cluster.brokers.find((broker) => broker.id === id)
        assert.ok(coordinator)
        await coordinator[fault]()
        await waitFor('another broker coordinates', async () => (await cluster.coordinatorOf(bench.group)).id !== id)
        await waitFor('the gate is done without it', () => doneWith(bench, before + ITEMS))
        assert.ok(gate.running(), 'the gate is the same that it was')
        await coordinator[mend]()
        await cluster.untilInSync()
      } catch (error) {
        scope.passed = false
        throw error
      }
      const fates = await audit(bench)
      assert.equal(fates.length, before + ITEMS)
      assert.ok(fates.every(({ outcome }) => outcome === 'clean'))
    })
  }
})

async function produce(bench: Bench, round: string): Promise<void> {
  const messages = Array.from({ length: ITEMS }, async (_, index) => {
    const id = `${round}-${index}`
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
