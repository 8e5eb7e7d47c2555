import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Producer } from 'kafkajs'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { withPartitionReader } from '../../../services/platform/kafka/partition-reader.ts'
import { openBench, patiently } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'

test('the last record that counts is found behind aborted, open and control records', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const topic = bench.topic('gate.verdicts')
  const kafka = createKafka(bench.settings, 'test')
  const last = async (): Promise<string | null> =>
    (await withPartitionReader(kafka, (reader) => reader.last(topic, 0)))?.value?.toString() ?? null
  const at = async (offset: number): Promise<string | null> =>
    (await withPartitionReader(kafka, (reader) => reader.at(topic, 0, offset)))?.value?.toString() ?? null
  const one = await connected(transactional('one'))
  const other = await connected(transactional('other'))

  // Its leader may hear of it a moment later.
  assert.equal(await patiently(last), null, 'nothing is there')
  await write(one, ['a', 'b'], 'abort')
  assert.equal(await last(), null, 'nothing is committed')
  await write(one, ['c', 'd', 'e'], 'commit')
  // Brokers answer to a commit before they mark the partition.
  await waitFor('it is committed', async () => (await last()) === 'e')
  for (let round = 0; round < 20; round++) await write(one, [`x${round}`], 'abort')
  assert.equal(await last(), 'e', 'behind twenty aborted transactions')
  await bench.produce('gate.verdicts', [{ value: 'another partition', partition: 1 }])
  assert.equal(await last(), 'e', 'of this partition')

  const open = await other.transaction()
  await open.send({ topic, messages: [{ value: 'open', partition: 0 }] })
  assert.equal(await last(), 'e', 'before an open transaction')
  await write(one, ['f'], 'commit')
  // Behind the first record of an open transaction of somebody else.
  await waitFor('it is committed', async () => (await last()) === 'f')
  await open.abort()
  assert.equal(await last(), 'f')
  await bench.produce('gate.verdicts', [{ value: 'plain', partition: 0 }])
  assert.equal(await last(), 'plain', 'without a transaction')

  assert.equal(await at(4), 'd', 'a record in the middle of its batch')
  assert.equal(await at(2), null, 'a control record')

  function transactional(name: string): Producer {
    return createKafka(bench.settings, 'test').producer({
      transactionalId: `${bench.group}-${name}`,
      maxInFlightRequests: 1,
      idempotent: true,
      retry: { initialRetryTime: 5, retries: 25 },
    })
  }

  async function connected(producer: Producer): Promise<Producer> {
    await producer.connect()
    t.after(() => producer.disconnect())
    return producer
  }

  async function write(producer: Producer, values: readonly string[], end: 'commit' | 'abort'): Promise<void> {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) })
    await transaction[end]()
  }
})
