import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import pLimit from 'p-limit'
import { z } from 'zod'
import { createHeldFilter, type HeldFilter } from '../../services/domain/held-filter.ts'
import type { VerdictRecord } from '../../services/domain/records.ts'
import { readSettings } from '../../services/platform/settings.ts'
import { countedFields, createHeldCounts } from '../../services/replay/held-counts.ts'
import { addHeldWords, readHeldWords } from '../../services/replay/held-words.ts'
import { type ReadHeldOptions, readHeld } from '../../services/replay/read-held.ts'
import { readReplayRuns } from '../../services/replay/runs-topic.ts'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { FIRST_JUDGED, heldVerdict, nearMatch, produceVerdicts } from './held.ts'

const skip = skipWithoutPython()
const POLICY = 'ab'.repeat(32)
/** As an hourly sync names the same entries, hour after hour. */
const synced = (hour: number): string => `2026-01-01T0${hour % 10}:00:00.000Z-0123456789ab`
const HOSTILE = '\u001b[2Jclean\nsupplier'

const group = z.object({
  name: z.union([z.string(), z.number()]).nullable(),
  others: z.boolean(),
  items: z.number(),
  bytes: z.number(),
})
const stats = z.object({ held: z.number(), bytes: z.number(), by: z.record(z.string(), z.array(group)) })
const listing = z.object({
  held: z.number(),
  more: z.number(),
  items: z.array(
    z.object({
      input: z.looseObject({ partition: z.number(), offset: z.number() }),
      itemId: z.string().nullable(),
      match: z.object({ list: z.string(), entry: z.string() }).nullable(),
      attempts: z.number(),
    }),
  ),
})

/** By the command itself. */
async function statsOf(bench: Bench, words: readonly string[] = []): Promise<z.infer<typeof stats>> {
  return stats.parse(JSON.parse((await bench.sluice(['quarantine', 'stats', '--json', ...words])).stdout()))
}

/** The same in this process, as on-call: commands take long to start. */
async function countsOf(bench: Bench, words: readonly string[]): Promise<z.infer<typeof stats>> {
  const settings = readSettings({ ...bench.environment, SLUICE_PRINCIPAL: 'on-call' })
  const { registry } = bench
  const command = addHeldWords(new Command()).parse(words, { from: 'user' })
  const filter = await readHeldWords(command.opts(), Date.now())
  const counts = createHeldCounts(Date.now())
  const replays = await readReplayRuns(settings, registry)
  const onHeld: ReadHeldOptions<(typeof countedFields)[number]>['onHeld'] = (verdict, { attempts }) =>
    counts.add(verdict, attempts)
  await readHeld({ settings, registry, filter, replays, fields: countedFields, onHeld })
  return counts.counts()
}

/** Items of each name, without the size. */
function itemsBy(found: z.infer<typeof stats>, kind: string): Record<string, number> {
  return Object.fromEntries((found.by[kind] ?? []).map(({ name, items }) => [String(name), items]))
}

/** As librdkafka and fastavro see them. */
type Foreign = Pick<VerdictRecord, 'input' | 'itemId' | 'judgedAt' | 'outcome' | 'reasons' | 'matches' | 'size'> &
  Pick<VerdictRecord, 'supplier' | 'dataset' | 'supplyKind' | 'policyHash' | 'listVersions'>

async function readForeign(bench: Bench): Promise<Foreign[]> {
  const { records } = await readTopics(bench.settings, [bench.topic('gate.verdicts')])
  return records.map(({ value }) => value as Foreign).filter(({ outcome }) => outcome !== 'clean')
}

function countBy(
  verdicts: readonly Foreign[],
  namesOf: (verdict: Foreign) => readonly unknown[],
): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const verdict of verdicts) {
    for (const name of new Set(namesOf(verdict))) counts[String(name)] = (counts[String(name)] ?? 0) + 1
  }
  return counts
}

