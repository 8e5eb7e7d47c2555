import assert from 'node:assert/strict'
import { test } from 'node:test'
import kafkajs, { type Producer, type Transaction } from 'kafkajs'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { readTopics, skipWithoutPython } from '../../foreign/foreign.ts'
import { type Bench, openBench, patiently } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'

const ZEROS = Buffer.alloc(4)

/** Writes to the one partition of the door in transactions that overlap. */
async function openWriter(bench: Bench, name: string) {
  const producer: Producer = createKafka(bench.settings, name).producer({
    transactionalId: `${bench.settings.prefix}${name}`,
    maxInFlightRequests: 1,
    idempotent: true,
    createPartitioner: () => () => 0,
  })
  await producer.connect()
  return { begin: () => patiently(() => producer.transaction()), close: () => producer.disconnect() }
}

/** What a consumer of the library is handed, key by key. */
async function consumed(bench: Bench, from: number, last: string): Promise<string[]> {
  const kafka = createKafka(bench.settings, 'consumer')
  const consumer = kafka.consumer({ groupId: `${bench.settings.prefix}reader-${from}`, maxWaitTimeInMs: 100 })
  const keys: string[] = []
  const topic = bench.topic('crawl.items')
  await consumer.connect()
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      eachMessage({ message }) {
        if (Number(message.offset) >= from) keys.push(String(message.key))
        return Promise.resolve()
      },
    })
    consumer.seek({ topic, partition: 0, offset: String(from) })
    await waitFor('the last record is handed out', () => keys.at(-1) === last)
  } finally {
    await consumer.disconnect()
  }
  return keys
}

test('nothing of an aborted transaction is handed out, whatever its keys are, also where transactions overlap and wherever one begins to read', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const topic = bench.topic('crawl.items')
  const [one, other] = await Promise.all([openWriter(bench, 'one'), openWriter(bench, 'other')])
  const send = (transaction: Transaction, ...keys: Array<string | Buffer>): Promise<unknown> =>
    transaction.send({
      topic,
      compression: kafkajs.CompressionTypes.None,
      messages: keys.map((key) => ({ key, value: null })),
    })
  try {
    const [aborted, alsoAborted] = [await one.begin(), await other.begin()]
    await send(aborted, 'a0', ZEROS, 'a1')
    await send(alsoAborted, 'b0', ZEROS, 'b1')
    await send(aborted, 'a2')
    await send(alsoAborted, 'b2')
    await aborted.abort()
    await alsoAborted.abort()
    const committed = await one.begin()
    const abortedLater = await other.begin()
    await send(abortedLater, ZEROS, 'b3')
    await send(committed, 'c0', ZEROS, 'c1')
    await abortedLater.abort()
    await committed.commit()
    const last = await other.begin()
    await send(last, 'last')
    await last.commit()
  } finally {
    await Promise.all([one.close(), other.close()])
  }
  const { records } = await readTopics(bench.settings, [topic])
  const expected = records.map(({ offset, key }) => ({ offset, key: String(Buffer.from(String(key), 'base64')) }))
  assert.deepEqual(
    expected.map(({ key }) => key),
    ['c0', String(ZEROS), 'c1', 'last'],
    'as librdkafka sees it',
  )
  for (const from of [0, 1, 4, 7, 12]) {
    assert.deepEqual(
      await consumed(bench, from, 'last'),
      expected.filter(({ offset }) => offset >= from).map(({ key }) => key),
      `from offset ${from}`,
    )
  }
})
