import type { VerdictRecord } from '../domain/records.ts'
import { prefixed } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import { topicFailure } from '../platform/kafka/kafka-failure.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** So many of the newest verdicts are looked at, if nothing else is said. */
export const NEWEST_VERDICTS = 1_000_000

export type NewestVerdicts = {
  /** how many, about: as many of each partition */
  last?: number
  /** none that came before, in milliseconds since the epoch */
  since?: number
  onVerdict: (verdict: VerdictRecord) => void
  /** told how many have been read, and of how many about */
  onRead: (read: number, total: number) => void
}

/**
 * Reads what the gate has judged lately.
 * @returns from when on nothing was left out, in milliseconds since the epoch: `since`, or later where there were more than `last`
 * @throws {SluiceError} as `readTopic`
 */
export async function readNewestVerdicts(
  settings: Settings,
  { last = NEWEST_VERDICTS, since = 0, onVerdict, onRead }: NewestVerdicts,
): Promise<number> {
  const kafka = createKafka(settings, 'sluice-lists-verdicts')
  const topic = prefixed(settings.prefix, 'gate.verdicts')
  const { bounds } = await topicBounds(kafka, topic)
  const each = Math.ceil(last / Math.max(1, bounds.length))
  const young = since === 0 ? new Map<number, number>() : await offsetsAt(settings, topic, since)
  /** partitions of which older ones are left out */
  const cut = new Set<number>()
  let total = 0
  const from = new Map<number, number>()
  for (const { partition, low, high } of bounds) {
    const first = Math.max(low, young.get(partition) ?? low)
    from.set(partition, Math.max(first, high - each))
    if (first < high - each) cut.add(partition)
    total += high - Math.max(first, high - each)
  }
  let read = 0
  let whole = since
  await readTopic<VerdictRecord>({
    kafka,
    registry: createRegistry(settings),
    prefix: settings.prefix,
    topic: 'gate.verdicts',
    from,
    isWanted: () => true,
    onValue(verdict, { partition, timestamp }) {
      if (cut.delete(partition)) whole = Math.max(whole, timestamp)
      onVerdict(verdict)
      read += 1
      onRead(read, total)
    },
  })
  return whole
}

/** Of each partition the first offset that came then or later. */
export async function offsetsAt(settings: Settings, topic: string, since: number): Promise<Map<number, number>> {
  const found = await withAdmin(createKafka(settings, 'sluice-lists'), (admin) =>
    admin.fetchTopicOffsetsByTimestamp(topic, since),
  ).catch((cause: unknown) => {
    throw topicFailure(cause, topic)
  })
  return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]))
}
