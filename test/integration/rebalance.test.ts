import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import type { LaneParts } from '../../services/gate/lane.ts'
import { type Lanes, startLanes } from '../../services/gate/lanes.ts'
import { createLog } from '../../services/platform/log.ts'
import { createMetrics } from '../../services/platform/metrics.ts'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { type Bench, openBench, patiently } from './harness.ts'
import { waitFor } from './waiting.ts'

/** A gate's lanes on real Kafka, with work of the test's own between reading and committing. */
async function lanesWith(t: TestContext, bench: Bench, process: LaneParts['process']): Promise<Lanes> {
  const start = () =>
    startLanes(bench.settings, {
      cluster: 'test',
      topic: bench.topic('crawl.items'),
      chunkItems: 64,
      chunkBytes: 1_000_000,
      process,
      keep: () => Promise.resolve(),
      onCommitted: () => undefined,
      log: createLog('silent'),
      metrics: createMetrics(),
    })
  const lanes = await patiently(start)
  t.after(() => lanes.stop())
  return lanes
}

/** So many messages onto a partition of the door. */
function produce(bench: Bench, partition: number, count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, n) => ({ key: `${n}`, value: 'x', partition }))
  return bench.produce('crawl.items', messages)
}

const judged: LaneParts['process'] = (records) =>
  Promise.resolve(
    records.map(({ input, timestamp }) => ({
      offset: input.offset,
      outcome: 'clean',
      reasons: [],
      missing: [],
      payloadBytes: 0,
      objects: [],
      bytes: 1,
      messages: [
        {
          topic: 'gate.verdicts',
          key: String(input.offset),
          value: Buffer.from('v'),
          headers: { ce_id: Object.values(input).join('/'), ce_time: new Date(timestamp).toISOString() },
        },
      ],
    })),
  )

test('a gate that others wait for gives up an endless chunk at once, and what it gave up is judged once', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  for (const partition of [0, 1]) {
    await produce(bench, partition, 10)
  }
  const end = new AbortController()
  // Should the test fail, the endless chunk must not keep the gate from stopping.
  t.after(() => end.abort())
  let endless = true
  let begun = 0
  let givenUp = 0
  await lanesWith(t, bench, (records, signal) => {
    if (!endless) return judged(records, signal)
    begun += 1
    return new Promise((_, reject) => {
      end.signal.addEventListener('abort', () => reject(end.signal.reason))
      signal.addEventListener('abort', () => {
        givenUp += 1
        endless = false
        reject(signal.reason)
      })
    })
  })
  await waitFor('the first gate is at work', () => begun > 0)

  const second = await lanesWith(t, bench, judged)
  await waitFor('the first gate has given up its chunk', () => givenUp > 0)
  await waitFor('both partitions are judged', () => bench.caughtUp())
  await waitFor('the second gate has one of the two partitions', () => second.ends().size === 1)
  const found = (await verdictKeys(bench)).sort()
  const wanted = [0, 1].flatMap((partition) => Array.from({ length: 10 }, (_, n) => `${partition}/${n}`))
  assert.deepEqual(found, wanted)
})

test('a partition whose chunk takes long holds up no other', { skip: skipWithoutPython() }, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const released = Promise.withResolvers<void>()
  // Should the test fail, the chunk must not keep the gate from stopping.
  t.after(() => released.resolve())
  let begun = 0
  const lanes = await lanesWith(t, bench, async (records, signal) => {
    if (records[0]?.input.partition === 0) {
      begun += 1
      await released.promise
    }
    return judged(records, signal)
  })
  await produce(bench, 0, 3)
  await waitFor('the first partition is at work', () => begun > 0)
  await produce(bench, 1, 200)
  await waitFor('the second partition is judged', () => lanes.ends().get(1) === 200)
  assert.equal(lanes.ends().get(0), 0)
  await produce(bench, 0, 200)
  released.resolve()
  await waitFor('all is judged', () => bench.caughtUp())
  const wanted = [3 + 200, 200].flatMap((count, partition) => Array.from({ length: count }, () => partition))
  assert.deepEqual((await verdictKeys(bench)).map((key) => Number(key.split('/')[0])).sort(), wanted)
})

test('a lane that is told to stop commits the chunk that it is at, and takes up nothing more', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const released = Promise.withResolvers<void>()
  t.after(() => released.resolve())
  let begun = 0
  const lanes = await lanesWith(t, bench, async (records, signal) => {
    begun += 1
    await released.promise
    return judged(records, signal)
  })
  await produce(bench, 0, 200)
  await waitFor('the lane is at work', () => begun === 1)
  const stopped = lanes.stop()
  released.resolve()
  await stopped
  assert.equal(begun, 1)
  const judgedOnce = await verdictKeys(bench)
  assert.ok(judgedOnce.length > 0 && judgedOnce.length < 200, `${judgedOnce.length} are judged`)
  await lanesWith(t, bench, judged)
  await waitFor('the next one judges the rest', () => bench.caughtUp())
  assert.deepEqual(
    await verdictKeys(bench),
    Array.from({ length: 200 }, (_, n) => `0/${n}`),
  )
})

test('a chunk that is examined in parts is committed in parts, each item once', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await produce(bench, 0, 200)
  let calls = 0
  await lanesWith(t, bench, (records, signal) => {
    calls += 1
    return judged(records.slice(0, 1 + (calls % 7)), signal)
  })
  await waitFor('all is judged', () => bench.caughtUp())
  assert.deepEqual(
    await verdictKeys(bench),
    Array.from({ length: 200 }, (_, n) => `0/${n}`),
  )
})

test('results that are not the records that were read are never committed', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await produce(bench, 0, 4)
  let wrong = 0
  let isRight = false
  const lanes = await lanesWith(t, bench, (records, signal) => {
    if (isRight) return judged(records, signal)
    wrong += 1
    return judged([records.slice(1), [], records.toReversed()][wrong % 3] ?? [], signal)
  })
  await waitFor('each kind has been tried', () => wrong > 3)
  await waitFor('the lane says so', () => lanes.waiting()[0]?.code === 'INTERNAL_FAULT')
  assert.equal(await bench.endOf('gate.verdicts'), 0)
  isRight = true
  await waitFor('right results are judged', () => bench.caughtUp())
})

/** partition and input offset of all verdicts, in their order */
async function verdictKeys(bench: Bench): Promise<string[]> {
  const { records } = await readTopics(bench.settings, [bench.topic('gate.verdicts')])
  return records.map(
    ({ partition, key }) => `${partition}/${typeof key === 'string' ? Buffer.from(key, 'base64') : ''}`,
  )
}
