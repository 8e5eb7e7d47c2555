import { setTimeout as wait } from 'node:timers/promises'
import { DOOR } from '../../services/domain/topics.ts'
import type { Bench } from '../integration/harness.ts'
import type { BreakableBroker, BreakableCluster } from './cluster/breakable-cluster.ts'
import type { Chance } from './seeded.ts'

export type BrokerFault =
  | 'kill-coordinator'
  | 'kill-transaction-coordinator'
  | 'kill-broker'
  | 'stop-broker'
  | 'freeze-broker'

const DOWN_MS = { least: 500, most: 6000 }
/** Around the brokers' own patience with each other. */
const FROZEN_MS = { least: 2000, most: 9000 }

type Break = (cluster: BreakableCluster, bench: Bench, chance: Chance) => Promise<void>

/** Breaks one broker and mends it; resolves when all copies are in sync, so that the next may be broken. */
export const breakBroker: Readonly<Record<BrokerFault, Break>> = {
  'kill-coordinator': async (cluster, bench, chance) => {
    await killAndStart(cluster, await cluster.coordinatorOf(bench.group), chance)
  },
  'kill-transaction-coordinator': async (cluster, bench, chance) => {
    const partition = chance.between(0, bench.partitions - 1)
    const broker = await cluster.transactionCoordinatorOf(`${bench.group}-${bench.topic(DOOR)}-${partition}`)
    await killAndStart(cluster, broker, chance)
  },
  'kill-broker': (cluster, _, chance) => killAndStart(cluster, chance.pick(cluster.brokers), chance),
  'stop-broker': async (cluster, _, chance) => {
    const broker = chance.pick(cluster.brokers)
    await broker.stop()
    await broker.start()
    await cluster.untilInSync()
  },
  'freeze-broker': async (cluster, _, chance) => {
    const broker = chance.pick(cluster.brokers)
    await broker.freeze()
    await wait(chance.between(FROZEN_MS.least, FROZEN_MS.most))
    await broker.thaw()
    await cluster.untilInSync()
  },
}

/** Starts what an earlier fault has left broken. */
export async function mendBrokers(cluster: BreakableCluster): Promise<void> {
  for (const broker of cluster.brokers.filter((each) => !each.running())) {
    await broker.kill()
    await broker.start()
  }
}

async function killAndStart(cluster: BreakableCluster, broker: BreakableBroker, chance: Chance): Promise<void> {
  await broker.kill()
  await wait(chance.between(DOWN_MS.least, DOWN_MS.most))
  await broker.start()
  await cluster.untilInSync()
}
