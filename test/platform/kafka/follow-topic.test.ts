import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import test, { type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import {
  type FollowedRecord,
  type FollowTopicOptions,
  followTopic,
  type ReadMark,
} from '../../../services/platform/kafka/follow-topic.ts'
import { type Bench, openBench, openWriter } from '../../integration/harness.ts'
import { isSlowness, waitFor } from '../../integration/waiting.ts'

function follow(
  t: TestContext,
  bench: Bench,
  onRecord?: FollowTopicOptions['onRecord'],
  kafka = createKafka(bench.settings, 'follower'),
) {
  const seen: FollowedRecord[] = []
  const troubles: unknown[] = []
  const follower = followTopic({
    kafka,
    topic: bench.topic('crawl.items'),
    async onRecord(record) {
      await onRecord?.(record)
      seen.push(record)
    },
    // A broker that was slow to answer is asked again.
    onTrouble: (error) => isSlowness(error) || troubles.push(error),
  })
  t.after(() => follower.stop())
  let atEnd = false
  follower.reachedEnd.then(() => {
    atEnd = true
  })
  return { seen, troubles, isAtEnd: () => atEnd, keys: () => seen.map(({ key }) => key?.toString()).sort() }
}

test('the end of an empty topic is reached at once, and what comes later is handed over', async (t) => {
  const bench = await openBench(t, { partitions: 3 })
  const { isAtEnd, seen, keys } = follow(t, bench)
  await waitFor('the end is reached', isAtEnd)
  assert.deepEqual(seen, [])
  await bench.produce('crawl.items', [{ key: 'a', value: 'x', partition: 2 }])
  await waitFor('the record has come', () => seen.length === 1)
  assert.deepEqual(keys(), ['a'])
})

test('all partitions are read from the beginning, each record once, nulls and empty values as they are', async (t) => {
  const bench = await openBench(t, { partitions: 3 })
  const messages = [...Array(3000).keys()].map((n) => ({
    key: String(n).padStart(8, '0'),
    value: String(n),
    partition: n % 3,
  }))
  await bench.produce('crawl.items', messages)
  await bench.produce('crawl.items', [
    { key: null, value: 'no key', partition: 0 },
    { key: 'tombstone', value: null, partition: 0 },
    { key: 'empty', value: '', partition: 0 },
  ])
  const { isAtEnd, seen } = follow(t, bench)
  await waitFor('the end is reached', isAtEnd)
  assert.equal(seen.length, 3003)
  for (const partition of [0, 1, 2]) {
    const offsets = seen.filter((record) => record.partition === partition).map(({ offset }) => offset)
    assert.deepEqual(offsets, [...offsets.keys()])
  }
  const [noKey, tombstone, empty] = seen.filter(({ partition, offset }) => partition === 0 && offset >= 1000)
  assert.deepEqual([noKey?.key, tombstone?.value, empty?.value], [null, null, Buffer.alloc(0)])
})

test('control records at the end and aborted records do not keep the end away, and are not handed over', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const producer = await openWriter(t, bench)
  for (const [key, partition, isKept] of [
    ['kept', 0, true],
    ['dropped', 0, false],
    ['dropped', 1, false],
  ] as const) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: bench.topic('crawl.items'), messages: [{ key, value: 'x', partition }] })
    await (isKept ? transaction.commit() : transaction.abort())
  }
  const { isAtEnd, keys } = follow(t, bench)
  await waitFor('the end is reached', isAtEnd)
  assert.deepEqual(keys(), ['kept'])
})

test('while what is there can not be handled it is behind, though the cluster answers', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const [kafka, topic] = [createKafka(bench.settings, 'follower'), bench.topic('crawl.items')]
  const handled = Promise.withResolvers<void>()
  await bench.produce('crawl.items', [{ key: 'a', value: 'x' }])
  const follower = followTopic({ kafka, topic, onRecord: () => handled.promise })
  t.after(() => follower.stop())
  await waitFor('it is behind', () => follower.behind() - follower.silence() > 4000)
  handled.resolve()
  await follower.reachedEnd
  await waitFor('it has caught up', () => follower.behind() - follower.silence() < 4000)
})

