import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { openDataset } from '../../services/train/dataset/dataset.ts'
import { parseItem } from '../../services/train/dataset/dataset-item.ts'
import { openShard } from '../../services/train/dataset/shard-tar.ts'
import { type Bench, patiently } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'
import { clearItems, openTrainBench, recall, recallsNow } from './cleared.ts'
import { verified } from './made-dataset.ts'

/** The ids of a dataset, in its order. */
async function idsIn(folder: string): Promise<string[]> {
  const ids: string[] = []
  for (const file of (await readdir(join(folder, 'shards'))).sort()) {
    const shard = await openShard(join(folder, 'shards', file))
    for await (const { json, receipt } of shard.items()) ids.push(parseItem(json, receipt)?.id ?? '')
    await shard.close()
  }
  return ids
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)
const named = (from: number, to: number): string[] => numbers(from, to).map((n) => `Boat.${n}`)
const holds = (bench: Bench, folder: string) =>
  recallsNow(bench).then((recalls) => verified(folder, { keyring: readKeyring(bench.settings.keyring), recalls }))

test('everything that was cleared is exported, once; called again it goes on with what came since', async (t) => {
  const bench = await openTrainBench(t)
  const folder = join(bench.folder, 'dataset')
  const words = ['train', 'export', folder, '--shard-items', '7', '--json']
  const first = await clearItems(bench, numbers(0, 20))
  await recall(bench, first.slice(3, 5))
  const report = JSON.parse((await bench.sluice(words)).stdout())
  assert.deepEqual([report.shards, report.total.items, report.counts.recalled, report.recalled], [3, 18, 2, []])
  const expected = named(0, 20).filter((id) => id !== 'Boat.3' && id !== 'Boat.4')
  assert.deepEqual((await idsIn(folder)).toSorted(), expected.toSorted())
  assert.deepEqual((await holds(bench, folder)).found, [])

  const again = JSON.parse((await bench.sluice(words)).stdout())
  assert.deepEqual([again.shards, again.total.items, again.counts.recalled], [0, 18, 2], 'nothing came')

  // Some that are new, some that have been seen, in this run and the one before.
  await clearItems(bench, [...numbers(15, 30), 29])
  const more = JSON.parse((await bench.sluice(words)).stdout())
  assert.deepEqual([more.shards, more.total.items, more.counts.repeated], [2, 28, 6])
  assert.deepEqual((await idsIn(folder)).toSorted(), [...expected, ...named(20, 30)].toSorted())
  assert.deepEqual((await holds(bench, folder)).found, [])
})

test('the same snapshot gives the same bytes; some partitions alone are a dataset of their own', async (t) => {
  const bench = await openTrainBench(t)
  await clearItems(bench, numbers(0, 30))
  const [one, other, part] = ['one', 'other', 'part'].map((name) => join(bench.folder, name))
  const words = (folder = '') => ['train', 'export', folder, '--shard-items', '8']
  await Promise.all([
    bench.sluice(words(one)),
    bench.sluice(words(other)),
    bench.sluice([...words(part), '--partitions', '2,0']),
  ])
  for (const name of ['shards', 'manifest', '.']) {
    for (const file of await readdir(join(one ?? '', name))) {
      if (!/\.(tar|parquet|json)$/.test(file)) continue
      const [here, there] = [one, other].map((folder = '') => readFileSync(join(folder, name, file)))
      assert.ok(here?.equals(there ?? Buffer.alloc(0)), file)
    }
  }
  // What came since is not in a snapshot that was kept.
  await clearItems(bench, numbers(30, 34))
  const pinned = join(bench.folder, 'pinned')
  const kept = ['--snapshot', join(one ?? '', 'dataset.json')]
  await bench.sluice([...words(pinned), ...kept])
  for (const file of ['shards/000000.tar', 'shards/000003.tar', 'dataset.json', 'croissant.json']) {
    const [here, there] = [one, pinned].map((folder = '') => readFileSync(join(folder, file)))
    assert.ok(here?.equals(there ?? Buffer.alloc(0)), file)
  }
  assert.match((await bench.sluice([...words(pinned), ...kept], 2)).stderr(), /has been begun already/)
  const none = ['--snapshot', join(one ?? '', 'croissant.json')]
  assert.match((await bench.sluice([...words(`${pinned}-2`), ...none], 2)).stderr(), /holds no snapshot/)
  await bench.sluice([...words(`${pinned}-3`), ...kept, '--partitions', '1'], 2)

  const even = numbers(0, 30).filter((n) => n % 4 === 0 || n % 4 === 2)
  assert.deepEqual((await idsIn(part ?? '')).toSorted(), even.map((n) => `Boat.${n}`).toSorted())
  const refused = await bench.sluice([...words(part), '--partitions', '1'], 2)
  assert.match(refused.stderr(), /has been begun with the partitions 0, 2/)
  assert.match(
    (await bench.sluice([...words(join(bench.folder, 'none')), '--partitions', '9'], 2)).stderr(),
    /no partition 9/,
  )
})

