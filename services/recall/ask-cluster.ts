import { prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Settings } from '../platform/settings.ts'
import type { Positions } from './progress.ts'

/**
 * The cluster's id, and the ends of gate.verdicts, control records included.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING
 */
export async function askCluster(settings: Settings): Promise<{ id: string; ends: Positions }> {
  const kafka = createKafka(settings, 'sluice-recall')
  const { cluster, bounds } = await topicBounds(kafka, prefixed(settings.prefix, 'gate.verdicts'))
  return { id: cluster, ends: new Map(bounds.map(({ partition, high }) => [partition, high])) }
}
