import { prefixed } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import { topicFailure } from '../platform/kafka/kafka-failure.ts'
import type { Settings } from '../platform/settings.ts'
import type { Positions } from './progress.ts'

/**
 * The cluster's id, and the ends of gate.verdicts, control records included.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING
 */
export async function askCluster(settings: Settings): Promise<{ id: string; ends: Positions }> {
  const topic = prefixed(settings.prefix, 'gate.verdicts')
  try {
    return await withAdmin(createKafka(settings, 'sluice-recall'), async (admin) => {
      const { clusterId } = await admin.describeCluster()
      const ends = await admin.fetchTopicOffsets(topic)
      return { id: clusterId, ends: new Map(ends.map(({ partition, high }) => [partition, Number(high)])) }
    })
  } catch (cause) {
    throw topicFailure(cause, topic)
  }
}