/** Of every kind that there is, a third of them cleared. */
function mixed(bench: Bench, n: number): VerdictRecord {
  const many: Array<Partial<VerdictRecord>> = [
    { outcome: 'clean', heldReference: null, reasons: [], supplier: HOSTILE, dataset: 'quarantine' },
    {
      reasons: ['KNOWN_NEAR'],
      matches: [nearMatch('stand-in', `e${n % 13}`), nearMatch('trial', 't', { enforced: false })],
    },
    { outcome: 'review', reasons: ['KNOWN_DOUBTED', 'PROVENANCE_INCOMPLETE'], matches: [nearMatch('other', 'a/b')] },
    { outcome: 'clean', heldReference: null, reasons: ['KNOWN_SHADOW'], matches: [nearMatch('stand-in', 'e1')] },
    { itemId: null, reasons: ['MESSAGE_UNDECODABLE'], size: null, sha256: null, supplyKind: null, fingerprint: [] },
    // What a crawler's headers claim.
    { supplier: HOSTILE, dataset: 'clean', supplyKind: 'licensed', attempt: 3 },
    {
      supplier: `agency ${n % 2}`,
      dataset: 'set',
      policyHash: POLICY,
      listVersions: [{ list: 'trial', version: synced(n) }],
    },
  ]
  return heldVerdict(bench, n, many[n % many.length])
}

test('what is held is counted as librdkafka counts it, whatever is filtered by, as on-call, who may read nothing that is held', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 3 })
  const verdicts = Array.from({ length: 630 }, (_, n) => mixed(bench, n))
  await produceVerdicts(bench, verdicts)
  const held = await readForeign(bench)
  assert.equal(held.length, 450)

  const ids = held.flatMap(({ itemId }) => itemId ?? []).filter((_, at) => at % 40 === 0)
  const idsFile = join(bench.folder, 'ids.txt')
  await writeFile(idsFile, `${ids.join('\r\n')}\nnot-there\n\n`)
  const middle = FIRST_JUDGED + 300_000
  const holds = (list: string, entry?: string) => (verdict: Foreign) =>
    verdict.matches.some((match) => match.enforced && match.list === list && (entry ?? match.entry) === match.entry)
  const cases: Array<[words: string[], isMeant: (verdict: Foreign) => boolean]> = [
    [[], () => true],
    [['--outcome', 'review'], ({ outcome }) => outcome === 'review'],
    [
      ['--partition', '2:100-150', '--partition', '0:7'],
      ({ input: { partition, offset } }) =>
        (partition === 2 && offset >= 100 && offset <= 150) || (partition === 0 && offset === 7),
    ],
    [
      ['--since', new Date(middle).toISOString(), '--partition', '1'],
      (v) => v.judgedAt >= middle && v.input.partition === 1,
    ],
    [
      ['--until', new Date(middle).toISOString(), '--list', 'stand-in'],
      (v) => v.judgedAt < middle && holds('stand-in')(v),
    ],
    [['--entry', 'other/a/b', '--entry', 'stand-in/e1'], (v) => holds('other', 'a/b')(v) || holds('stand-in', 'e1')(v)],
    [['--list', 'trial'], () => false],
    [
      ['--supplier', HOSTILE, '--supply-kind', 'licensed', '--dataset', 'clean'],
      ({ supplier }) => supplier === HOSTILE,
    ],
    [['--policy', POLICY.toUpperCase(), '--supplier', 'agency 1'], ({ supplier }) => supplier === 'agency 1'],
    [['--list-version', `trial/${synced(3)}`], ({ listVersions }) => listVersions[0]?.list === 'trial'],
    [['--reason', 'PROVENANCE_INCOMPLETE'], ({ reasons }) => reasons.includes('PROVENANCE_INCOMPLETE')],
    [['--items', idsFile], ({ itemId }) => ids.includes(itemId ?? '')],
    [['--attempts', '1'], () => false],
  ]
  assert.deepEqual(await statsOf(bench), await countsOf(bench, []))
  const limit = pLimit(4)
  await limit.map(cases, async ([words, isMeant]) => {
    const found = await countsOf(bench, words)
    const meant = held.filter(isMeant)
    const what = words.join(' ')
    assert.equal(found.held, meant.length, what)
    assert.equal(
      found.bytes,
      meant.reduce((sum, { size }) => sum + (size ?? 0), 0),
      what,
    )
    const enforced = ({ matches }: Foreign) => matches.filter((match) => match.enforced)
    const kinds: Record<string, (verdict: Foreign) => readonly unknown[]> = {
      outcome: ({ outcome }) => [outcome],
      partition: ({ input }) => [input.partition],
      reason: ({ reasons }) => reasons,
      list: (verdict) => enforced(verdict).map(({ list }) => list),
      supplier: ({ supplier }) => [supplier],
      dataset: ({ dataset }) => [dataset],
      attempts: () => [0],
      policy: ({ policyHash }) => [policyHash],
    }
    for (const [kind, namesOf] of Object.entries(kinds)) {
      assert.deepEqual(itemsBy(found, kind), countBy(meant, namesOf), `${what}: by ${kind}`)
    }
    const entries = countBy(meant, (verdict) => enforced(verdict).map(({ list, entry }) => `${list}/${entry}`))
    const told = (found.by.entry ?? []).filter(({ others }) => !others)
    assert.deepEqual(
      told.map(({ items }) => items),
      Object.values(entries)
        .sort((a, b) => b - a)
        .slice(0, 10),
      `${what}: the entries that hold most`,
    )
    for (const { name, items } of told) assert.equal(entries[String(name)], items)
  })
})

