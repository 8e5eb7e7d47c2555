import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Producer } from 'kafkajs'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { readTopics, skipWithoutPython } from '../../foreign/foreign.ts'
import { type Bench, openBench } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'

const END = 'the end'
/** As the key of the record that says that a transaction was aborted. */
const ZEROS = '\0\0\0\0'

/** Transactions in the order in which they begin: who writes which records, and how it ends. Some of `one` and `other` are open together. */
const plan = [
  { one: ['a1', 'a2'], other: ['b1', 'b2'], ends: { one: 'abort', other: 'commit' } },
  { one: ['a3', 'a4'], other: [ZEROS, 'b4'], ends: { one: 'commit', other: 'abort' } },
  { one: ['a5', ZEROS], other: [ZEROS, 'b6'], ends: { one: 'abort', other: 'abort' } },
  { one: [ZEROS, 'a8'], other: ['b7', 'b8'], ends: { one: 'commit', other: 'commit' } },
] as const
const committed = ['b1', 'b2', 'c1', 'a3', 'a4', 'c2', 'c3', ZEROS, 'b7', 'a8', 'b8', 'c4']

test('nothing of an aborted transaction is handed out, whatever its keys are, also where transactions overlap and wherever one begins to read', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const topic = bench.topic('gate.verdicts')
  const producers = { one: await connected('one'), other: await connected('other') }
  for (const [index, { one, other, ends }] of plan.entries()) {
    const transactions = { one: await producers.one.transaction(), other: await producers.other.transaction() }
    const send = (who: 'one' | 'other', value: string | undefined) =>
      transactions[who].send({ topic, messages: [{ key: value ?? null, value: 'v', partition: 0 }] })
    for (const at of [0, 1]) {
      await send('one', one[at])
      await send('other', other[at])
    }
    await transactions.other[ends.other]()
    // It can go on only when the marker of its end is written: so that is before the one of `one`, however slow the brokers are.
    const next = await producers.other.transaction()
    await next.send({ topic, messages: [{ key: `c${index + 1}`, value: 'v', partition: 0 }] })
    await transactions.one[ends.one]()
    await next.commit()
  }
  await bench.produce('gate.verdicts', [{ key: END, value: 'v', partition: 0 }])

  const { records, partitions } = await readTopics(bench.settings, [topic])
  const foreign = records.map(({ offset, key }) => ({ offset, key: Buffer.from(String(key), 'base64').toString() }))
  assert.deepEqual(foreign.map(({ key }) => key).toSorted(), [...committed, END].toSorted(), 'as librdkafka sees it')
  for (let from = 0; from < (partitions[0]?.end ?? 0); from += 5) {
    const expected = foreign.filter(({ offset }) => offset >= from).map(({ key }) => key)
    assert.deepEqual(await consumedFrom(bench, from), expected, `from offset ${from}`)
  }

  async function connected(name: string): Promise<Producer> {
    const producer = createKafka(bench.settings, 'test').producer({
      transactionalId: `${bench.group}-${name}`,
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { initialRetryTime: 5, retries: 25 },
    })
    await producer.connect()
    t.after(() => producer.disconnect())
    return producer
  }
})

/** The keys that a consumer of the library is handed, up to the end. */
async function consumedFrom(bench: Bench, from: number): Promise<string[]> {
  const topic = bench.topic('gate.verdicts')
  const consumer = createKafka(bench.settings, 'test').consumer({
    groupId: `${bench.group}-test`,
    maxWaitTimeInMs: 100,
  })
  /** by offset: what was on its way before the seek may come twice */
  const keys = new Map<number, string>()
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage({ message }) {
        if (Number(message.offset) >= from) keys.set(Number(message.offset), String(message.key))
        return Promise.resolve()
      },
    })
    consumer.seek({ topic, partition: 0, offset: String(from) })
    await waitFor('the end is handed out', () => [...keys.values()].includes(END))
  } finally {
    await consumer.disconnect()
  }
  return [...keys].sort(([a], [b]) => a - b).map(([, key]) => key)
}
