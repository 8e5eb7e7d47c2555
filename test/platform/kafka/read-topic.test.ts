import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { SluiceError } from '../../../services/domain/errors.ts'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { readTopic } from '../../../services/platform/kafka/read-topic.ts'
import { type Bench, openBench } from '../../integration/harness.ts'

async function openHalf(t: TestContext): Promise<Bench> {
  const bench = await openBench(t, { partitions: 2 })
  const messages = Array.from({ length: 10 }, (_, n) => ({ key: `k${n}`, value: null, partition: n % 2 }))
  await bench.produce('crawl.items', messages)
  return bench
}

async function keysFrom(bench: Bench, from: ReadonlyMap<number, number>): Promise<string[]> {
  const keys: string[] = []
  const { registry, settings } = bench
  await readTopic({
    kafka: createKafka(settings, 'reader'),
    registry,
    prefix: settings.prefix,
    topic: 'crawl.items',
    from,
    isWanted: ({ key }) => keys.push(String(key)) < 0,
    onValue: () => assert.fail('nothing is wanted'),
  })
  return keys.sort()
}

test('a topic is read from where the reader is told, and from the beginning where it is told nothing', async (t) => {
  const bench = await openHalf(t)
  assert.deepEqual(await keysFrom(bench, new Map([[0, 3]])), ['k1', 'k3', 'k5', 'k6', 'k7', 'k8', 'k9'])
  assert.deepEqual(
    await keysFrom(
      bench,
      new Map([
        [0, 5],
        [1, 5],
      ]),
    ),
    [],
  )
})

test('a topic that is shorter than the place to begin at is told as another one', async (t) => {
  const bench = await openHalf(t)
  await assert.rejects(
    keysFrom(bench, new Map([[1, 6]])),
    (error) => error instanceof SluiceError && error.code === 'POSITION_JUMPED',
  )
})
