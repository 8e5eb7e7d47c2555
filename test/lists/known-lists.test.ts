import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { listDigest } from '../../services/domain/hash-list.ts'
import type { PdqTiers } from '../../services/domain/judge/policy.ts'
import { buildMatchTables } from '../../services/domain/match/match-index.ts'
import { packEntries } from '../../services/domain/packed-entries.ts'
import type { HashListEntry } from '../../services/domain/records.ts'
import { collectLists } from '../../services/gate/collect-lists.ts'
import { followKnownLists, type KnownLists } from '../../services/gate/known-lists.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { keepVersion, readKeptVersion } from '../../services/platform/kept-versions.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'

const topic = 'gate.hash-entries'
const HOUR = 3_600_000
const tiers: PdqTiers = { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } }

function entry(id: string, fill: number): HashListEntry {
  return {
    list: 'stand-in',
    id,
    signals: [{ signal: 'md5', value: Buffer.alloc(16, fill) }],
    classification: null,
    opinions: [],
    withdrawn: false,
  }
}

async function putEntries(bench: Bench, entries: readonly HashListEntry[]): Promise<void> {
  const messages = entries.map(async (each) => {
    return {
      key: `stand-in/entry/${each.id}`,
      value: await bench.registry.encode(topic, { entry: each, manifest: null }),
    }
  })
  await bench.produce(topic, await Promise.all(messages))
}

async function close(
  bench: Bench,
  version: string,
  entries: readonly HashListEntry[],
  checkedAt: number,
): Promise<void> {
  const manifest = { list: 'stand-in', version, entries: entries.length, digest: listDigest(entries), checkedAt }
  const value = await bench.registry.encode(topic, { entry: null, manifest })
  await bench.produce(topic, [{ key: `stand-in/version/${version}`, value }])
}

function follow(
  t: TestContext,
  bench: Bench,
  {
    now = Date.now,
    build = buildMatchTables,
    leastMatchable = 0,
  }: { now?: () => number; build?: typeof buildMatchTables; leastMatchable?: number } = {},
): KnownLists {
  const lists = followKnownLists({
    policy: { lists: { 'stand-in': { mode: 'enforce', maxAgeHours: 24, leastMatchable } } },
    collect: (to) =>
      collectLists({
        kafka: createKafka(bench.settings, 'known-lists'),
        registry: bench.registry,
        prefix: bench.settings.prefix,
        build,
        readKept: (manifest) => readKeptVersion(bench.store('lists'), manifest),
        ...to,
      }),
    now,
  })
  t.after(() => lists.stop())
  return lists
}

function knows(lists: KnownLists, fill: number): boolean {
  const signal = {
    signal: 'md5',
    version: 1,
    value: Buffer.alloc(16, fill),
    quality: null,
    frame: 0,
    transform: 'identity',
  }
  return lists.current().index.match([signal], tiers).length > 0
}

test('the gate gets whole versions only: none, half, whole, being changed, not adding up, whole again', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const lists = follow(t, bench)
  assert.match(lists.current().problem?.message ?? '', /not been read to their end/)
  await waitFor('an empty topic has been read', () =>
    /no complete version/.test(lists.current().problem?.message ?? ''),
  )

  const [a, b, c] = [entry('a', 1), entry('b', 2), entry('c', 3)]
  await putEntries(bench, [a, b])
  await waitFor('half a list has been read', () => lists.states()[0]?.changing)
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
  assert.equal(knows(lists, 1), false)

  await close(bench, 'v1', [a, b], Date.now())
  await waitFor('the list is complete', () => lists.current().problem === null)
  assert.deepEqual(lists.current().versions, [{ list: 'stand-in', version: 'v1' }])
  assert.deepEqual([knows(lists, 1), knows(lists, 2)], [true, true])

  const before = lists.current()
  await putEntries(bench, [c])
  await bench.produce(topic, [{ key: 'stand-in/entry/a', value: null }])
  await waitFor('the change has been read', () => lists.states()[0]?.changing)
  assert.deepEqual([lists.current().index, lists.current().problem], [before.index, null])
  assert.deepEqual([knows(lists, 1), knows(lists, 3)], [true, false])

  await close(bench, 'v2', [a, b, c], Date.now())
  await waitFor(
    'a version that does not add up stops the gate',
    () => lists.current().problem?.code === 'LISTS_INCOMPLETE',
  )
  assert.deepEqual(lists.current().versions, [{ list: 'stand-in', version: 'v1' }])

  await close(bench, 'v3', [b, c], Date.now())
  await waitFor('the next version is complete', () => lists.current().problem === null)
  assert.deepEqual([knows(lists, 1), knows(lists, 2), knows(lists, 3)], [false, true, true])
})

