import { SluiceError } from '../domain/errors.ts'
import { DOOR, GATE_GROUP, prefixed } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import { topicFailure } from '../platform/kafka/kafka-failure.ts'
import { topicSettings } from '../platform/kafka/topic-settings.ts'
import type { Settings } from '../platform/settings.ts'

/**
 * The time before which nothing of the intake store is needed: the door keeps no record from before it, and all that came before it is judged.
 * @param now milliseconds since the epoch
 * @returns milliseconds since the epoch
 * @throws {SluiceError} CONFIG_INVALID where the door keeps records for ever; BROKER_UNREACHABLE, TOPICS_MISSING;
 *   USAGE where older records wait to be judged
 */
export async function doorNeedsSince(settings: Settings, now: number): Promise<number> {
  const door = prefixed(settings.prefix, DOOR)
  try {
    return await withAdmin(createKafka(settings, 'sluice-stores'), async (admin) => {
      const kept = Number((await topicSettings(admin, door, ['retention.ms'])).get('retention.ms') ?? -1)
      if (!(kept > 0)) {
        throw new SluiceError('CONFIG_INVALID', `${door} has no retention.ms: its records may refer to intake for ever`)
      }
      const since = now - kept
      const groupId = prefixed(settings.prefix, GATE_GROUP)
      const [first, low, committed] = await Promise.all([
        admin.fetchTopicOffsetsByTimestamp(door, since),
        admin.fetchTopicOffsets(door),
        admin.fetchOffsets({ groupId, topics: [door] }),
      ])
      const judged = new Map(committed[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
      const begins = new Map(low.map(({ partition, low: offset }) => [partition, Number(offset)]))
      const waiting = first.filter(({ partition, offset }) => {
        const upTo = judged.get(partition) ?? -1
        return Number(offset) > (upTo < 0 ? (begins.get(partition) ?? 0) : upTo)
      })
      if (waiting.length === 0) return since
      const sentence = `${door} has records older than it keeps them that are not judged, in ${waiting.length} partitions: nothing can be taken from intake before they are`
      throw new SluiceError('USAGE', sentence)
    })
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw topicFailure(cause, door)
  }
}
