import type { Kafka, KafkaMessage } from 'kafkajs'
import { z } from 'zod'

/** Which records count is decided here, by the markers, so that nobody's open transaction hides what is behind it. */
const UNCOMMITTED = 0

const batchContext = z.object({ firstOffset: z.coerce.number(), inTransaction: z.boolean(), producerId: z.string() })
const fetched = z.object({
  responses: z
    .array(z.object({ partitions: z.array(z.object({ messages: z.array(z.custom<KafkaMessage>()) })).length(1) }))
    .length(1),
})
const fetchedOffsets = z.tuple([
  z.object({ partitions: z.tuple([z.object({ partition: z.number(), offset: z.coerce.number() })]) }),
])

type Broker = { fetch(request: object): Promise<unknown> }
type Cluster = {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>
  findBroker(wanted: { nodeId: string }): Promise<Broker>
  fetchTopicsOffset(topics: object[]): Promise<unknown>
}

function has(found: unknown, ...methods: string[]): boolean {
  return methods.every((name) => typeof Reflect.get(Object(found), name) === 'function')
}

const unexpected = 'kafkajs is not as expected: the end of a partition can not be read'
const makeCluster = z.custom<(options: object) => unknown>((found) => typeof found === 'function', unexpected)
const broker = z.custom<Broker>((found) => has(found, 'fetch'), unexpected)
const cluster = z.custom<Cluster>(
  (found) =>
    has(found, 'connect', 'disconnect', 'addTargetTopic', 'findLeaderForPartitions', 'findBroker', 'fetchTopicsOffset'),
  unexpected,
)

export type PartitionReader = {
  /**
   * The last record that is not of an aborted or open transaction; null where there is none. Costs a few requests, and two more for
   * each transaction at the end of the partition that was not committed.
   */
  last(topic: string, partition: number): Promise<KafkaMessage | null>
  /** The record at an offset that the broker still has; null where there is a control record, or none any more. */
  at(topic: string, partition: number, offset: number): Promise<KafkaMessage | null>
}

/**
 * Lets `work` read single records. A kafkajs consumer can't: it belongs to a group, whose members wait for each other, and it
 * does not find the end. So this takes the part of the library below the consumer, which speaks to single brokers: one of its
 * own each time, because two first fetches at once would leave a connection open for ever.
 * @throws {Error} when the brokers don't answer, or the library's insides are not those that this was written for
 */
export async function withPartitionReader<Result>(
  kafka: Kafka,
  work: (reader: PartitionReader) => Promise<Result>,
): Promise<Result> {
  const symbol = Object.getOwnPropertySymbols(kafka).find((each) => each.description?.endsWith('createCluster'))
  const make = makeCluster.parse(symbol && Reflect.get(kafka, symbol))
  const brokers = cluster.parse(make.call(kafka, { allowAutoTopicCreation: false, isolationLevel: UNCOMMITTED }))

  async function leaderOf(topic: string, partition: number): Promise<Broker> {
    await brokers.addTargetTopic(topic)
    const [nodeId] = Object.keys(brokers.findLeaderForPartitions(topic, [partition]))
    if (nodeId === undefined) throw new Error(`partition ${partition} of ${topic} has no leader`)
    return broker.parse(await brokers.findBroker({ nodeId }))
  }

  async function end(topic: string, partition: number, fromBeginning: boolean): Promise<number> {
    const answer = await brokers.fetchTopicsOffset([{ topic, partitions: [{ partition }], fromBeginning }])
    return fetchedOffsets.parse(answer)[0].partitions[0].offset
  }

  try {
    await brokers.connect()
    return await work({
      async last(topic, partition) {
        const leader = await leaderOf(topic, partition)
        const [low, high] = [await end(topic, partition, true), await end(topic, partition, false)]
        return await lastBetween(low, high, (offset) => batchAt(leader, topic, partition, offset))
      },
      async at(topic, partition, offset) {
        const batch = await batchAt(await leaderOf(topic, partition), topic, partition, offset)
        return batch.find((message) => Number(message.offset) === offset && !isControl(message)) ?? null
      },
    })
  } finally {
    await brokers.disconnect()
  }
}

async function lastBetween(
  low: number,
  high: number,
  fetchBatch: (offset: number) => Promise<KafkaMessage[]>,
): Promise<KafkaMessage | null> {
  /** by producer, how the transaction ended that is the next one behind `at` */
  const endings = new Map<string, 'commit' | 'abort'>()
  let at = high - 1
  while (at >= low) {
    const last = (await fetchBatch(at)).at(-1)
    if (last === undefined) {
      // Nothing is left of what was here.
      at -= 1
      continue
    }
    const { producerId, inTransaction, firstOffset } = contextOf(last)
    if (isControl(last)) endings.set(producerId, isCommit(last) ? 'commit' : 'abort')
    else if (!inTransaction || endings.get(producerId) === 'commit') return last
    at = firstOffset - 1
  }
  return null
}

/** Records of the one batch that `offset` lies in. */
async function batchAt(leader: Broker, topic: string, partition: number, offset: number): Promise<KafkaMessage[]> {
  const answer = await leader.fetch({
    replicaId: -1,
    isolationLevel: UNCOMMITTED,
    maxWaitTime: 1000,
    minBytes: 1,
    // A broker hands out the first batch whole, however long it is, and no second one.
    maxBytes: 1,
    topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: 1 }] }],
  })
  return fetched.parse(answer).responses[0]?.partitions[0]?.messages ?? []
}

function contextOf(message: KafkaMessage): z.infer<typeof batchContext> {
  return batchContext.parse(Reflect.get(message, 'batchContext'))
}

function isControl(message: KafkaMessage): boolean {
  return z.boolean().parse(Reflect.get(message, 'isControlRecord'))
}

/** A control record's key is two 16-bit numbers: version and type; 0 is abort, 1 is commit. */
function isCommit({ key }: KafkaMessage): boolean {
  return key?.readInt16BE(2) === 1
}
