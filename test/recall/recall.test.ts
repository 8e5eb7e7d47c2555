import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { pdqAtDistance } from '../integration/items.ts'
import {
  clear,
  clearAll,
  objectsIn,
  openRecallBench,
  pdqOf,
  recallRecords,
  runRecall,
  sha256Of,
  verdictOf,
  versionNow,
} from './cleared.ts'

const sorted = (numbers: readonly number[]): string[] => numbers.map(sha256Of).sort()

test('every cleared item that a new version holds is recalled and moved, by the nearest of its hashes, and no other', async (t) => {
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  const before = await versionNow(bench)
  const numbers = [...Array(60).keys()]
  await clearAll(bench, numbers, [before])
  // One at each distance, half of them of the mirrored picture, for which there is no wide tier.
  const rows = numbers.map((n) => {
    const hex = n % 2 === 0 ? pdqOf(n) : Buffer.from(pdqOf(n), 'hex').reverse().toString('hex')
    return { id: `e${n}`, pdq: pdqAtDistance(hex, n) }
  })
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }, ...rows])
  const expected = numbers.filter((n) => n <= (n % 2 === 0 ? 47 : 31))

  const report = await runRecall(bench)
  assert.deepEqual(
    [report.read, report.entries, report.recalled, report.moved],
    [60, 60, expected.length, expected.length],
  )
  const records = await recallRecords(bench)
  assert.deepEqual(records.map(({ sha256 }) => sha256).sort(), sorted(expected))
  for (const { sha256, state, matches, input } of records) {
    const n = numbers.find((each) => sha256Of(each) === sha256) ?? -1
    assert.deepEqual(
      [
        state,
        matches.map(({ entry, distance, listVersion }) => ({ entry, distance, isNew: listVersion > before.version })),
      ],
      ['recalled', [{ entry: `e${n}`, distance: n, isNew: true }]],
    )
    assert.deepEqual([input.partition, input.offset], [n % 2, Math.floor(n / 2)])
  }
  assert.deepEqual(await objectsIn(bench, 'held'), sorted(expected))
  assert.deepEqual(await objectsIn(bench, 'clean'), sorted(numbers.filter((n) => !expected.includes(n))))

  const again = await runRecall(bench)
  assert.deepEqual([again.read, again.recalled, again.moved], [0, 0, 0])
  assert.equal((await recallRecords(bench)).length, expected.length)
})

test('an item that was cleared while a newer version was still spreading is caught, also after that version was compared', async (t) => {
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  const old = await versionNow(bench)
  await bench.importList('stand-in', [
    { id: 'new', pdq: pdqOf(1) },
    { id: 'old', pdq: pdqOf(-1) },
  ])
  const now = await versionNow(bench)
  await clearAll(bench, [0], [now])
  assert.equal((await runRecall(bench)).recalled, 0)

  await clearAll(bench, [1, 2], [old], 1)
  const report = await runRecall(bench)
  assert.deepEqual([report.read, report.entries, report.recalled], [2, 1, 1])
  assert.deepEqual(await objectsIn(bench, 'held'), sorted([1]))

  // The same bytes once more, by a gate that is later still: into the clean store they do not come back for long.
  await clearAll(bench, [1], [old], 9)
  assert.deepEqual((await objectsIn(bench, 'clean')).includes(sha256Of(1)), true)
  const again = await runRecall(bench)
  assert.deepEqual([again.recalled, again.moved], [0, 1])
  assert.deepEqual(await objectsIn(bench, 'clean'), sorted([0, 2]))
  assert.equal((await recallRecords(bench)).length, 1)
})

test('an entry that goes, or whose hash changes, is withdrawn where no other entry holds the item; the object stays in held', async (t) => {
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await clearAll(bench, [1, 2, 3, 4], [await versionNow(bench)])
  const [a, b, c, d] = [1, 2, 3, 4].map((n) => ({ id: `e${n}`, pdq: pdqOf(n) }))
  assert.ok(a && b && c && d)
  await bench.importList('stand-in', [a, b, c, d])
  assert.equal((await runRecall(bench)).recalled, 4)

  const also = { id: 'also', sha256: sha256Of(2) }
  await bench.importList('stand-in', [also, { ...c, pdq: pdqOf(-3) }, d])
  const report = await runRecall(bench)
  assert.deepEqual([report.withdrawn, report.changed, report.recalled], [2, 1, 0])
  const last = new Map((await recallRecords(bench)).map((record) => [record.sha256, record]))
  assert.deepEqual(
    [1, 2, 3, 4].map((n) => [last.get(sha256Of(n))?.state, last.get(sha256Of(n))?.matches.map(({ entry }) => entry)]),
    [
      ['withdrawn', ['e1']],
      ['recalled', ['also']],
      ['withdrawn', ['e3']],
      ['recalled', ['e4']],
    ],
  )
  assert.deepEqual(await objectsIn(bench, 'held'), sorted([1, 2, 3, 4]))
  assert.deepEqual(await objectsIn(bench, 'clean'), [])

  await bench.importList('stand-in', [a, also, d])
  const back = await runRecall(bench)
  assert.deepEqual([back.recalled, back.withdrawn, back.missing], [1, 0, 0])
})