test('held items are listed by partition and offset, with nothing that steers a terminal, and it is told how many more there are', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await produceVerdicts(
    bench,
    Array.from({ length: 70 }, (_, n) => mixed(bench, n)),
  )
  const inOrder = Array.from({ length: 70 }, (_, n) => mixed(bench, n))
    .filter(({ outcome }) => outcome !== 'clean')
    .sort((a, b) => a.input.partition - b.input.partition || a.input.offset - b.input.offset)

  const [json, table, stats, none] = await Promise.all([
    bench.sluice(['quarantine', 'ls', '--json', '--limit', '30']),
    bench.sluice(['quarantine', 'ls']),
    bench.sluice(['quarantine', 'stats', '--by', 'supplier']),
    bench.sluice(['quarantine', 'ls', '--json', '--supplier', 'nobody'], 1),
  ])
  const { held, more, items } = listing.parse(JSON.parse(json.stdout()))
  assert.deepEqual([held, more], [50, 20])
  assert.deepEqual(
    items.map(({ input, itemId, match, attempts }) => [input, itemId, match, attempts]),
    inOrder.slice(0, 30).map(({ input, itemId, matches: [match] }) => {
      return [input, itemId, match ? { list: match.list, entry: match.entry } : null, 0]
    }),
  )

  const text = table.stdout()
  for (const { itemId, input } of inOrder) {
    const row = text.split('\n').find((line) => line.includes(` ${input.partition}/${input.offset} `)) ?? ''
    assert.ok(row.includes(itemId ?? ''), `${input.partition}/${input.offset}`)
  }
  assert.match(text, /\n50 items$/)
  for (const printed of [text, stats.stdout(), json.stdout()]) {
    assert.ok(!printed.includes('\u001b'))
    assert.match(printed, /u001b\[2Jclean/)
  }
  assert.match(stats.stdout(), /50 items held, 4\.0 MB$/)

  assert.deepEqual(JSON.parse(none.stdout()), { held: 0, more: 0, items: [] })
  assert.match(none.stderr(), /nothing is held that is meant/)
})

