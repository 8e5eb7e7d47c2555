import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { z } from 'zod'
import { audit, type Fate } from '../integration/audit.ts'
import { startSluice } from '../integration/gate-process.ts'
import { type Bench, type ListRow, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

const pictures = { boats: await tinyPicture(1), cats: await tinyPicture(2) }
const rows: Record<keyof typeof pictures, ListRow> = {
  boats: { id: 'boats', sha256: sha256(pictures.boats) },
  cats: { id: 'cats', sha256: sha256(pictures.cats) },
}
const versions = z.array(
  z.looseObject({
    version: z.string(),
    inForce: z.boolean(),
    kept: z.boolean(),
    shadowed: z.array(z.string()),
    signals: z.array(z.object({ signal: z.string(), hashes: z.number() })),
    cause: z.looseObject({
      act: z.string(),
      who: z.string().nullable(),
      why: z.string().nullable(),
      of: z.string().nullable(),
    }),
  }),
)

async function versionsOf(bench: Bench): Promise<z.infer<typeof versions>> {
  return versions.parse(JSON.parse((await bench.sluice(['lists', 'versions', 'stand-in', '--json'])).stdout()))
}

/** Has both pictures judged again. @returns what became of each, by the newest version that the gate has */
async function judged(bench: Bench, round: string): Promise<Record<string, Pick<Fate, 'outcome' | 'reasons'>>> {
  const [{ version: newest } = { version: '' }] = await versionsOf(bench)
  for (let attempt = 0; ; attempt++) {
    const keys = Object.entries(pictures).map(([name, inline]) => ({ key: `${name}-${round}-${attempt}`, inline }))
    const messages = keys.map(async ({ key, inline }) => ({
      key,
      value: await bench.registry.encode('crawl.items', crawlItem(key, { inline })),
    }))
    await bench.produce('crawl.items', await Promise.all(messages))
    await waitFor('both are judged', () => bench.caughtUp())
    const fates = await audit(bench)
    const found = keys.map(({ key }) => fates.find(({ verdict }) => verdict.itemId === key))
    // Judged before the gate had heard of it.
    if (found.some((fate) => fate?.verdict.listVersions[0]?.version !== newest) && attempt < 50) continue
    const told = found.map((fate, at) => [
      Object.keys(pictures)[at],
      { outcome: fate?.outcome, reasons: fate?.reasons },
    ])
    return Object.fromEntries(told)
  }
}

const listStatus = z.looseObject({
  mode: z.string(),
  hitsInLastDay: z.number(),
  marksInLastDay: z.number().nullable(),
  marksSince: z.iso.datetime().nullable(),
  shadowed: z.array(z.string()),
})

async function statusOf(bench: Bench): Promise<z.infer<typeof listStatus>[]> {
  return z.array(listStatus).parse(JSON.parse((await bench.sluice(['lists', 'status', '--json'])).stdout()))
}

const held = { outcome: 'quarantine', reasons: ['KNOWN_EXACT'] }
const clean = { outcome: 'clean', reasons: [] }
const marked = { outcome: 'clean', reasons: ['KNOWN_SHADOW'] }

test('a version is rolled back, an entry or the list is put in shadow, and a running gate judges so; who did it and why is kept', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [rows.boats])
  await bench.importList('stand-in', [rows.boats, rows.cats])
  const gate = bench.startGate()
  await gate.untilReady()
  assert.deepEqual(await judged(bench, 'bad'), { boats: held, cats: held })

  const [bad, good] = await versionsOf(bench)
  assert.deepEqual(
    [bad?.signals, good?.signals],
    [[{ signal: 'sha256', hashes: 2 }], [{ signal: 'sha256', hashes: 1 }]],
  )
  const asked = ['--who', 'on-call', '--why', 'holds cats']
  await bench.sluice(['lists', 'rollback', 'stand-in', '--to', good?.version ?? '', ...asked])
  assert.deepEqual(await judged(bench, 'back'), { boats: held, cats: clean })

  await bench.sluice(['lists', 'shadow', 'stand-in/boats', ...asked])
  assert.deepEqual(await judged(bench, 'shadow'), { boats: marked, cats: clean })
  // The source still has it: what a person said stays.
  await bench.importList('stand-in', [rows.boats, rows.cats])
  assert.deepEqual(await judged(bench, 'import'), { boats: marked, cats: held })
  await bench.sluice(['lists', 'shadow', 'stand-in', ...asked])
  assert.deepEqual(await judged(bench, 'all'), { boats: marked, cats: marked })
  const fates = await audit(bench)
  const counts = [
    fates.filter(({ outcome }) => outcome === 'quarantine').length,
    fates.filter(({ reasons }) => reasons.includes('KNOWN_SHADOW')).length,
  ]
  const [shadowed] = await statusOf(bench)
  assert.deepEqual([shadowed?.hitsInLastDay, shadowed?.marksInLastDay], counts)
  assert.ok(Date.parse(shadowed?.marksSince ?? '') < Date.now() - 86_000_000)
  const table = (await bench.sluice(['lists', 'status'])).stdout()
  assert.match(
    table,
    new RegExp(`marked in a day.*│ all +${counts.map((count) => `│ +${count} +`).join('')}│ complete`, 's'),
  )
  // Whoever is on call sees what is in force and what is marked, and nothing of what is held.
  if (bench.environment.SLUICE_KAFKA_USERS !== undefined) {
    const onCall = startSluice(['lists', 'status', '--json'], { ...bench.environment, SLUICE_PRINCIPAL: 'on-call' })
    assert.equal((await onCall.ended).code, 0, onCall.stderr())
    const [seen] = z.array(listStatus.extend({ hitsInLastDay: z.null() })).parse(JSON.parse(onCall.stdout()))
    const ofNow = { ageHours: seen?.ageHours, marksSince: seen?.marksSince }
    assert.deepEqual(seen, { ...shadowed, hitsInLastDay: null, ...ofNow })
  }
  await bench.sluice(['lists', 'enforce', 'stand-in', ...asked])
  assert.deepEqual(await judged(bench, 'enforce'), { boats: held, cats: held })

  const told = (await versionsOf(bench)).map(({ cause, shadowed, kept, inForce }) => ({
    ...cause,
    shadowed,
    kept,
    inForce,
  }))
  const by = { who: 'on-call', why: 'holds cats', accepted: [], kept: true, inForce: false }
  const imported = { act: 'import', who: null, why: null, of: null, accepted: [], kept: true, inForce: false }
  assert.deepEqual(told, [
    { ...by, act: 'enforce', of: '*', shadowed: [], inForce: true },
    { ...by, act: 'shadow', of: '*', shadowed: ['*', 'boats'] },
    { ...imported, shadowed: ['boats'] },
    { ...by, act: 'shadow', of: 'boats', shadowed: ['boats'] },
    { ...by, act: 'rollback', of: good?.version, shadowed: [] },
    { ...imported, shadowed: [] },
    { ...imported, shadowed: [] },
  ])
  assert.ok((bad?.version ?? '') > (good?.version ?? ''))

  const [list] = await statusOf(bench)
  const quarantined = (await audit(bench)).filter(({ outcome }) => outcome === 'quarantine')
  assert.deepEqual([list?.mode, list?.hitsInLastDay, list?.shadowed], ['enforce', quarantined.length, []])
  assert.equal(list?.marksInLastDay, null)
})