test('a list in shadow recalls nothing; taken out of shadow it recalls what it holds, also what the gate has seen', async (t) => {
  const bench = await openRecallBench(t, {
    lists: {
      'stand-in': { mode: 'enforce', maxAgeHours: 168, leastMatchable: 0 },
      trial: { mode: 'shadow', maxAgeHours: 168, leastMatchable: 0 },
    },
  })
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await bench.importList('trial', [{ id: 'seen', pdq: pdqOf(1) }])
  const versions = [await versionNow(bench), await versionNow(bench, 'trial')]
  const match = { listVersion: versions[1]?.version ?? '', signal: 'pdq', distance: 0, quality: 100, frame: 0 }
  const seen = {
    list: 'trial',
    entry: 'seen',
    ...match,
    transform: 'identity',
    class: 'near',
    enforced: false,
    classification: null,
    standing: 'positive',
  }
  await clear(
    bench,
    [
      verdictOf(
        bench,
        1,
        { partition: 0, offset: 0 },
        { listVersions: versions, matches: [seen], reasons: ['KNOWN_SHADOW'] },
      ),
      verdictOf(bench, 2, { partition: 0, offset: 1 }, { listVersions: versions }),
    ],
    [1, 2],
  )
  await bench.importList('trial', [
    { id: 'later', pdq: pdqOf(2) },
    { id: 'seen', pdq: pdqOf(1) },
  ])
  assert.equal((await runRecall(bench)).recalled, 0)

  const policy = (await readFile(bench.settings.policy, 'utf8')).replace('"shadow"', '"enforce"')
  await writeFile(bench.settings.policy, policy)
  assert.equal((await runRecall(bench)).recalled, 2)
  assert.deepEqual(await objectsIn(bench, 'held'), sorted([1, 2]))
})

test('what somebody puts in shadow, or takes out of it, is not told as compared before it is; what was only checked again is', async (t) => {
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await clearAll(bench, [1, 2], [await versionNow(bench)])
  const rows = [
    { id: 'held', pdq: pdqOf(1) },
    { id: 'old', pdq: pdqOf(-1) },
  ]
  await bench.importList('stand-in', rows)
  const isCompared = async (): Promise<boolean> => {
    const { lists, verdicts } = JSON.parse((await bench.sluice(['recall', 'status', '--json'])).stdout())
    const [{ state }] = lists
    assert.equal(verdicts.compared, state === 'compared' ? verdicts.total : 0)
    assert.ok(['compared', 'to be compared'].includes(state), state)
    return state === 'compared'
  }
  const runAndAsk = async () => {
    const { recalled, withdrawn } = await runRecall(bench)
    return { recalled, withdrawn, isCompared: await isCompared() }
  }
  assert.equal(await isCompared(), false)
  assert.deepEqual(await runAndAsk(), { recalled: 1, withdrawn: 0, isCompared: true })
  await bench.importList('stand-in', rows)
  assert.equal(await isCompared(), true)

  for (const [word, counts] of [
    ['shadow', { recalled: 0, withdrawn: 1 }],
    ['enforce', { recalled: 1, withdrawn: 0 }],
  ] as const) {
    await bench.sluice(['lists', word, 'stand-in/held', '--why', 'a test'])
    assert.equal(await isCompared(), false, word)
    assert.deepEqual(await runAndAsk(), { ...counts, isCompared: true }, word)
  }
})

