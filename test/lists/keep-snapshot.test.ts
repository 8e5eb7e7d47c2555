import assert from 'node:assert/strict'
import { access, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { listDigest } from '../../services/domain/hash-list.ts'
import { PackedEntries, packEntries } from '../../services/domain/packed-entries.ts'
import type { HashListEntry } from '../../services/domain/records.ts'
import { collectLists } from '../../services/gate/collect-lists.ts'
import { keepSnapshot, LEAST_ENTRIES, type SnapshotEvent } from '../../services/gate/keep-snapshot.ts'
import { followKnownLists, type KnownLists } from '../../services/gate/known-lists.ts'
import { type ListsSnapshot, readSnapshot, writeSnapshot } from '../../services/gate/lists-snapshot.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { readKeptVersion } from '../../services/platform/kept-versions.ts'
import { type Bench, openBench, openWriter } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { isSlowness, waitFor } from '../integration/waiting.ts'

const topic = 'gate.hash-entries'
const [a, b, c] = [entry('a', 1), entry('b', 2), entry('c', 3)]

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

async function put(bench: Bench, ...entries: HashListEntry[]): Promise<void> {
  for (const each of entries) {
    const value = await bench.registry.encode(topic, { entry: each, manifest: null })
    await bench.produce(topic, [{ key: `stand-in/entry/${each.id}`, value }])
  }
}

async function close(bench: Bench, version: string, ...entries: HashListEntry[]): Promise<void> {
  const [digest, checkedAt] = [listDigest(entries), Date.now()]
  const manifest = { list: 'stand-in', version, entries: entries.length, digest, checkedAt }
  const value = await bench.registry.encode(topic, { entry: null, manifest })
  await bench.produce(topic, [{ key: `stand-in/version/${version}`, value }])
}

type Reader = {
  events: SnapshotEvent[]
  troubles: unknown[]
  current: KnownLists['current']
  states: KnownLists['states']
  stop(): Promise<void>
}

/** Reads the lists as a gate does, with a snapshot in this folder. */
function read(t: TestContext, bench: Bench, folder: string, writeEveryMs = 0): Reader {
  const [events, troubles]: [SnapshotEvent[], unknown[]] = [[], []]
  // A broker that was slow to answer is asked again.
  const onTrouble = (error: unknown): void => void (isSlowness(error) || troubles.push(error))
  const kafka = createKafka(bench.settings, 'keep-snapshot')
  const source = { kafka, registry: bench.registry, prefix: bench.settings.prefix }
  const onEvent = (event: SnapshotEvent): void => void events.push(event)
  const snapshot = keepSnapshot({ ...source, folder, onEvent, onTrouble, writeEveryMs, leastEntries: 1 })
  const lists = followKnownLists({
    policy: { lists: { 'stand-in': { mode: 'enforce', maxAgeHours: 24, leastMatchable: 0 } } },
    collect: (to) =>
      collectLists({
        ...source,
        ...to,
        snapshot,
        readKept: (manifest) => readKeptVersion(bench.store('lists'), manifest),
      }),
    onTrouble,
  })
  const stop = (): Promise<void> => lists.stop()
  t.after(stop)
  return { events, troubles, current: lists.current, states: lists.states, stop }
}

async function untilInForce({ current }: Reader, version: string): Promise<void> {
  await waitFor(`${version} is in force`, () => {
    const { problem, versions } = current()
    return problem === null && versions[0]?.version === version
  })
}

/** What became of snapshots, in order. */
function fates({ events }: Reader): string[] {
  return events.map((event) => ('why' in event ? `${event.what}: ${event.why}` : event.what))
}

function ids({ current }: Reader): string[] {
  const signals = [a, b, c].map(({ signals: [known] }) => {
    const value = known?.value ?? Buffer.alloc(0)
    return { signal: 'md5', version: 1, value, quality: null, frame: 0, transform: 'identity' }
  })
  const tiers = { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } }
  return current()
    .index.match(signals, tiers)
    .map(({ entry }) => entry)
}

async function untilWritten(reader: Reader, times = 1): Promise<void> {
  await waitFor('a snapshot is written', () => fates(reader).filter((fate) => fate === 'written').length >= times)
}

async function snapshotOf(bench: Bench, folder: string): Promise<ListsSnapshot> {
  const found = await readSnapshot(folder, bench.topic(topic))
  assert.ok(found !== null && 'snapshot' in found)
  return found.snapshot
}

