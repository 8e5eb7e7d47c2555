import type { HeldItem } from '../domain/records.ts'
import { heldTopics, prefixed } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import { topicFailure } from '../platform/kafka/kafka-failure.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/**
 * How many items each list has held since then: of those that it only marked, being in shadow, nothing is said.
 * @param since milliseconds since the epoch
 * @throws {SluiceError} as `readTopic`
 */
export async function countHits(settings: Settings, since: number): Promise<ReadonlyMap<string, number>> {
  const hits = new Map<string, number>()
  for (const topic of heldTopics) {
    const name = prefixed(settings.prefix, topic)
    const begins = await withAdmin(createKafka(settings, 'sluice-lists'), (admin) =>
      admin.fetchTopicOffsetsByTimestamp(name, since),
    ).catch((cause: unknown) => {
      throw topicFailure(cause, name)
    })
    await readTopic<HeldItem>({
      kafka: createKafka(settings, 'sluice-lists'),
      registry: createRegistry(settings),
      prefix: settings.prefix,
      topic,
      from: new Map(begins.map(({ partition, offset }) => [partition, Number(offset)])),
      isWanted: () => true,
      onValue({ matches }) {
        const lists = new Set(matches.filter(({ enforced }) => enforced).map(({ list }) => list))
        for (const list of lists) hits.set(list, (hits.get(list) ?? 0) + 1)
      },
    })
  }
  return hits
}