test('a flood recalls nothing, names the entry and how many, and waits for a person, whose word stands on the records', async (t) => {
  const bench = await openRecallBench(t, { flood: { entryItems: 3, versionItems: 100, minutes: 60 } })
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await bench.importList('other', [{ id: 'old', pdq: pdqOf(-1) }])
  const versions = [await versionNow(bench), await versionNow(bench, 'other')]
  // Near enough to one entry, all of them.
  const near = Array.from({ length: 5 }, (_, n) => {
    const verdict = verdictOf(bench, n, { partition: 0, offset: n }, { listVersions: versions })
    const value = Buffer.from(pdqAtDistance(pdqOf(100), n), 'hex')
    return {
      ...verdict,
      fingerprint: verdict.fingerprint.map((signal) => (signal.signal === 'pdq' ? { ...signal, value } : signal)),
    }
  })
  const apart = verdictOf(bench, 9, { partition: 1, offset: 0 }, { listVersions: versions })
  await clear(bench, [...near, apart], [0, 1, 2, 3, 4, 9])
  await bench.importList('stand-in', [
    { id: 'bad', pdq: pdqOf(100) },
    { id: 'good', pdq: pdqOf(9) },
    { id: 'old', pdq: pdqOf(-1) },
  ])
  await bench.importList('other', [
    { id: 'apart', sha256: sha256Of(9) },
    { id: 'old', pdq: pdqOf(-1) },
  ])

  for (const _ of ['once', 'again']) {
    const { stderr, stdout } = await bench.sluice(['recall', 'run', '--json'], 1)
    assert.match(stderr(), /entry bad of list stand-in, version \S+, holds 5 items that were cleared, policy allows 3/)
    assert.equal(JSON.parse(stdout()).floods.length, 1)
    // What another list holds is not held up by it.
    assert.deepEqual(await objectsIn(bench, 'held'), sorted([9]))
  }
  const status = JSON.parse((await bench.sluice(['recall', 'status', '--json'], 1)).stdout())
  assert.deepEqual(
    status.lists.map(({ list, state }: { list: string; state: string }) => [list, state]),
    [
      ['other', 'under way'],
      ['stand-in', 'waits for a person'],
    ],
  )

  const report = await runRecall(bench, ['--accept-flood', '--why', 'the owner has confirmed it', '--who', 'somebody'])
  assert.deepEqual([report.recalled, report.changed, report.floods.length], [5, 1, 0])
  const last = new Map((await recallRecords(bench)).map((record) => [record.sha256, record]))
  assert.equal(last.get(sha256Of(0))?.acceptedBy, 'somebody')
  assert.equal(last.get(sha256Of(0))?.acceptedReason, 'the owner has confirmed it')
  assert.deepEqual(
    last
      .get(sha256Of(9))
      ?.matches.map(({ entry }) => entry)
      .sort(),
    ['apart', 'good'],
  )
  assert.deepEqual(await objectsIn(bench, 'clean'), [])
  assert.equal((await runRecall(bench)).recalled, 0)
})

test('an item that was cleared anew before its recall was withdrawn stays in the clean store', async (t) => {
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await clearAll(bench, [1], [await versionNow(bench)])
  await bench.importList('stand-in', [{ id: 'new', pdq: pdqOf(1) }])
  assert.equal((await runRecall(bench)).recalled, 1)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await clearAll(bench, [1], [await versionNow(bench)], 5)
  const report = await runRecall(bench)
  assert.deepEqual([report.withdrawn, report.moved, report.recalled], [1, 0, 0])
  assert.deepEqual([await objectsIn(bench, 'clean'), await objectsIn(bench, 'held')], [sorted([1]), sorted([1])])
})

test('what a version has recalled before counts too: a flood in small parts is one', async (t) => {
  const bench = await openRecallBench(t, { flood: { entryItems: 100, versionItems: 2, minutes: 60 } })
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  const late = [await versionNow(bench)]
  await bench.importList(
    'stand-in',
    [1, 2, 3].map((n) => ({ id: `e${n}`, pdq: pdqOf(n) })),
  )
  await clearAll(bench, [1, 2], late)
  assert.equal((await runRecall(bench)).recalled, 2)
  await clearAll(bench, [3], late, 5)
  const before = (
    await bench.sluice(['recall', 'run', '--accept-flood', '--why', 'all is well', '--who', 'somebody'], 1)
  ).stderr()
  assert.match(
    before,
    /version \S+ of list stand-in holds 3 items that were cleared, policy allows 2/,
    'nothing waited yet',
  )
  assert.deepEqual(await objectsIn(bench, 'held'), sorted([1, 2]))
  await bench.sluice(['recall', 'run', '--accept-flood', '--why', 'all is well', '--who', 'somebody'])
  assert.deepEqual(await objectsIn(bench, 'held'), sorted([1, 2, 3]))
})

test('a payload that came as several items is recalled once, by its first; show tells all of them, and where the object is', async (t) => {
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  const listVersions = [await versionNow(bench)]
  const places = [
    { partition: 1, offset: 4 },
    { partition: 0, offset: 7 },
    { partition: 1, offset: 9 },
  ]
  await clear(
    bench,
    places.map((place) => verdictOf(bench, 1, place, { listVersions })),
    [1],
  )
  await bench.importList('stand-in', [{ id: 'new', pdq: pdqOf(1) }])
  assert.equal((await runRecall(bench)).recalled, 1)
  const [record, ...others] = await recallRecords(bench)
  assert.deepEqual([record?.input.partition, record?.input.offset, others.length], [1, 4, 0])

  for (const name of [sha256Of(1), `${bench.topic('crawl.items')}/0/7`]) {
    const story = JSON.parse((await bench.sluice(['recall', 'show', name, '--json'])).stdout())
    assert.deepEqual([story.sha256, story.state, story.stores], [sha256Of(1), 'recalled', ['held']])
    const inputs = story.items.map(
      ({ input }: { input: { partition: number; offset: number } }) => `${input.partition}/${input.offset}`,
    )
    assert.deepEqual(inputs.sort(), ['0/7', '1/4', '1/9'])
  }
  const { stdout } = await bench.sluice(['recall', 'show', sha256Of(1)])
  assert.match(stdout(), /held by entry new of list stand-in, version \S+: near, pdq at distance 0/)
  await bench.sluice(['recall', 'show', sha256Of(2)], 1)
  await bench.sluice(['recall', 'show', 'what is this'], 2)
})
