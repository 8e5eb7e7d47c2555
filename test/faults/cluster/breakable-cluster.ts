import type { Admin, Kafka } from 'kafkajs'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { readSettings } from '../../../services/platform/settings.ts'
import { waitFor } from '../../integration/waiting.ts'

/** A broker that a test breaks and mends. Its data and its address survive. */
export type BreakableBroker = {
  id: number
  /** host:port */
  address: string
  /** false while it is down or frozen */
  running(): boolean
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Asks it to end, which hands its leaderships over first; resolves when it is gone. */
  stop(): Promise<void>
  /** Resolves when the cluster counts it among its brokers. */
  start(): Promise<void>
  /** It stands still with all connections open, until thawed. */
  freeze(): Promise<void>
  thaw(): Promise<void>
}

/** Three brokers with replication 3 and min.insync.replicas 2, whatever they run in. */
export type BreakableCluster = {
  brokers: readonly BreakableBroker[]
  /** host:port of all brokers */
  bootstrap: readonly string[]
  /** URL of the registry's Confluent-compatible API */
  registry: string
  /** folder with the credentials of all who may come; null where nobody is asked */
  users: string | null
  /** The broker that coordinates a consumer group. */
  coordinatorOf(group: string): Promise<BreakableBroker>
  /** The broker that coordinates the transactions of this id. */
  transactionCoordinatorOf(transactionalId: string): Promise<BreakableBroker>
  leaderOf(topic: string, partition: number): Promise<BreakableBroker>
  /** Makes this broker the leader of a partition; resolves when it is. */
  lead(broker: BreakableBroker, topic: string, partition: number): Promise<void>
  /** Resolves when each broker says that all are there and that all partitions have all their copies in sync. */
  untilInSync(): Promise<void>
  /** Ends everything and removes the data. */
  close(): Promise<void>
}

/** What a breakable cluster knows of itself by asking its brokers; each question is answered by any broker that is up. */
export type ClusterQuestions = Pick<
  BreakableCluster,
  'coordinatorOf' | 'transactionCoordinatorOf' | 'leaderOf' | 'lead' | 'untilInSync'
> & {
  /** Resolves when this broker says itself that it belongs to the cluster. */
  untilMember(broker: BreakableBroker): Promise<void>
}

/**
 * @param brokers asked when they run; the array may be filled later
 * @param users folder with the credentials of who asks; null where nobody is asked for any
 */
export function createClusterQuestions(
  brokers: readonly BreakableBroker[],
  users: string | null = null,
): ClusterQuestions {
  /** Until it answers: a cluster with a broken broker answers late. */
  async function ask<Answer>(
    what: string,
    question: (admin: Admin) => Promise<Answer | null>,
    from: BreakableBroker | null = null,
  ): Promise<Answer> {
    let trouble: unknown
    const answer = async (): Promise<{ found: Answer } | null> => {
      const asked = from === null ? brokers.filter((broker) => broker.running()) : [from]
      try {
        const found = await withAdmin(clientOf(asked, users), question)
        return found === null ? null : { found }
      } catch (error) {
        trouble = error
        return null
      }
    }
    try {
      return (await waitFor(what, answer, { everyMs: 200 })).found
    } catch (error) {
      throw new Error(String(error), { cause: trouble })
    }
  }

  function leaderOf(topic: string, partition: number): Promise<BreakableBroker> {
    return ask(`partition ${partition} of ${topic} has a leader`, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const leader = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)?.leader
      return brokers.find(({ id }) => id === leader) ?? null
    })
  }

  /** Kafka spreads groups and transactional ids over the partitions of an internal topic, whose leaders coordinate them. */
  async function leaderFor(topic: string, id: string): Promise<BreakableBroker> {
    const partitions = await ask(`${topic} is there`, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]?.partitions.length ?? null
    })
    return await leaderOf(topic, (javaHash(id) & 0x7fffffff) % partitions)
  }

  return {
    leaderOf,
    coordinatorOf: (group) => leaderFor('__consumer_offsets', group),
    transactionCoordinatorOf: (transactionalId) => leaderFor('__transaction_state', transactionalId),
    async lead(broker, topic, partition) {
      const others = brokers.map(({ id }) => id).filter((id) => id !== broker.id)
      await ask(`broker ${broker.id} is to lead partition ${partition} of ${topic}`, async (admin) => {
        const partitionAssignment = [{ partition, replicas: [broker.id, ...others] }]
        await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] })
        return true
      })
      // The controller gives a partition to the first of its brokers by itself, see EVERY_BROKER.
      await waitFor(
        `broker ${broker.id} leads partition ${partition} of ${topic}`,
        async () => (await leaderOf(topic, partition)) === broker,
      )
    },
    async untilMember(broker) {
      // The others may still take one that died a moment ago for a member.
      await ask(
        `broker ${broker.id} belongs to the cluster`,
        async (admin) => (await admin.describeCluster()).brokers.some(({ nodeId }) => nodeId === broker.id) || null,
        broker,
      )
    },
    async untilInSync() {
      // Each for itself: one that was cut off or frozen goes on for a moment with what it knew before.
      await Promise.all(
        brokers.map((broker) =>
          ask(
            `all copies are in sync, as broker ${broker.id} sees it`,
            async (admin) => {
              const members = (await admin.describeCluster()).brokers.length
              const { topics } = await admin.fetchTopicMetadata()
              const whole = topics.every(({ partitions }) =>
                partitions.every(({ isr, replicas, leader }) => leader >= 0 && isr.length === replicas.length),
              )
              return (members === brokers.length && whole) || null
            },
            broker,
          ),
        ),
      )
    },
  }
}

function clientOf(brokers: readonly BreakableBroker[], users: string | null): Kafka {
  const settings = readSettings({
    SLUICE_BROKERS: brokers.map(({ address }) => address).join(',') || '127.0.0.1:1',
    // Not asked for anything here.
    SLUICE_REGISTRY: 'http://127.0.0.1:1',
    ...(users === null ? {} : { SLUICE_KAFKA_USERS: users, SLUICE_PRINCIPAL: 'admin' }),
  })
  return createKafka(settings, 'breakable-cluster', undefined, { retries: 2, initialRetryTime: 50 })
}

/** String.hashCode() of Java. */
function javaHash(text: string): number {
  let sum = 0
  for (let index = 0; index < text.length; index++) sum = (Math.imul(sum, 31) + text.charCodeAt(index)) | 0
  return sum
}
