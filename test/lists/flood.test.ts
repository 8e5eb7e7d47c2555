import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { z } from 'zod'
import { audit } from '../integration/audit.ts'
import { type Bench, type ListRow, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

/** Twice in five, an item shows one of these. */
const common = await Promise.all([tinyPicture(1), tinyPicture(2)])
const rare = await Promise.all(Array.from({ length: 20 }, (_, n) => tinyPicture(10 + n)))
const good: ListRow[] = [{ id: 'good', sha256: sha256(rare[0] ?? Buffer.alloc(0)) }]
const bad: ListRow[] = [...good, ...common.map((picture, n) => ({ id: `bad-${n}`, sha256: sha256(picture) }))]
/** Of both together more than a thousand show one of the common ones. */
const [FLOOD, REST] = [400, 2200]
const bounds = { entryItems: 30, versionItems: 50, minutes: 60 }

const plan = z.object({
  verdicts: z.number(),
  cleared: z.number(),
  held: z.object({ items: z.number(), entries: z.record(z.string(), z.number()) }),
  floods: z.array(z.object({ entry: z.string().nullable(), items: z.number() })),
  shrinks: z.number().nullable(),
})

async function send(bench: Bench, name: string, count: number): Promise<void> {
  const messages = Array.from({ length: count }, async (_, n) => {
    const key = `${name}-${n}`
    const inline = n % 5 < 2 ? common[n % 5] : rare[n % rare.length]
    return {
      key,
      value: await bench.registry.encode('crawl.items', crawlItem(key, { inline: inline ?? Buffer.alloc(0) })),
    }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}

async function listFile(bench: Bench, name: string, rows: readonly ListRow[]): Promise<string> {
  const file = join(bench.folder, `${name}.csv`)
  await writeFile(file, ['id,sha256', ...rows.map(({ id, sha256: hash }) => `${id},${hash}`)].join('\n'))
  return file
}

test('a bad version is refused by its plan; forced in, the gate waits before it has held many, names entry and list, and goes on once it is rolled back', async (t) => {
  const bench = await openBench(t, { partitions: 2, flood: bounds })
  await bench.importList('stand-in', good)
  const gate = bench.startGate()
  await gate.untilReady()
  await send(bench, 'before', 200)
  await waitFor('all are judged', () => bench.caughtUp())

  const file = await listFile(bench, 'bad', bad)
  const words = [file, '--list', 'stand-in']
  const planned = plan.parse(JSON.parse((await bench.sluice(['lists', 'plan', ...words, '--json'], 1)).stdout()))
  assert.deepEqual(
    [planned.verdicts, planned.held.items, planned.held.entries],
    [200, 80, { 'bad-0': 40, 'bad-1': 40 }],
  )
  assert.deepEqual(planned.floods.map(({ entry, items }) => [entry, items]).toSorted(), [
    [null, 80],
    ['bad-0', 40],
    ['bad-1', 40],
  ])
  const before = await bench.endOf('gate.hash-entries')
  const refused = await bench.sluice(['lists', 'import', ...words], 1)
  assert.match(
    refused.stderr(),
    /of the 200 items judged last, the new version would hold 80.*--accept-flood.*LIST_FLOOD/s,
  )
  assert.equal(await bench.endOf('gate.hash-entries'), before)

  await bench.sluice(['lists', 'import', ...words, '--accept-flood', '--who', 'somebody'])
  const manifests = z
    .array(
      z.looseObject({
        version: z.string(),
        cause: z.looseObject({ who: z.string().nullable(), accepted: z.array(z.string()) }),
      }),
    )
    .parse(JSON.parse((await bench.sluice(['lists', 'versions', 'stand-in', '--json'])).stdout()))
  assert.deepEqual([manifests[0]?.cause.who, manifests[0]?.cause.accepted], ['somebody', ['flood']])

  await gate.event('the gate has the version', ({ version }) => version === manifests[0]?.version)
  await send(bench, 'flood', FLOOD)
  const waits = await waitFor('the gate waits', async () => {
    const state = await gate.readiness()
    return state?.waiting.find(({ code, partition }) => code === 'LIST_FLOOD' && partition === null)
  })
  assert.match(
    waits.sentence,
    /(entry bad-[01] of list stand-in|list stand-in, version .*) has held \d+ items within 60 minutes/,
  )
  // Neither lane goes on, whatever comes.
  await send(bench, 'rest', REST)
  await waitFor('both lanes wait', async () => {
    const { waiting = [] } = (await gate.readiness()) ?? {}
    return waiting.filter(({ code, partition }) => code === 'LIST_FLOOD' && partition !== null).length === 2
  })
  // Control records included.
  const heldThen = await bench.endOf('gate.quarantine')

  const [badVersion, goodVersion] = manifests
  const back = ['--to', goodVersion?.version ?? '', '--why', 'a plain grey picture']
  await bench.sluice(['lists', 'rollback', 'stand-in', ...back])
  await waitFor('all are judged', () => bench.caughtUp())
  await gate.untilReady()
  // Which items are affected can be told from their verdicts: by entry, and by the version.
  const verdicts = (await audit(bench)).map(({ verdict }) => verdict)
  const byBad = verdicts.filter(({ matches }) => matches.some(({ entry }) => entry.startsWith('bad-')))
  assert.ok(byBad.length > bounds.entryItems && byBad.length < Math.min(1000, heldThen), `${byBad.length} held`)
  assert.deepEqual(
    byBad.filter(({ itemId }) => itemId?.startsWith('rest-')),
    [],
  )
  for (const { listVersions } of byBad) assert.equal(listVersions[0]?.version, badVersion?.version)
  const isCommon = (id: string | null): boolean => Number(id?.split('-')[1]) % 5 < 2
  const judgedByBad = verdicts.filter(({ listVersions }) => listVersions[0]?.version === badVersion?.version)
  assert.deepEqual(
    judgedByBad.filter(({ itemId }) => isCommon(itemId)),
    byBad,
  )
})

test('what comes out of shadow is tried like a new version, and refused where it would hold too much', async (t) => {
  const bench = await openBench(t, { partitions: 2, flood: bounds })
  await bench.importList('stand-in', bad)
  const why = ['--why', 'a test']
  await bench.sluice(['lists', 'shadow', 'stand-in', ...why])
  const gate = bench.startGate()
  await gate.untilReady()
  await send(bench, 'before', 200)
  await waitFor('all are judged', () => bench.caughtUp())
  const before = await bench.endOf('gate.hash-entries')
  const refused = await bench.sluice(['lists', 'enforce', 'stand-in', ...why], 1)
  assert.match(refused.stderr(), /of the 200 items judged last, the new version would hold 80.*--accept-flood/s)
  assert.equal(await bench.endOf('gate.hash-entries'), before)
  await bench.sluice(['lists', 'shadow', 'stand-in/bad-0', ...why])
  await bench.sluice(['lists', 'enforce', 'stand-in', '--accept-flood', ...why])
  const [newest] = z
    .array(z.looseObject({ cause: z.looseObject({ act: z.string(), accepted: z.array(z.string()) }) }))
    .parse(JSON.parse((await bench.sluice(['lists', 'versions', 'stand-in', '--json'])).stdout()))
  assert.deepEqual([newest?.cause.act, newest?.cause.accepted], ['enforce', ['flood']])
  await bench.stopGate(gate)
})

test('a version that lacks too much is refused, and taken when somebody says so', async (t) => {
  const bench = await openBench(t, { partitions: 1, shrink: { share: 0.2 } })
  await bench.importList('stand-in', bad)
  const words = [await listFile(bench, 'good', good), '--list', 'stand-in']
  const refused = await bench.sluice(['lists', 'import', ...words], 1)
  assert.match(refused.stderr(), /lacks 2 of the 3 entries in force, 66\.7 %.*--accept-shrink.*LIST_SHRINKS/s)
  const { stdout } = await bench.sluice(['lists', 'plan', ...words], 1)
  assert.match(stdout(), /Beyond policy: 66\.7 % of the entries in force would be gone/)
  await bench.sluice(['lists', 'import', ...words, '--accept-shrink'])
})

test('a version of the same length that lacks too much is refused: other entries, other hashes, or withdrawn', async (t) => {
  const bench = await openBench(t, { partitions: 1, shrink: { share: 0.2 } })
  const rows = rare.slice(0, 5).map((picture, n) => ({ id: `e${n}`, sha256: sha256(picture), withdrawn: n === 4 }))
  const others = rare.slice(5, 10).map((picture, n) => ({ id: `other${n}`, sha256: sha256(picture), withdrawn: false }))
  const file = join(bench.folder, 'known.jsonl')
  const words = ['lists', 'import', file, '--list', 'stand-in']
  await writeFile(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  await bench.sluice(words)

  const hashes = (count: number) => rows.map((row, n) => ({ ...row, sha256: (n < count ? others : rows)[n]?.sha256 }))
  const versions: Array<[what: string, lost: number, rows: readonly object[]]> = [
    ['others', 5, others],
    ['hashes', 2, hashes(2)],
    ['withdrawn', 2, rows.map((row, n) => ({ ...row, withdrawn: row.withdrawn || n < 2 }))],
  ]
  for (const [what, lost, wanted] of versions) {
    await writeFile(file, wanted.map((row) => JSON.stringify(row)).join('\n'))
    const refused = await bench.sluice(words, 1)
    const sentence = `lacks ${lost} of the 5 entries in force, ${lost * 20}\\.0 %.*--accept-shrink.*LIST_SHRINKS`
    assert.match(refused.stderr(), new RegExp(sentence, 's'), what)
  }
  // One that was corrected is within the bound; what was withdrawn before is not counted again.
  await writeFile(
    file,
    hashes(1)
      .map((row) => JSON.stringify(row))
      .join('\n'),
  )
  await bench.sluice(words)
})