test('what was recalled after it was exported is named, and redact leaves nothing of it', async (t) => {
  const bench = await openTrainBench(t)
  const folder = join(bench.folder, 'dataset')
  const words = ['train', 'export', folder, '--shard-items', '5']
  const items = await clearItems(bench, numbers(0, 20))
  await bench.sluice(words)
  const before = new Map(
    (await readdir(join(folder, 'shards'))).map((name) => [name, readFileSync(join(folder, 'shards', name))]),
  )
  const gone = [items[0], items[1], items[8]].filter((item) => item !== undefined)
  await recall(bench, gone)

  const told = await bench.sluice(words, 1)
  assert.match(told.stdout(), /3 items were exported before and recalled since: run `sluice train redact/)
  for (const { item } of gone) assert.ok(told.stdout().includes(item.payload.reference))
  assert.deepEqual(
    (await holds(bench, folder)).found.map(({ code, id }) => [code, id]).toSorted(),
    gone.map(({ item }) => ['ITEM_RECALLED', item.id]).toSorted(),
  )

  const file = join(bench.folder, 'recalls.jsonl')
  await writeFile(file, `${(await bench.sluice(['train', 'recalls'])).stdout()}\n`)
  const report = JSON.parse((await bench.sluice(['train', 'redact', folder, '--recalls', file, '--json'])).stdout())
  assert.equal(report.items, 3)
  assert.equal(
    report.shards.reduce((sum: number, one: { items: number }) => sum + one.items, 0),
    3,
  )
  const { found, holding, redacted } = await holds(bench, folder)
  assert.deepEqual({ found, holding, redacted }, { found: [], holding: 17, redacted: 3 })
  const bytes = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  for (const { bytes: payload } of gone) assert.ok(!bytes.some((each) => each.includes(payload)))
  const touched = new Set(report.shards.map(({ shard }: { shard: number }) => `00000${shard}.tar`))
  for (const [name, content] of before) {
    assert.equal(readFileSync(join(folder, 'shards', name)).equals(content), !touched.has(name), name)
  }

  assert.equal(JSON.parse((await bench.sluice(['train', 'redact', folder, '--json'])).stdout()).items, 0, 'once')
  await clearItems(bench, numbers(20, 23))
  const after = JSON.parse((await bench.sluice([...words, '--json'])).stdout())
  assert.deepEqual([after.total.items, after.recalled], [20, []], 'an export goes on, and brings back nothing')
  assert.deepEqual((await holds(bench, folder)).found, [])
})

test('two exports into one folder are refused, and so is a folder of something else', async (t) => {
  const bench = await openTrainBench(t)
  const folder = join(bench.folder, 'dataset')
  const held = await openDataset(folder, true)
  assert.match((await bench.sluice(['train', 'export', folder], 2)).stderr(), /somebody else is writing to/)
  held.close()
  await bench.sluice(['train', 'export', folder])
  assert.deepEqual((await holds(bench, folder)).found, [], 'of nothing that was cleared')

  const other = join(bench.folder, 'other')
  await mkdir(other)
  await writeFile(join(other, 'diary.txt'), 'Dear diary')
  assert.match((await bench.sluice(['train', 'export', other], 2)).stderr(), /holds something else than an export/)
  assert.match((await bench.sluice(['train', 'redact', other], 2)).stderr(), /holds no dataset/)
  assert.deepEqual(await readdir(other), ['diary.txt'])
  await writeFile(join(folder, 'shards', '000003.tar'), '')
  assert.match((await bench.sluice(['train', 'export', folder], 2)).stderr(), /is of no shard that the export knows/)
  assert.ok(existsSync(join(folder, 'shards', '000003.tar')))
})

test('one that was cut off ends where it was to end, or now; partitions that are new are read too', async (t) => {
  const bench = await openTrainBench(t, { partitions: 2 })
  const folder = join(bench.folder, 'dataset')
  const exported = async (...words: string[]): Promise<number> => {
    const { stdout } = await bench.sluice(['train', 'export', folder, '--json', ...words])
    return JSON.parse(stdout()).total.items
  }
  await clearItems(bench, numbers(0, 10))
  assert.equal(await exported(), 10)
  await clearItems(bench, numbers(10, 15))
  await cutOff(folder)
  assert.equal(await exported(), 10, 'as far as the one that was cut off')
  await cutOff(folder)
  assert.equal(await exported('--to', 'now'), 15)

  const topicPartitions = [{ topic: bench.topic('gate.clean'), count: 3 }]
  await withAdmin(createKafka(bench.settings, 'test'), (admin) => admin.createPartitions({ topicPartitions }))
  // By another client each time: one that has met the topic asks for its partitions no more than every five minutes.
  const offsets = () =>
    withAdmin(createKafka(bench.settings, 'test'), (admin) => admin.fetchTopicOffsets(bench.topic('gate.clean')))
  await waitFor('the brokers know of the third', async () => (await patiently(offsets)).length === 3)
  // A producer that knew the topic before would leave out what goes to its new partition.
  const producer = createKafka(bench.settings, 'test').producer({ allowAutoTopicCreation: false })
  await producer.connect()
  t.after(() => producer.disconnect())
  const produce: Bench['produce'] = async (name, messages) => {
    await producer.send({ topic: bench.topic(name), messages: [...messages] })
  }
  await clearItems({ ...bench, partitions: 3, produce }, numbers(15, 21))
  assert.equal(await bench.endOf('gate.clean'), 21)
  assert.equal(await exported(), 21)
  assert.deepEqual((await idsIn(folder)).toSorted(), named(0, 21).toSorted())
  assert.deepEqual((await holds(bench, folder)).found, [])
})

test('one that was cut off and redacted is unfinished until it has gone on, and nothing comes back', async (t) => {
  const bench = await openTrainBench(t)
  const folder = join(bench.folder, 'dataset')
  const words = ['train', 'export', folder, '--shard-items', '5']
  const items = await clearItems(bench, numbers(0, 20))
  await bench.sluice(words)
  await cutOff(folder)
  await recall(bench, items.slice(6, 8))
  const told = await bench.sluice(['train', 'redact', folder])
  assert.match(told.stdout(), /^2 items were recalled since; 0 had/m)
  assert.match(told.stdout(), /^The export has not come to its end, .*`sluice train export .*` finishes it$/m)
  const again = JSON.parse((await bench.sluice(['train', 'redact', folder, '--json'])).stdout())
  assert.deepEqual([again.items, again.before, again.isComplete], [0, 2, false])
  assert.deepEqual(
    (await holds(bench, folder)).found.map(({ code }) => code),
    ['DATASET_UNFINISHED'],
  )

  await bench.sluice(words)
  const { found, holding, redacted } = await holds(bench, folder)
  assert.deepEqual({ found, holding, redacted }, { found: [], holding: 18, redacted: 2 })
  const last = await bench.sluice(['train', 'redact', folder])
  assert.doesNotMatch(last.stdout(), /has not come to its end/)
  assert.deepEqual((await holds(bench, folder)).found, [])
})

/** Has the last run be one that did not come to its end. */
async function cutOff(folder: string): Promise<void> {
  const file = join(folder, 'state', 'standing.json')
  await writeFile(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), isComplete: false }))
}
