import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { type Bench, type ListRow, openBench } from '../integration/harness.ts'

const topic = 'gate.hash-entries'

function row(id: string, fill = id): ListRow {
  return { id, md5: fill.charCodeAt(0).toString(16).padStart(2, '0').repeat(16) }
}

async function status(bench: Bench, expectedCode = 0) {
  const lists: unknown = JSON.parse((await bench.sluice(['lists', 'status', '--json'], expectedCode)).stdout())
  return Array.isArray(lists) ? lists : assert.fail('no list of lists')
}

test('an import writes only what differs and closes it with a manifest', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  assert.deepEqual(await status(bench), [])

  await bench.importList('stand-in', [row('a'), row('b'), row('c')])
  assert.equal(await bench.endOf(topic), 4)
  const [first] = await status(bench)
  assert.deepEqual(
    [first.list, first.entries, first.signals, first.complete, first.changing],
    ['stand-in', 3, { md5: 3 }, true, false],
  )

  await bench.importList('stand-in', [row('b'), row('c', 'x'), row('d')])
  const written = 'one new, one changed, one taken back, one manifest'.split(', ').length
  assert.equal(await bench.endOf(topic), 4 + written)
  const [second] = await status(bench)
  assert.deepEqual([second.entries, second.complete], [3, true])
  assert.ok(second.version > first.version)
})

test('an unchanged file renews the time of the check and writes nothing else', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [row('a'), row('b')], new Date('2026-01-01T00:00:00Z'))
  await bench.importList('stand-in', [row('b'), row('a')], new Date('2026-01-02T00:00:00Z'))
  assert.equal(await bench.endOf(topic), 2 + 2)
  assert.equal((await status(bench))[0].checkedAt, '2026-01-02T00:00:00.000Z')
})

test('what can not be matched is kept and counted, and so is what members make of entries', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const file = join(bench.folder, 'known.jsonl')
  const opinions = [
    { member: '1', opinion: 'positive' },
    { member: '2', opinion: 'negative' },
  ]
  const lines = [
    { ...row('a'), 'signal:photodna': 'ab'.repeat(144) },
    { id: 'b', 'signal:photodna': 'cd'.repeat(144), opinions },
    { ...row('c'), opinions: opinions.slice(1) },
    { ...row('d'), withdrawn: true },
  ]
  await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'))
  for (const checkedAt of ['2026-01-01', '2026-01-02']) {
    await bench.sluice(['lists', 'import', file, '--list', 'stand-in', '--checked-at', checkedAt])
  }
  assert.equal(await bench.endOf(topic), lines.length + 2)
  const [list] = await status(bench)
  assert.deepEqual(
    [list.entries, list.signals, list.matchable, list.unmatchable, list.standings],
    [
      4,
      { md5: 3, photodna: 2 },
      { entries: 3, hashes: 3 },
      { entries: 1, hashes: 2 },
      { positive: 1, disputed: 1, seed: 0, negative: 1, withdrawn: 1 },
    ],
  )
  const table = (await bench.sluice(['lists', 'status'])).stdout()
  assert.match(table, /md5 3, photodna 2.* 1 .*positive 1, disputed 1, negative 1, withdrawn 1/)
})

test('a bad file is refused with code 2, file and line, and nothing is written', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const file = join(bench.folder, 'bad.csv')
  await writeFile(file, `id,md5\n${'a,'.padEnd(34, '0')}\nb,zz\n`)
  const { stderr } = await bench.sluice(['lists', 'import', file, '--list', 'stand-in'], 2)
  assert.match(stderr(), /bad\.csv, line 3: md5: expected 32 hex digits/)
  assert.equal(await bench.endOf(topic), 0)
})

test('the next import mends one that stopped half-way', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [row('a'), row('b')])
  await bench.produce(topic, [{ key: 'stand-in/entry/a', value: null }])
  const [halfWay] = await status(bench)
  assert.deepEqual([halfWay.entries, halfWay.complete, halfWay.changing], [2, true, true])

  await bench.importList('stand-in', [row('a'), row('b')])
  const [mended] = await status(bench)
  assert.deepEqual([mended.entries, mended.complete, mended.changing], [2, true, false])
})

test('a manifest that does not add up shows as not complete, with code 1', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const manifest = { list: 'stand-in', version: 'v1', entries: 5, digest: '0'.repeat(64), checkedAt: Date.now() }
  await bench.produce(topic, [
    { key: 'stand-in/version/v1', value: await bench.registry.encode(topic, { entry: null, manifest }) },
  ])
  const [list] = await status(bench, 1)
  assert.deepEqual([list.version, list.complete], [null, false])
})
