import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countMarked } from '../../services/lists/count-hits.ts'
import { readNewestVerdicts } from '../../services/lists/newest-verdicts.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { readTopic } from '../../services/platform/kafka/read-topic.ts'
import { exactMatch } from '../domain/exact-match.ts'
import type { Bench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'
import { clear, openRecallBench, verdictOf } from '../recall/cleared.ts'

const DAY = 86_400_000
const unheard = (): void => undefined

/** Verdicts one by one, so that each has a moment of its own. */
async function judge(bench: Bench, partition: number, count: number, more: Parameters<typeof verdictOf>[3] = {}) {
  for (let offset = 0; offset < count; offset++) {
    await clear(bench, [verdictOf(bench, offset, { partition, offset }, more)], [])
    const written = Date.now()
    await waitFor('it is later', () => Date.now() > written, { everyMs: 1 })
  }
}

async function newest(bench: Bench, last: number, since: number) {
  const found: string[] = []
  const told: number[][] = []
  const whole = await readNewestVerdicts(bench.settings, {
    last,
    since,
    onVerdict: ({ itemId }) => void found.push(itemId ?? ''),
    onRead: (...counts) => void told.push(counts),
  })
  return { found: found.sort(), whole, told: told.at(-1) }
}

/** Of each verdict the moment at which the broker wrote it, by item. */
async function moments(bench: Bench): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  await readTopic<{ itemId: string }>({
    kafka: createKafka(bench.settings, 'test'),
    registry: bench.registry,
    prefix: bench.settings.prefix,
    topic: 'gate.verdicts',
    isWanted: () => true,
    onValue: ({ itemId }, { timestamp }) => void found.set(itemId, timestamp),
  })
  return found
}

test('of the newest verdicts as many of each partition are read, and it is told from when on none is left out', async (t) => {
  const bench = await openRecallBench(t, { partitions: 3 })
  const since = Date.now() - DAY
  assert.deepEqual(await newest(bench, 4, since), { found: [], whole: since, told: undefined })
  await judge(bench, 0, 6)
  await judge(bench, 1, 1)
  const at = await moments(bench)
  const all = ['item-0-0', 'item-0-1', 'item-0-2', 'item-0-3', 'item-0-4', 'item-0-5', 'item-1-0']
  assert.deepEqual(await newest(bench, 100, since), { found: all, whole: since, told: [7, 7] })
  const cut = { found: ['item-0-4', 'item-0-5', 'item-1-0'], whole: (at.get('item-0-4') ?? 0) + 1, told: [3, 3] }
  assert.deepEqual(await newest(bench, 6, since), cut)
  // What is old enough is not wanted, so that nothing is left out.
  const young = at.get('item-0-4') ?? 0
  assert.deepEqual(await newest(bench, 6, young), { ...cut, whole: young })
  assert.deepEqual((await newest(bench, 6, Date.now() + DAY)).found, [])
})

test('what lists in shadow have marked is counted by item, and nothing that had an effect', async (t) => {
  const bench = await openRecallBench(t)
  const held = exactMatch('stand-in', 'e')
  const marked = { ...held, enforced: false }
  await judge(bench, 0, 2)
  const twice = [marked, { ...marked, entry: 'f' }, { ...held, list: 'other' }]
  await judge(bench, 0, 3, { reasons: ['KNOWN_EXACT', 'KNOWN_SHADOW'], matches: twice })
  await judge(bench, 1, 2, { reasons: ['KNOWN_EXACT'], matches: [held] })
  const since = Date.now() - DAY
  const { byList, since: whole } = await countMarked(bench.settings, since, unheard)
  assert.deepEqual([Object.fromEntries(byList), whole], [{ 'stand-in': 3 }, since])
})
