import assert from 'node:assert/strict'
import type { Consumer } from 'kafkajs'
import { z } from 'zod'
import { laneTopics } from '../../services/gate/route.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import type { Bench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'

const batchContext = z.object({ producerId: z.string(), producerEpoch: z.number() })

/**
 * Reads all that was ever written to the topics of the lanes, aborted records too, and checks that a partition has one writer at a time:
 * one transactional id, whose owners follow each other. It can have only one transaction open, so readers never
 * meet two that lie one within the other.
 */
export async function assertOneWriter(bench: Bench): Promise<void> {
  const kafka = createKafka(bench.settings, 'test')
  const topics = laneTopics.map((name) => bench.topic(name))
  const ends = await bench.ask(async (admin) => {
    const found = topics.map(async (topic) =>
      (await admin.fetchTopicOffsets(topic)).map(
        ({ partition, high }) => [`${topic}/${partition}`, Number(high)] as const,
      ),
    )
    return new Map((await Promise.all(found)).flat())
  })
  /** by input partition */
  const producers = new Map<number, Set<string>>()
  /** by topic and partition */
  const epochs = new Map<string, number[]>()
  const reached = new Map<string, number>()
  const consumer: Consumer = kafka.consumer({
    groupId: `${bench.group}-raw`,
    readUncommitted: true,
    maxWaitTimeInMs: 50,
  })
  try {
    // Also of batches that are nothing but control records, which are not handed out.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { topic, partition, lastOffset } }) => {
      reached.set(`${topic}/${partition}`, Number(lastOffset) + 1)
    })
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: true })
    await consumer.run({
      eachBatch: ({ batch: { topic, partition, messages } }) => {
        for (const message of messages) {
          const { producerId, producerEpoch } = batchContext.parse(Reflect.get(message, 'batchContext'))
          producers.set(partition, (producers.get(partition) ?? new Set()).add(producerId))
          const place = `${topic}/${partition}`
          const seen = epochs.get(place) ?? []
          if (seen.at(-1) !== producerEpoch) seen.push(producerEpoch)
          epochs.set(place, seen)
        }
        return Promise.resolve()
      },
    })
    await waitFor('everything is read', () => [...ends].every(([place, end]) => (reached.get(place) ?? 0) >= end))
  } finally {
    await consumer.disconnect()
  }
  assert.ok(producers.size > 0, 'something was written')
  for (const [partition, ids] of producers) assert.equal(ids.size, 1, `partition ${partition} has ${ids.size} writers`)
  for (const [place, seen] of epochs) {
    assert.deepEqual(
      seen,
      [...new Set(seen)].toSorted((a, b) => a - b),
      `${place}: an owner wrote after its successor`,
    )
  }
}
