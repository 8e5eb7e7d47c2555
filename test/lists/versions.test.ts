import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { z } from 'zod'
import { SluiceError } from '../../services/domain/errors.ts'
import { entryFromRow } from '../../services/domain/hash-list.ts'
import { packEntries } from '../../services/domain/packed-entries.ts'
import { importList } from '../../services/lists/import.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import type { Registry } from '../../services/platform/registry.ts'
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

/** Calls back with what is about to be written, and with what has been read, as the registry sees it. */
function watched(
  registry: Registry,
  beforeWrite: (record: unknown) => Promise<void>,
  onRead: (record: unknown) => void,
): Registry {
  return {
    ...registry,
    async encode(topic, record) {
      await beforeWrite(record)
      return await registry.encode(topic, record)
    },
    decodeKnown<Value>(...message: Parameters<Registry['decodeKnown']>) {
      const known = registry.decodeKnown<Value>(...message)
      onRead(known?.value)
      return known
    },
    async decode<Value>(...message: Parameters<Registry['decode']>) {
      const decoded = await registry.decode<Value>(...message)
      onRead(decoded.value)
      return decoded
    },
  }
}

const parts = z.looseObject({ entry: z.unknown(), manifest: z.looseObject({ version: z.string() }).nullable() })

/** An import of both rows, and what another command makes of the list at a moment of it. @returns how the import was refused, and what is in shadow then */
async function overtaken(
  bench: Bench,
  moment: 'check' | 'entry' | 'manifest',
  other: () => Promise<unknown>,
): Promise<{ refusal: string | null; shadowed: string[]; acts: string[] }> {
  const read = new Set<string>()
  let isDone = false
  const makeOther = async (): Promise<void> => {
    if (isDone) return
    isDone = true
    await other()
    const newest = (await versionsOf(bench))[0]?.version ?? ''
    await waitFor('the import has read the other version', () => moment === 'manifest' || read.has(newest))
  }
  const registry = watched(
    bench.registry,
    async (record) => {
      const isManifest = parts.parse(record).manifest !== null
      if ((moment === 'entry' && !isManifest) || (moment === 'manifest' && isManifest)) await makeOther()
    },
    (record) => {
      const version = parts.safeParse(record).data?.manifest?.version
      if (version !== undefined) read.add(version)
    },
  )
  const entries = Object.values(rows).map((row) => {
    return entryFromRow(row, { list: 'stand-in', file: '', line: 0 }).entry ?? assert.fail('no entry')
  })
  const refusal = await importList({
    kafka: createKafka(bench.settings, 'overtaken'),
    registry,
    prefix: bench.settings.prefix,
    store: bench.store('lists'),
    list: 'stand-in',
    now: Date.now(),
    next: {
      entries: packEntries('stand-in', entries),
      checkedAt: Date.now(),
      cause: { act: 'sync', who: null, why: null, of: null, accepted: [] },
    },
    check: async () => {
      if (moment === 'check') await makeOther()
    },
  }).then(
    () => null,
    (error) => (error instanceof SluiceError ? `${error.code}: ${error.message}` : assert.fail(error)),
  )
  const found = await versionsOf(bench)
  const shadowed = found.find(({ inForce }) => inForce)?.shadowed ?? assert.fail('none is in force')
  return { refusal, shadowed, acts: found.map(({ cause }) => cause.act) }
}

test('what a person does while an import is under way stands, and the import is refused', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [rows.boats])
  const shadow = () => bench.sluice(['lists', 'shadow', 'stand-in', '--why', 'a test'])
  const enforce = () => bench.sluice(['lists', 'enforce', 'stand-in', '--why', 'a test'])
  const refused = /^LISTS_INCOMPLETE: .*was made while this one was.*call again/

  const first = await overtaken(bench, 'check', shadow)
  assert.match(first.refusal ?? '', refused)
  assert.deepEqual([first.shadowed, first.acts], [['*'], ['shadow', 'import']])

  const second = await overtaken(bench, 'entry', enforce)
  assert.match(second.refusal ?? '', refused)
  assert.deepEqual([second.shadowed, second.acts], [[], ['enforce', 'shadow', 'import']])

  await bench.importList('stand-in', Object.values(rows))
  assert.equal((await versionsOf(bench))[0]?.inForce, true)
})

test('what a person does in the moment in which an import closes its version is told as undone, with its version', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', Object.values(rows))
  const { refusal, shadowed, acts } = await overtaken(bench, 'manifest', () =>
    bench.sluice(['lists', 'shadow', 'stand-in', '--why', 'a test']),
  )
  assert.deepEqual([shadowed, acts.toSorted()], [[], ['import', 'shadow', 'sync']])
  const undone = (await versionsOf(bench)).find(({ cause }) => cause.act === 'shadow')?.version
  assert.match(refusal ?? '', new RegExp(`^LISTS_INCOMPLETE: .*undoes version ${undone}.*do again what that was for`))
})
