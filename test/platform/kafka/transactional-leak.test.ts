import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Producer } from 'kafkajs'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { readTopics, skipWithoutPython } from '../../foreign/foreign.ts'
import { openBench } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'

const END = 'the end'

/** Transactions in the order in which they begin: who writes which records, and how it ends. Some of `one` and `other` are open together. */
const plan = [
  { one: ['a1', 'a2'], other: ['b1', 'b2'], ends: { one: 'abort', other: 'commit' } },
  { one: ['a3', 'a4'], other: ['b3', 'b4'], ends: { one: 'commit', other: 'abort' } },
  { one: ['a5', 'a6'], other: ['b5', 'b6'], ends: { one: 'abort', other: 'abort' } },
  { one: ['a7', 'a8'], other: ['b7', 'b8'], ends: { one: 'commit', other: 'commit' } },
] as const
const committed = ['b1', 'b2', 'c1', 'a3', 'a4', 'c2', 'c3', 'a7', 'b7', 'a8', 'b8', 'c4']

test('where transactions of two producers lie one within the other, librdkafka reads the committed records; kafkajs reads aborted ones too', {
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

  const foreign = (await readTopics(bench.settings, [topic])).records.map(({ key }) =>
    typeof key === 'string' ? Buffer.from(key, 'base64').toString() : '',
  )
  assert.deepEqual(foreign.toSorted(), [...committed, END].toSorted())

  const own: string[] = []
  const consumer = createKafka(bench.settings, 'test').consumer({ groupId: `${bench.group}-test` })
  t.after(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: ({ message }) => {
      own.push(message.key?.toString() ?? '')
      return Promise.resolve()
    },
  })
  await waitFor('all is read', () => own.includes(END))
  const aborted = own.filter((key) => !foreign.includes(key))
  t.diagnostic(`handed out although aborted: ${aborted.join(', ')}`)
  // Should this fail: the library has been mended, and partitions with several transactional writers have become readable with it.
  assert.notDeepEqual(aborted, [])
  assert.deepEqual(
    own.filter((key) => foreign.includes(key)).toSorted(),
    foreign.toSorted(),
    'what is committed is read, once',
  )

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