test('a list of signals that this gate can not match makes it wait, by what policy asks for', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const lists = follow(t, bench, { leastMatchable: 0.5 })
  const foreign = (id: string) => ({ ...entry(id, 1), signals: [{ signal: 'photodna', value: Buffer.alloc(144, 1) }] })
  const [known, both] = [entry('known', 2), entry('both', 3)]
  both.signals.push(...foreign('both').signals, { signal: 'sha1', value: Buffer.alloc(20, 3) })
  const few = [both, foreign('x'), foreign('y')].sort((a, b) => (a.id < b.id ? -1 : 1))
  await putEntries(bench, few)
  await close(bench, 'v1', few, Date.now())
  await waitFor('it has been read', () => /1 of its 3 entries/.test(lists.current().problem?.message ?? ''))

  const enough = [...few, known].sort((a, b) => (a.id < b.id ? -1 : 1))
  await putEntries(bench, [known])
  await close(bench, 'v2', enough, Date.now())
  await waitFor('half of it can be matched', () => lists.current().problem === null)
  await close(bench, 'v3', enough, Date.now())
  await waitFor('it was checked again', () => lists.states()[0]?.inForce?.version === 'v3')
  assert.equal(lists.current().problem, null)
})

test('a reader that starts in the middle of an import sees the version before it', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await putEntries(bench, [entry('a', 1)])
  await close(bench, 'v1', [entry('a', 1)], Date.now())
  await putEntries(bench, [entry('b', 2), entry('a', 3)])

  const lists = follow(t, bench)
  await waitFor('the list is complete', () => lists.current().problem === null)
  assert.deepEqual([knows(lists, 1), knows(lists, 2), knows(lists, 3)], [true, false, false])
})

test('where compaction has taken away what an import replaces, a reader that starts in its middle judges by the version that is kept', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const store = bench.store('lists')
  const [a, b, c] = [entry('a', 1), entry('b', 2), entry('c', 3)]
  const before = packEntries('stand-in', [a, b])
  // Of the version in force one entry is gone, and another one is new already.
  await putEntries(bench, [a])
  await close(bench, 'v1', [a, b], Date.now())
  await putEntries(bench, [c])

  const without = follow(t, bench)
  await waitFor('the list waits', () => /v1.*2.*1|complete/.test(without.current().problem?.message ?? ''))
  await without.stop()

  await store.make()
  await keepVersion(store, before.byId(), before.digest())
  const lists = follow(t, bench)
  await waitFor('the list is complete', () => lists.current().problem === null)
  assert.deepEqual(lists.current().versions, [{ list: 'stand-in', version: 'v1' }])
  assert.deepEqual([knows(lists, 1), knows(lists, 2), knows(lists, 3)], [true, true, false])

  await close(bench, 'v2', [a, c], Date.now())
  await waitFor('the next version is in force', () => lists.current().versions[0]?.version === 'v2')
  assert.deepEqual([knows(lists, 1), knows(lists, 2), knows(lists, 3)], [true, false, true])
})

test('a list grows stale by the clock alone and is good again once it was checked', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  let now = Date.now()
  await putEntries(bench, [entry('a', 1)])
  await close(bench, 'v1', [entry('a', 1)], now)
  const lists = follow(t, bench, { now: () => now })
  await waitFor('the list is complete', () => lists.current().problem === null)
  now += 25 * HOUR
  assert.equal(lists.current().problem?.code, 'LISTS_STALE')
  await close(bench, 'v2', [entry('a', 1)], now)
  await waitFor('the list is fresh', () => lists.current().problem === null)
})

test('while no index of a version can be built nothing is judged; it is tried again', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  let isShort = false
  const lists = follow(t, bench, {
    build(known) {
      if (isShort) throw new RangeError('no memory')
      return buildMatchTables(known)
    },
  })
  await putEntries(bench, [entry('a', 1)])
  await close(bench, 'v1', [entry('a', 1)], Date.now())
  await waitFor('the list is in force', () => lists.current().problem === null && knows(lists, 1))

  isShort = true
  await putEntries(bench, [entry('b', 2)])
  await close(bench, 'v2', [entry('a', 1), entry('b', 2)], Date.now())
  await waitFor('no index is built', () => /could be built/.test(lists.current().problem?.message ?? ''))

  isShort = false
  await waitFor('it is built after all', () => lists.current().problem === null)
  assert.ok(knows(lists, 2))
})

test('a record that is no hash list record does not stop the reading, and its list waits', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.produce(topic, [
    { key: 'neither/form', value: null },
    { key: 'stand-in/entry/a', value: 'not Avro' },
  ])
  await close(bench, 'v1', [entry('a', 1)], Date.now())
  const lists = follow(t, bench)
  await waitFor('the manifest has been read', () => lists.states()[0]?.broken?.version === 'v1')
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
})

test('lists that nobody has told of for a while are not relied upon', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await putEntries(bench, [entry('a', 1)])
  await close(bench, 'v1', [entry('a', 1)], Date.now())
  const lists = follow(t, bench)
  await waitFor('the list is complete', () => lists.current().problem === null)
  const now = performance.now.bind(performance)
  t.mock.method(performance, 'now', () => now() + 61_000)
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
  await waitFor('the topic has been looked at again', () => lists.current().problem === null)
})