test('a follower goes on where another one stood, unless that is no longer there, or not all of what is behind it', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const [kafka, topic] = [createKafka(bench.settings, 'follower'), bench.topic('crawl.items')]
  const send = (...keys: string[]): Promise<void> =>
    bench.produce(
      'crawl.items',
      keys.map((key) => ({ key, value: 'x' })),
    )
  const first = followTopic({ kafka, topic, onRecord: () => undefined })
  assert.equal(first.mark(), null)
  await send('a', 'b', 'c')
  const mark = await waitFor('three are read', () => (first.mark()?.offset === 2 ? first.mark() : null))
  await first.stop()
  assert.ok(mark)
  await send('d', 'e')

  async function goOn(after: ReadMark): Promise<string> {
    const keys: Array<string | undefined> = []
    const lost = Promise.withResolvers<unknown>()
    const follower = followTopic({
      kafka,
      topic,
      after,
      onRecord: ({ key }) => void keys.push(key?.toString()),
      onTrouble: (error) => isSlowness(error) || lost.resolve(error),
    })
    const trouble = await Promise.race([lost.promise, follower.reachedEnd])
    await follower.stop()
    if (trouble === undefined) assert.equal(follower.mark()?.offset, 4)
    return trouble === undefined ? keys.join() : `${Reflect.get(Object(trouble), 'code')} after ${keys.length}`
  }
  const fates = [mark, { ...mark, low: 1 }, { ...mark, offset: 1 }, { ...mark, offset: 5 }, { ...mark, digest: '' }]
  assert.deepEqual(await Promise.all(fates.map(goOn)), ['d,e', ...Array(4).fill('POSITION_JUMPED after 0')])
})

test('an answer that was on its way while more was read is no sign of another topic', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const kafka = createKafka(bench.settings, 'follower')
  const makeAdmin = kafka.admin.bind(kafka)
  let asked = 0
  kafka.admin = (config) => {
    const admin = makeAdmin(config)
    const { fetchTopicOffsets } = admin
    admin.fetchTopicOffsets = async (topic) => {
      const found = await fetchTopicOffsets(topic)
      asked += 1
      const before = seen.length
      if (asked > 1) {
        await bench.produce('crawl.items', [{ key: 'a', value: 'x' }])
        await waitFor('it has been read', () => seen.length > before)
      }
      return found
    }
    return admin
  }
  const { seen, troubles } = follow(t, bench, undefined, kafka)
  await waitFor('it has been asked twice since', () => asked >= 3)
  assert.deepEqual(troubles, [])
})

test('a record whose handling fails comes again until it succeeds, whatever is thrown', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.produce(
    'crawl.items',
    ['a', 'b', 'c'].map((key) => ({ key, value: 'x' })),
  )
  let failures = 0
  const { isAtEnd, keys, troubles } = follow(t, bench, ({ key }) => {
    if (key?.toString() !== 'b' || failures === 2) return
    failures += 1
    throw failures === 1 ? new TypeError('a mistake') : new Error('the surroundings')
  })
  await waitFor('the end is reached', isAtEnd)
  assert.deepEqual(keys(), ['a', 'b', 'c'])
  assert.ok(troubles.length >= 1)
})

test('a follower can be stopped at any moment, also while nobody answers', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const topic = bench.topic('crawl.items')
  const callers = new Set<Socket>()
  const mute = createServer((caller) => callers.add(caller))
  mute.listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.after(() => {
    for (const caller of callers) caller.destroy()
    mute.close()
  })
  const address = mute.address()
  assert.ok(typeof address === 'object' && address !== null)
  const nobody = createKafka({ ...bench.settings, brokers: [`127.0.0.1:${address.port}`] }, 'follower')
  const kafka = createKafka(bench.settings, 'follower')
  await Promise.all(
    [0, 20, 100, 300, 1000, 3000].flatMap((moment) =>
      [kafka, nobody].map(async (each) => {
        const follower = followTopic({ kafka: each, topic, onRecord: () => undefined })
        await wait(moment)
        const began = performance.now()
        await follower.stop()
        const took = performance.now() - began
        assert.ok(took < 20_000, `${moment} ms after its start, it took ${took} ms`)
      }),
    ),
  )
})
