import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { applyTopics, planTopics } from '../../../services/cluster/topics.ts'
import { DOOR } from '../../../services/domain/topics.ts'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { shippedTopics } from '../../cluster/shipped-topics.ts'
import { skipWithoutPython } from '../../foreign/foreign.ts'
import { countOutcomes, faultsOf, noFaults } from '../../foreign/outcome-count.ts'
import type { GateProcess } from '../../integration/gate-process.ts'
import { type Bench, openBench, openScope, patiently } from '../../integration/harness.ts'
import { endWithThisProcess } from '../../integration/leftovers.ts'
import { sharedStack } from '../../integration/shared-stack.ts'
import { waitFor } from '../../integration/waiting.ts'
import { mendBrokers } from '../break-brokers.ts'
import { expectedFates, importKnown, type Load, startLoad } from '../mixed-load.ts'
import type { BreakableCluster } from './breakable-cluster.ts'
import { openJvmBrokers } from './jvm-brokers.ts'

/** Items of each test, at least; then so many a second for as long as things happen. */
const ITEMS = 300
const ITEMS_PER_SECOND = 30
const DISK_BYTES = 268_435_456

/** Only root on Linux can make a small disk. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0

type Parts = { cluster: BreakableCluster; bench: Bench; gate: GateProcess; disk: string }

describe('the gate outlives its brokers', { skip: skipWithoutPython() }, () => {
  let parts: Parts | null = null
  const scope = openScope('brokers')
  scope.passed = true
  let seed = 0

  /** One cluster, one bench and one gate for all tests: it has to live through everything. */
  before(async () => {
    const disk = mkdtempSync(join(tmpdir(), 'sluice-disk-'))
    scope.after(() => rmSync(disk, { recursive: true, force: true }))
    if (canMount) {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk])
      const unmount = (): void => void execFileSync('umount', ['-l', disk])
      const forget = endWithThisProcess(unmount)
      scope.after(unmount)
      scope.after(forget)
    }
    const cluster = await openJvmBrokers({
      registry: sharedStack().registry,
      brokers: { 3: { dataFolder: join(disk, 'data') } },
    })
    scope.after(() => cluster.close())
    const bench = await openBench(scope, { cluster, partitions: 3 })
    await importKnown(bench)
    const gate = bench.startGate()
    await gate.untilReady()
    parts = { cluster, bench, gate, disk }
  })
  after(() => scope.close())

  /** Sends items, does something once some of them are judged, and sends more; in the end every item has its one outcome. */
  async function judgeThrough(happens: (given: Parts, load: Load) => Promise<void>): Promise<void> {
    assert.ok(parts)
    const { bench, cluster, gate } = parts
    assert.ok(gate.running(), 'the gate has lived through the tests before')
    const before = await bench.committed()
    let enough = false
    const began = performance.now()
    const steady = (): number => ((performance.now() - began) / 1000) * ITEMS_PER_SECOND
    const load = startLoad(bench, { seed: seed++, wanted: (made) => made < ITEMS || (!enough && made < steady()) })
    try {
      await waitFor('some items are judged', async () => (await bench.committed()) > before)
      await happens(parts, load)
      enough = true
      await waitFor('all items are sent', () => load.sent() >= ITEMS)
      await load.stop()
      await waitFor('the gate has caught up', () => bench.caughtUp().catch(() => false))
      assert.ok(gate.running(), 'the gate is the same that it was')
    } catch (error) {
      scope.passed = false
      throw error
    } finally {
      await load.stop()
      // The next test begins with a whole cluster, also when this one failed.
      await mendBrokers(cluster)
    }

    const count = await countOutcomes(bench.settings)
    assert.deepEqual(faultsOf(count), noFaults, count.examples.join('\n'))
    assert.deepEqual(
      Object.keys(count.fates).filter((fate) => !expectedFates.has(fate)),
      [],
    )
    assert.ok(count.items >= before + load.sent())
  }

  test('a broker is killed and started again', async () => {
    await judgeThrough(async ({ cluster, bench }) => {
      const broker = await cluster.leaderOf(bench.topic('gate.verdicts'), 0)
      await broker.kill()
      await judged(bench, 50)
      await broker.start()
      await cluster.untilInSync()
    })
  })

  test('a broker is killed while another one hesitates, so that a transaction is half sent for a while', async () => {
    await judgeThrough(async ({ cluster, bench }) => {
      for (const partition of [0, 1, 2]) {
        const dying = await cluster.leaderOf(bench.topic('gate.verdicts'), partition)
        const hesitating = cluster.brokers.find((broker) => broker !== dying)
        assert.ok(hesitating)
        await cluster.lead(hesitating, bench.topic('gate.clean'), partition)
        await hesitating.freeze()
        await dying.kill()
        await wait(1500)
        await hesitating.thaw()
        await dying.start()
        await cluster.untilInSync()
      }
    })
  })

  test('the broker that coordinates the group is killed, then the one that coordinates its transactions', async () => {
    await judgeThrough(async ({ cluster, bench }) => {
      const coordinators = [
        () => cluster.coordinatorOf(bench.group),
        () => cluster.transactionCoordinatorOf(`${bench.group}-${bench.topic(DOOR)}-0`),
      ]
      for (const find of coordinators) {
        const broker = await find()
        await broker.kill()
        await judged(bench, 50)
        await broker.start()
        await cluster.untilInSync()
      }
    })
  })

  test('all brokers are restarted, one after the other', async () => {
    await judgeThrough(async ({ cluster }) => {
      for (const broker of cluster.brokers) {
        await broker.stop()
        await broker.start()
        await cluster.untilInSync()
      }
    })
  })

  test('with two of three brokers down the gate waits and says so, and goes on when they are back', async () => {
    await judgeThrough(async ({ cluster, gate }) => {
      const down = cluster.brokers.slice(1)
      await Promise.all(down.map((broker) => broker.kill()))
      const codes = ['BROKER_UNREACHABLE', 'TRANSACTION_FAILING']
      await waitFor('the gate says that it waits for its brokers', async () => {
        const now = await gate.readiness()
        return now?.ready === false && now.waiting.some(({ code }) => codes.includes(code)) ? now : null
      })
      await Promise.all(down.map((broker) => broker.start()))
      await cluster.untilInSync()
      await gate.untilReady()
    })
  })

  test('with a broker down the topics are as they shall be, and a missing one is not made with fewer copies', async () => {
    assert.ok(parts)
    const { cluster, bench } = parts
    const settings = { ...bench.settings, prefix: 'degraded.' }
    const topic = (name: string): string => settings.prefix + name
    const options = { doorPartitions: 1 }
    const ask = <Answer>(work: Parameters<typeof withAdmin<Answer>>[1]) =>
      patiently(() => withAdmin(createKafka(settings, 'test'), work))
    const [, broker] = cluster.brokers
    assert.ok(broker)
    await patiently(() => applyTopics(settings, shippedTopics, options))
    await ask((admin) => admin.deleteTopics({ topics: [topic('replay.audit')] }))
    await waitFor('the topic is gone', async () => {
      return !(await ask((admin) => admin.listTopics())).includes(topic('replay.audit'))
    })
    await cluster.untilInSync()
    try {
      await broker.kill()
      await waitFor('the cluster has given it up', async () => {
        return (await ask((admin) => admin.describeCluster())).brokers.length === cluster.brokers.length - 1
      })
      const planned = await patiently(() => planTopics(settings, shippedTopics, options))
      const toDo = planned.filter(({ action }) => action !== 'none')
      assert.deepEqual(
        toDo.map(({ name, action, replicationFactor }) => [name, action, replicationFactor]),
        [[topic('replay.audit'), 'impossible', 3]],
      )
      const sentence = new RegExp(`2 instead of the 3 copies .* \\(${broker.id}\\)`)
      assert.match(toDo[0]?.problem ?? '', sentence)
      await assert.rejects(applyTopics(settings, shippedTopics, options), { code: 'TOPICS_MISSING', message: sentence })
    } finally {
      await mendBrokers(cluster)
      await cluster.untilInSync()
    }
    await patiently(() => applyTopics(settings, shippedTopics, options))
    const planned = await patiently(() => planTopics(settings, shippedTopics, options))
    assert.deepEqual([...new Set(planned.map(({ action }) => action))], ['none'])
  })

  test('the disk of a broker is full for a while', {
    skip: canMount ? false : 'only root on Linux can make a disk that is small enough to fill',
  }, async () => {
    await judgeThrough(async ({ cluster, bench, disk }) => {
      const broker = cluster.brokers[2]
      assert.ok(broker)
      const filler = join(disk, 'filler')
      await fill(filler)
      await waitFor('the broker has given up', () => !broker.running())
      await judged(bench, 50)
      await rm(filler)
      await broker.start()
      await cluster.untilInSync()
    })
  })
})

/** Resolves when this many more are judged than now. */
async function judged(bench: Bench, items: number): Promise<void> {
  const answer = () => bench.committed().catch(() => null)
  const before = await waitFor('the group tells what is judged', async () => {
    const now = await answer()
    return now === null ? null : { now }
  })
  await waitFor(`${items} more are judged`, async () => ((await answer()) ?? 0) >= before.now + items)
}

/** Writes until there is no space left. */
async function fill(file: string): Promise<void> {
  const handle = await open(file, 'w')
  try {
    for (const size of [1_048_576, 4096, 1]) {
      for (let full = false; !full; ) {
        full = await handle.write(Buffer.alloc(size)).then(
          ({ bytesWritten }) => bytesWritten < size,
          (error: unknown) => {
            if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return true
            throw error
          },
        )
      }
    }
  } finally {
    await handle.close()
  }
}
