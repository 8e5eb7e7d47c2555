import { setTimeout as wait } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import { withAdmin } from './client.ts'
import { isPassing, isRefusal, topicFailure } from './kafka-failure.ts'

/** Where a partition begins and ends: its first offset, and the first that is not there yet; control records count. */
export type PartitionBounds = { partition: number; low: number; high: number }

/** How long brokers may be at something else, e.g. choosing a leader for a new topic, before a command gives up. */
const PATIENCE_MS = 20_000
const AGAIN_MS = 200

/**
 * The cluster's id, and the bounds of a topic's partitions in their order.
 * @param kafka an instance of its own
 * @param topic full name, with prefix
 * @throws {SluiceError} TOPICS_MISSING, ACCESS_DENIED, BROKER_UNREACHABLE
 */
export async function topicBounds(
  kafka: Kafka,
  topic: string,
): Promise<{ cluster: string; bounds: PartitionBounds[] }> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await withAdmin(kafka, async (admin) => {
        const [{ clusterId }, found] = await Promise.all([admin.describeCluster(), admin.fetchTopicOffsets(topic)])
        const bounds = found.map(({ partition, low, high }) => ({ partition, low: Number(low), high: Number(high) }))
        return { cluster: clusterId, bounds: bounds.sort((a, b) => a.partition - b.partition) }
      })
    } catch (cause) {
      const mayPass = isPassing(cause) && !isRefusal(cause, 'UNKNOWN_TOPIC_OR_PARTITION')
      if (!mayPass || performance.now() > deadline) throw topicFailure(cause, topic)
    }
    await wait(AGAIN_MS)
  }
}

/**
 * The first offset of each partition that came at this moment or later; its end where there is none.
 * @param kafka an instance of its own
 * @param topic full name, with prefix
 * @param moment milliseconds since the epoch, by the brokers' clocks
 * @throws {SluiceError} TOPICS_MISSING, ACCESS_DENIED, BROKER_UNREACHABLE
 */
export async function offsetsAt(kafka: Kafka, topic: string, moment: number): Promise<Map<number, number>> {
  try {
    const found = await withAdmin(kafka, (admin) => admin.fetchTopicOffsetsByTimestamp(topic, Math.max(0, moment)))
    return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]))
  } catch (cause) {
    throw topicFailure(cause, topic)
  }
}
