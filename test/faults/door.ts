import type { Message } from 'kafkajs'
import { createKafka } from '../../services/platform/kafka/client.ts'
import type { GateProcess, Readiness } from '../integration/gate-process.ts'
import { type Bench, patiently } from '../integration/harness.ts'
import { crawlItem, tinyPicture } from '../integration/items.ts'

/** Publishes so many more small pictures in each partition of the door. @param run keeps the ids of several calls apart */
export async function publish(bench: Bench, run: string, each: number): Promise<void> {
  await bench.produce('crawl.items', await messagesOf(bench, run, each))
}

/** What {@link publish} would, for when it must not take time. */
export async function messagesOf(bench: Bench, run: string, each: number): Promise<Message[]> {
  const messages = Array.from({ length: each * bench.partitions }, async (_, index) => {
    const id = `${run}-${index}`
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline: await tinyPicture(index) }))
    return { key: id, partition: index % bench.partitions, value }
  })
  return await Promise.all(messages)
}

/** What the gate's group has committed, by partition. */
export function committed(bench: Bench): Promise<Map<number, number>> {
  return bench.ask(async (admin) => {
    const [door] = await admin.fetchOffsets({ groupId: bench.group, topics: [bench.topic('crawl.items')] })
    return new Map(door?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  })
}

/** Moves the gate's committed offsets. By a transaction, because the brokers allow no other way while the group has members. */
export async function moveOffsets(bench: Bench, to: Readonly<Record<number, number>>): Promise<void> {
  await patiently(() => moveOnce(bench, to))
}

async function moveOnce(bench: Bench, to: Readonly<Record<number, number>>): Promise<void> {
  const producer = createKafka(bench.settings, 'test').producer({
    transactionalId: `${bench.group}-by-hand`,
    maxInFlightRequests: 1,
    retry: { initialRetryTime: 5, retries: 25 },
  })
  try {
    await producer.connect()
    const transaction = await producer.transaction()
    const partitions = Object.entries(to).map(([partition, offset]) => ({
      partition: Number(partition),
      offset: String(offset),
    }))
    await transaction.sendOffsets({
      consumerGroupId: bench.group,
      topics: [{ topic: bench.topic('crawl.items'), partitions }],
    })
    await transaction.commit()
  } finally {
    await producer.disconnect()
  }
}

/** Sentences of the lanes that wait for this, by partition. */
export async function lanesWaiting(gate: GateProcess, code: string): Promise<Map<number, string>> {
  const waiting: Readiness['waiting'] = (await gate.readiness())?.waiting ?? []
  return new Map(
    waiting.flatMap((each) => (each.partition !== null && each.code === code ? [[each.partition, each.sentence]] : [])),
  )
}