test('a gate that starts again goes on from its snapshot: it knows what it knew, but what was taken back', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const pictures = await Promise.all([0, 1, 2].map((n) => tinyPicture(n)))
  const rows = pictures.map((picture, n) => ({ id: `known-${n}`, sha256: sha256(picture) }))
  const others = Array.from({ length: LEAST_ENTRIES }, (_, n) => ({
    id: `other-${n}`,
    sha256: sha256(Buffer.from(`${n}`)),
  }))
  await bench.importList('stand-in', [...rows.slice(0, 2), ...others])
  const first = bench.startGate()
  await first.event('a snapshot is written', ({ event, what }) => event === 'lists-snapshot' && what === 'written')
  await bench.stopGate(first)

  // The second is taken back, the third is new.
  await bench.importList('stand-in', [rows[0] ?? {}, rows[2] ?? {}, ...others])
  const messages = pictures.map(async (inline, n) => {
    return { key: `p${n}`, value: await bench.registry.encode('crawl.items', crawlItem(`p${n}`, { inline })) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  const second = bench.startGate({ words: ['--json', '--until-caught-up'] })
  assert.equal((await second.ended).code, 0)
  const events = second.events.filter(({ event }) => event === 'lists-snapshot')
  assert.deepEqual([events[0]?.what, events[0]?.entries], ['used', LEAST_ENTRIES + 2])
  const { outcomes, reasons } = JSON.parse(second.stdout())
  assert.deepEqual([outcomes.quarantine, outcomes.clean, reasons.KNOWN_EXACT], [2, 1, 2])
  const listed = second.events.filter(({ event }) => event === 'list')
  assert.deepEqual([listed.length, listed[0]?.entries], [1, LEAST_ENTRIES + 2])
})

test('an import that has ended half-way before the snapshot changes nothing, and is complete when it is done again', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const folder = join(bench.folder, 'mine')
  await put(bench, a, b)
  await close(bench, 'v1', a, b)
  await put(bench, c)
  await bench.produce(topic, [{ key: 'stand-in/entry/a', value: null }])
  const first = read(t, bench, folder)
  await untilWritten(first)
  assert.deepEqual([first.states()[0]?.changing, ids(first)], [true, ['a', 'b']])
  await first.stop()

  const second = read(t, bench, folder)
  await untilInForce(second, 'v1')
  assert.deepEqual([fates(second), ids(second), second.states()], [['used'], ['a', 'b'], first.states()])
  await close(bench, 'v2', b, c)
  await untilInForce(second, 'v2')
  await untilWritten(second)
  assert.deepEqual([fates(second), ids(second), second.troubles], [['used', 'written'], ['b', 'c'], []])
  await second.stop()

  // Checked again only: that is read from the topic, and the file stays as it is.
  await close(bench, 'v3', b, c)
  await bench.produce(topic, [{ key: 'stand-in/entry/b', value: null }])
  await close(bench, 'v4', c)
  const third = read(t, bench, folder, 600_000)
  await untilInForce(third, 'v4')
  await untilWritten(third)
  await close(bench, 'v5', c)
  await untilInForce(third, 'v5')
  assert.deepEqual([fates(third), ids(third)], [['used', 'written'], ['c']])
})

test('a snapshot that the topic does not bear out is removed, and the topic is read from its beginning', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const folder = join(bench.folder, 'mine')
  await put(bench, a)
  await close(bench, 'v1', a)
  await put(bench, b)
  await close(bench, 'v2', a, b)
  const first = read(t, bench, folder)
  await untilWritten(first)
  await first.stop()
  const whole = await snapshotOf(bench, folder)
  const [list] = whole.lists.lists
  assert.ok(list?.inForce)
  const { inForce } = list
  const fewer = packEntries('stand-in', [a]).places
  const collectedFewer = {
    chunks: fewer.chunks,
    used: fewer.chunks[0]?.length ?? 0,
    places: fewer.places,
    superseded: 0,
  }
  const withList = (other: Partial<typeof list>): ListsSnapshot => ({
    ...whole,
    lists: { ...whole.lists, lists: [{ ...list, ...other }] },
  })
  const others = packEntries('stand-in', [a, c])
  const nowhere = new PackedEntries({ ...inForce.entries.places, places: Uint32Array.of(1, 0xffffff) })
  const smaller = { ...inForce, entries: packEntries('stand-in', [a]) }
  const cases: Record<string, [ListsSnapshot, RegExp]> = {
    cluster: [{ ...whole, cluster: 'another' }, /another cluster/],
    beginning: [{ ...whole, mark: { ...whole.mark, low: 1 } }, /begins or ends/],
    end: [{ ...whole, mark: { ...whole.mark, offset: 4 } }, /begins or ends/],
    'last record': [{ ...whole, mark: { ...whole.mark, digest: 'ab' } }, /not the topic that was read/],
    entries: [
      withList({ inForce: { ...inForce, entries: others }, collected: collectedFewer }),
      /not those of their manifest/,
    ],
    places: [withList({ inForce: { ...inForce, entries: nowhere } }), /not (whole|those of their manifest)/],
    'places collected': [
      withList({ changing: true, collected: { ...list.collected, places: nowhere.places.places } }),
      /not whole/,
    ],
    'number of entries': [withList({ inForce: smaller, collected: collectedFewer }), /lacks one of its manifests/],
    'entries and manifest': [
      withList({ inForce: { ...smaller, digest: listDigest([a]) }, collected: collectedFewer }),
      /lacks one of its manifests/,
    ],
    age: [withList({ inForce: { ...inForce, checkedAt: inForce.checkedAt + 1 } }), /lacks one of its manifests/],
    shadow: [withList({ inForce: { ...inForce, shadowed: ['a'] } }), /lacks one of its manifests/],
    'place of the manifest': [withList({ manifestAt: 1 }), /lacks one of its manifests/],
  }
  await Promise.all(
    Object.entries(cases).map(async ([name, [snapshot, why]]) => {
      const other = join(bench.folder, name)
      await writeSnapshot(other, snapshot)
      const reader = read(t, bench, other)
      await untilInForce(reader, 'v2')
      await untilWritten(reader)
      assert.match(fates(reader)[0] ?? '', why, name)
      assert.deepEqual([fates(reader).length, ids(reader), reader.troubles], [2, ['a', 'b'], []], name)
      assert.deepEqual((await snapshotOf(bench, other)).mark, whole.mark, name)
    }),
  )
})

