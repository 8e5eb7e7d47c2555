import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { adminSettings, sharedStack } from '../integration/shared-stack.ts'
import { waitFor } from '../integration/waiting.ts'
import { produceForeign, readTopics, skipWithoutPython } from './foreign.ts'

const HEADERS: ReadonlyArray<readonly [string, Buffer | null]> = [
  ['a', Buffer.from('first')],
  ['b', null],
  ['a', Buffer.from('second')],
  ['', Buffer.alloc(0)],
]

test('the foreign reader sees committed records only and ends behind control records', {
  skip: skipWithoutPython(),
}, async (t) => {
  const stack = adminSettings(sharedStack())
  const kafka = createKafka(stack, 'foreign-test')
  const topic = `t-${randomBytes(5).toString('hex')}.foreign`
  await withAdmin(kafka, async (admin) => {
    await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: 3 }] })
    await waitFor('the topic is known', async () => {
      const found = await admin.fetchTopicOffsets(topic).catch(() => [])
      return found.length === 3
    })
  })
  t.after(() => withAdmin(kafka, (admin) => admin.deleteTopics({ topics: [topic] })))

  const offsets = await produceForeign(stack, [
    { topic, partition: 0, key: Buffer.alloc(0), value: null, headers: HEADERS },
    { topic, partition: 0, key: null, value: Buffer.alloc(2000, 1) },
  ])
  assert.deepEqual(offsets, [0, 1])

  const producer = kafka.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const [value, end] of [
    ['committed', 'commit'],
    ['aborted', 'abort'],
  ] as const) {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ partition: 1, value }] })
    await transaction[end]()
  }
  await producer.disconnect()

  const { records, partitions } = await readTopics(stack, [topic])
  assert.deepEqual(partitions.map(({ partition, end }) => [partition, end]).sort(), [
    [0, 2],
    [1, 4],
    [2, 0],
  ])
  assert.equal(records.length, 3)
  const [first, second, third] = records.sort((a, b) => a.partition - b.partition)
  assert.deepEqual([first?.key, first?.value, first?.valueSha256], ['', null, null])
  assert.deepEqual(
    first?.headers,
    HEADERS.map(([name, value]) => [name, value?.toString('base64') ?? null]),
  )
  assert.equal(second?.key, null)
  assert.deepEqual([third?.partition, third?.offset, third?.value], [1, 0, null])
})