test('what can not be done is refused with code 2 and says what can, and nothing is written', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [rows.boats])
  const before = await bench.endOf('gate.hash-entries')
  const asked = ['--why', 'a test']
  const refused: Array<[words: string[], expected: RegExp]> = [
    [
      ['rollback', 'stand-in', '--to', 'v1', ...asked],
      /stand-in has no version v1: see `sluice lists versions stand-in`/,
    ],
    [['rollback', 'Stand In', '--to', 'v1', ...asked], /expected a list's name/],
    [['rollback', 'stand-in', '--to', 'v1'], /--why/],
    [['versions', 'other'], /there is no list other/],
    [['shadow', 'stand-in/cats', ...asked], /stand-in has no entry cats in version/],
    [['shadow', 'stand-in/boats/more', ...asked], /expected LIST or LIST\/ENTRY/],
    [['shadow', 'other', ...asked], /no version of list other is in force/],
    [['enforce', 'stand-in/boats', ...asked], /boats of list stand-in is not in shadow on its own/],
  ]
  for (const [words, expected] of refused) {
    const { stderr } = await bench.sluice(['lists', ...words], 2)
    assert.match(stderr(), expected, words.join(' '))
  }
  assert.equal(await bench.endOf('gate.hash-entries'), before)
})

test('without its store no version is written: what is in force can always be had again', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [rows.boats])
  const before = await bench.endOf('gate.hash-entries')
  await rename(bench.storeFolder('lists'), join(bench.folder, 'elsewhere'))
  await assert.rejects(bench.importList('stand-in', [rows.boats, rows.cats]), /lists store/)
  assert.equal(await bench.endOf('gate.hash-entries'), before)
})