test('what is missing behind a snapshot, or does not add up, has the topic read from its beginning', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const [folder, other] = [join(bench.folder, 'mine'), join(bench.folder, 'other')]
  await put(bench, a, b)
  await close(bench, 'v1', a, b)
  const first = read(t, bench, folder)
  await untilWritten(first)
  await first.stop()
  const { lists, ...rest } = await snapshotOf(bench, folder)
  const fewer = packEntries('stand-in', [a]).places
  const collected = { chunks: fewer.chunks, used: fewer.chunks[0]?.length ?? 0, places: fewer.places, superseded: 0 }
  const forgetful = lists.lists.map((list) => ({ ...list, changing: true, collected }))
  await writeSnapshot(other, { ...rest, lists: { ...lists, lists: forgetful } })

  await put(bench, c)
  await close(bench, 'v2', a, b, c)
  const second = read(t, bench, other)
  await untilInForce(second, 'v2')
  assert.match(fates(second)[0] ?? '', /refused: a version does not add up/)
  await second.stop()

  // A transaction leaves an offset without a record, as compaction does.
  const producer = await openWriter(t, bench)
  const transaction = await producer.transaction()
  await transaction.send({ topic: bench.topic(topic), messages: [{ key: 'stand-in/entry/a', value: null }] })
  await transaction.commit()
  await close(bench, 'v3', b, c)
  const third = read(t, bench, folder)
  await untilInForce(third, 'v3')
  assert.match(fates(third)[0] ?? '', /refused: .* lacks records/)
  assert.deepEqual(ids(third), ['b', 'c'])
  await third.stop()
})

test('a topic that was made anew is read from its beginning, whether a gate runs or not; what it said before is forgotten', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const folder = join(bench.folder, 'mine')
  const anew = async (): Promise<void> => {
    await withAdmin(createKafka(bench.settings, 'anew'), async (admin) => {
      await admin.deleteTopics({ topics: [bench.topic(topic)] })
      await waitFor('it is gone', async () => !(await admin.listTopics()).includes(bench.topic(topic)))
    })
    await bench.sluice(['topics', 'apply', '--partitions', '1'])
  }
  await put(bench, a)
  await close(bench, 'v1', a)
  const first = read(t, bench, folder)
  await untilWritten(first)
  await first.stop()

  // As long as before, and more.
  await anew()
  await put(bench, b)
  await close(bench, 'v1', b)
  await put(bench, c)
  await close(bench, 'v2', b, c)
  const second = read(t, bench, folder)
  await untilInForce(second, 'v2')
  await untilWritten(second)
  assert.match(fates(second)[0] ?? '', /refused/)
  assert.deepEqual(ids(second), ['b', 'c'])
  await anew()
  await waitFor(
    'it is refused while the gate runs',
    () => fates(second).filter((fate) => /refused/.test(fate)).length === 2,
  )
  await waitFor('it is gone', () =>
    access(join(folder, `${bench.topic(topic)}.snapshot`)).then(
      () => false,
      () => true,
    ),
  )
})

test('a folder that can not be written is said once and keeps nothing from being in force', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const folder = join(bench.folder, 'a-file', 'mine')
  await writeFile(join(bench.folder, 'a-file'), '')
  await put(bench, a)
  await close(bench, 'v1', a)
  const reader = read(t, bench, folder)
  await untilInForce(reader, 'v1')
  await put(bench, b)
  await close(bench, 'v2', a, b)
  await untilInForce(reader, 'v2')
  await waitFor('it is said', () => reader.events.length === 1)
  assert.match(fates(reader).join(), /ENOTDIR/)
  await rm(join(bench.folder, 'a-file'))
  await put(bench, c)
  await close(bench, 'v3', a, b, c)
  await untilWritten(reader)
  assert.deepEqual(ids(reader), ['a', 'b', 'c'])
})