test('no more is read than the filter asks for: partitions, up to a last offset, and what came since', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await produceVerdicts(
    bench,
    Array.from({ length: 200 }, (_, n) => mixed(bench, n)),
  )
  const { settings, registry } = bench
  const replays = await readReplayRuns(settings, registry)
  const inTwoHours = Date.now() + 7_200_000
  const cases: Array<[filter: HeldFilter, read: number, total: number]> = [
    [{}, 200, 200],
    [{ partitions: [{ partition: 1 }] }, 100, 100],
    [{ partitions: [{ partition: 1, first: 2, last: 3 }] }, 5, 100],
    [{ partitions: [0, 1].map((partition) => ({ partition, last: 199 })) }, 200, 200],
    [{ since: FIRST_JUDGED + 190_000 }, 200, 200],
    [{ since: inTwoHours }, 0, 0],
  ]
  for (const [filter, read, total] of cases) {
    let last = [0, 0]
    const onRead = (...progress: [number, number]): void => {
      last = progress
    }
    const expected = Array.from({ length: 200 }, (_, n) => mixed(bench, n))
      .filter(({ outcome }) => outcome !== 'clean')
      .filter(createHeldFilter(filter))
    const found: VerdictRecord[] = []
    await readHeld({ settings, registry, filter, replays, onRead, onHeld: (verdict) => void found.push(verdict) })
    assert.deepEqual(last, [read, read === 0 ? 0 : total], JSON.stringify(filter))
    const inOrder = found.sort((a, b) => a.judgedAt - b.judgedAt)
    assert.deepEqual(
      inOrder.map(({ input, fingerprint, heldReference }) => [
        input.partition,
        input.offset,
        fingerprint.length,
        heldReference,
      ]),
      expected.map(({ input, fingerprint, heldReference }) => [
        input.partition,
        input.offset,
        fingerprint.length,
        heldReference,
      ]),
    )
  }
})

test('what a real gate has held is told as it judged it', { skip }, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const pictures = await Promise.all([1, 2, 3].map(tinyPicture))
  await bench.importList('stand-in', [{ id: 'one', sha256: sha256(pictures[0] ?? Buffer.of()) }])
  const gate = bench.startGate()
  await gate.untilReady()
  const items = [
    ...pictures.map((inline, n) => crawlItem(`picture-${n}`, { inline })),
    crawlItem('nothing', {}),
    crawlItem('words', { inline: Buffer.from('These are words.') }),
  ]
  const messages = items.map(async (item, n) => {
    return {
      key: item.envelope.item?.id ?? '',
      partition: n % 2,
      value: await bench.registry.encode('crawl.items', item),
    }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  await waitFor('all are judged', () => bench.caughtUp())
  const fates = (await audit(bench))
    .filter(({ outcome }) => outcome !== 'clean')
    .sort(({ verdict: { input: a } }, { verdict: { input: b } }) => a.partition - b.partition || a.offset - b.offset)
  assert.equal(fates.length, 3)

  const [found, known] = await Promise.all([
    bench.sluice(['quarantine', 'ls', '--json', '--since', '1h']),
    statsOf(bench, ['--entry', 'stand-in/one']),
  ])
  const { items: listed } = listing.parse(JSON.parse(found.stdout()))
  assert.deepEqual(
    listed.map(({ input, itemId, match }) => [input, itemId, match?.entry ?? null]),
    fates.map(({ verdict }) => [verdict.input, verdict.itemId, verdict.matches[0]?.entry ?? null]),
  )
  assert.deepEqual(
    [known.held, itemsBy(known, 'reason'), itemsBy(known, 'age')],
    [1, { KNOWN_EXACT: 1 }, { 'under 1 hour': 1 }],
  )
  await bench.stopGate(gate)
})

test('wrong words end with exit code 2 and one sentence, and a partition that there is not is one', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const cases: Array<[words: string[], sentence: RegExp]> = [
    [['ls', '--partition', '1'], /has no partition 1: expected one of 0 /],
    [['ls', '--limit', '0'], /--limit 0: expected a whole number from 1/],
    [['ls', '--reason', 'KNOWN'], /--reason KNOWN: expected one of .*KNOWN_EXACT/],
    [['stats', '--by', 'colour'], /Allowed choices are outcome/],
  ]
  await Promise.all(
    cases.map(async ([words, sentence]) => {
      const { stderr } = await bench.sluice(['quarantine', ...words], 2)
      assert.match(stderr(), sentence)
      assert.equal(stderr().split('\n').length, 1)
    }),
  )
})
