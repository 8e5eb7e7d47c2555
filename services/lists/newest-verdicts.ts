import type { VerdictRecord } from '../domain/records.ts'
import { prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import type { FollowedRecord } from '../platform/kafka/follow-topic.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { offsetsAt, topicBounds } from '../platform/kafka/topic-bounds.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

export type NewestVerdicts = {
  /** how many, about: as many of each partition */
  last: number
  /** none that came before, in milliseconds since the epoch; default: all */
  since?: number
  /** whether a verdict is worth being decoded, by its bytes; default: all are */
  isWanted?: (record: FollowedRecord) => boolean
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
  { last, since, isWanted = () => true, onVerdict, onRead }: NewestVerdicts,
): Promise<number> {
  const kafka = createKafka(settings, 'sluice-lists-verdicts')
  const topic = prefixed(settings.prefix, 'gate.verdicts')
  const begun = Date.now()
  const { bounds } = await topicBounds(kafka, topic)
  const young = since === undefined ? null : await offsetsAt(kafka, topic, since)
  const each = Math.ceil(last / Math.max(1, bounds.length))
  const spans = bounds.map(({ partition, low, high }) => {
    const first = Math.min(high, Math.max(low, young?.get(partition) ?? low))
    return { partition, first, from: Math.max(first, high - each), high }
  })
  const total = spans.reduce((sum, { from, high }) => sum + high - from, 0)
  /** those of which older ones are left out, until their first one has come */
  const cut = new Set(spans.filter(({ first, from }) => first < from).map(({ partition }) => partition))
  let whole = since ?? 0
  let read = 0
  await readTopic<VerdictRecord>({
    kafka,
    registry: createRegistry(settings),
    prefix: settings.prefix,
    topic: 'gate.verdicts',
    from: new Map(spans.map(({ partition, from }) => [partition, from])),
    to: new Map(spans.map(({ partition, high }) => [partition, high])),
    isWanted(record) {
      read += 1
      onRead(read, total)
      // What was left out may have come at the same moment.
      if (cut.delete(record.partition)) whole = Math.max(whole, record.timestamp + 1)
      return isWanted(record)
    },
    onValue: onVerdict,
  })
  // Nothing but what a transaction leaves behind has come of it.
  return cut.size === 0 ? whole : begun
}
