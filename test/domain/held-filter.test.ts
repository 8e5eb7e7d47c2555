import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createHeldFilter,
  type FilteredVerdict,
  type HeldFilter,
  heldFilterSchema,
  holding,
} from '../../services/domain/held-filter.ts'
import type { Match } from '../../services/domain/records.ts'
import { parseTime } from '../../services/domain/time-text.ts'

const POLICIES = ['a'.repeat(64), 'b'.repeat(64)]

function match(list: string, entry: string, enforced = true): Match {
  return {
    list,
    listVersion: `${list}-1`,
    entry,
    signal: 'pdq',
    distance: 0,
    quality: 100,
    frame: 0,
    transform: 'identity',
    class: 'near',
    enforced,
    classification: null,
    standing: 'positive',
  }
}

const verdict: FilteredVerdict = {
  input: { cluster: 'c', topic: 'crawl.items', partition: 2, offset: 1500 },
  itemId: 'item-1',
  judgedAt: 5000,
  outcome: 'quarantine',
  reasons: ['KNOWN_NEAR', 'PROVENANCE_INCOMPLETE'],
  matches: [match('known', 'a/b'), match('trial', 't', false)],
  policyHash: POLICIES[0] ?? '',
  listVersions: [
    { list: 'known', version: '1' },
    { list: 'trial', version: '7' },
    { list: 'hourly', version: '2026-03-01T05:00:00.000Z-0123456789ab' },
  ],
  supplyKind: 'licensed',
  supplier: 'Example Agency',
  dataset: null,
  attempt: 2,
}

const table: Array<[what: string, filter: HeldFilter, isMeant: boolean]> = [
  ['no filter', {}, true],
  ['its outcome', { outcomes: ['quarantine'] }, true],
  ['one of two outcomes', { outcomes: ['review', 'quarantine'] }, true],
  ['another outcome', { outcomes: ['review'] }, false],
  ['its partition', { partitions: [{ partition: 2 }] }, true],
  ['another partition', { partitions: [{ partition: 1 }] }, false],
  ['a range that begins with it', { partitions: [{ partition: 2, first: 1500 }] }, true],
  ['a range that ends with it', { partitions: [{ partition: 2, first: 0, last: 1500 }] }, true],
  ['a range behind it', { partitions: [{ partition: 2, first: 1501, last: 2000 }] }, false],
  ['a range before it', { partitions: [{ partition: 2, last: 1499 }] }, false],
  [
    'two ranges of its partition, one with it',
    {
      partitions: [
        { partition: 2, last: 3 },
        { partition: 2, first: 1400, last: 1600 },
      ],
    },
    true,
  ],
  ['the range of another partition', { partitions: [{ partition: 3, first: 1400, last: 1600 }] }, false],
  ['since the moment', { since: 5000 }, true],
  ['since later', { since: 5001 }, false],
  ['until later', { until: 5001 }, true],
  ['until the moment, which is not included', { until: 5000 }, false],
  ['one of its reasons', { reasons: ['PROVENANCE_INCOMPLETE'] }, true],
  ['a reason that it has not', { reasons: ['KNOWN_EXACT'] }, false],
  ['the list that holds it', { lists: ['known'] }, true],
  ['a list that only marked it, in shadow', { lists: ['trial'] }, false],
  ['the entry that holds it, with a slash in its name', { entries: [{ list: 'known', entry: 'a/b' }] }, true],
  ['an entry of that name in another list', { entries: [{ list: 'other', entry: 'a/b' }] }, false],
  ['an entry in shadow', { entries: [{ list: 'trial', entry: 't' }] }, false],
  ['its policy', { policyHashes: POLICIES }, true],
  ['another policy', { policyHashes: ['c'.repeat(64)] }, false],
  ['judged by a version that does not hold it', { listVersions: [{ list: 'trial', version: '7' }] }, true],
  ['the version of another list', { listVersions: [{ list: 'known', version: '7' }] }, false],
  [
    'a version with the same entries, synced at another time',
    { listVersions: [{ list: 'hourly', version: '2026-03-01T01:00:00.000Z-0123456789ab' }] },
    true,
  ],
  [
    'a version of the same time with other entries',
    { listVersions: [{ list: 'hourly', version: '2026-03-01T05:00:00.000Z-ffffffffffff' }] },
    false,
  ],
  [
    'the same entries in another list',
    { listVersions: [{ list: 'daily', version: '2026-03-01T05:00:00.000Z-0123456789ab' }] },
    false,
  ],
  ['its supplier', { suppliers: ['Example Agency'] }, true],
  ['a part of its supplier', { suppliers: ['Example'] }, false],
  ['a dataset, where it tells none', { datasets: ['null', ''] }, false],
  ['its supply kind', { supplyKinds: ['licensed'] }, true],
  ['replayed as often', { attempts: 2 }, true],
  ['replayed oftener', { attempts: 3 }, false],
  ['its item id', { itemIds: ['item-0', 'item-1'] }, true],
  ['other item ids', { itemIds: ['item-0'] }, false],
  ['two kinds that hold', { suppliers: ['Example Agency'], since: 1 }, true],
  ['two kinds, one of which does not hold', { suppliers: ['Example Agency'], lists: ['other'] }, false],
]

for (const [what, filter, isMeant] of table) {
  test(`${what}: ${isMeant ? 'meant' : 'not meant'}`, () => {
    assert.equal(createHeldFilter(filter)(verdict), isMeant)
    assert.deepEqual(heldFilterSchema.parse(JSON.parse(JSON.stringify(filter))), filter, 'the same from a file')
  })
}

test('how often an item was replayed is believed of whoever knows, not of the verdict', () => {
  assert.equal(createHeldFilter({ attempts: 1 }, () => 0)(verdict), false)
  assert.equal(createHeldFilter({ attempts: 3 }, () => 3)(verdict), true)
})

test('a filter in a file is refused where it has a kind that is not known, or one without alternatives', () => {
  for (const wrong of [{ colours: ['red'] }, { reasons: [] }, { partitions: [{ partition: -1 }] }, { since: '2h' }]) {
    assert.equal(heldFilterSchema.safeParse(wrong).success, false, JSON.stringify(wrong))
  }
})

const few = fc.constantFrom('a', 'b', 'c')
const some = fc.uniqueArray(few, { minLength: 1 })
const small = fc.nat(4)
const entryOf = fc.record({ list: few, entry: few })
const versionOf = fc.record({ list: few, version: few })
const listed = <Value>(one: fc.Arbitrary<Value>) => fc.array(one, { minLength: 1, maxLength: 3 })
const range = fc.record({ partition: small, first: small, last: small }, { requiredKeys: ['partition'] })

const anyFilter: fc.Arbitrary<HeldFilter> = fc.record(
  {
    outcomes: some,
    partitions: listed(range),
    since: small,
    until: small,
    reasons: some,
    lists: some,
    entries: listed(entryOf),
    policyHashes: some,
    listVersions: listed(versionOf),
    suppliers: some,
    datasets: some,
    supplyKinds: some,
    attempts: small,
    itemIds: some,
  },
  { requiredKeys: [] },
)
const anyVerdict: fc.Arbitrary<FilteredVerdict> = fc.record({
  input: fc.record({ cluster: few, topic: few, partition: small, offset: small }),
  itemId: fc.option(few),
  judgedAt: small,
  outcome: few,
  reasons: fc.uniqueArray(few),
  matches: fc.array(
    fc.tuple(few, few, fc.boolean()).map((parts) => match(...parts)),
    { maxLength: 3 },
  ),
  policyHash: few,
  listVersions: fc.array(versionOf, { maxLength: 2 }),
  supplyKind: fc.option(few),
  supplier: fc.option(few),
  dataset: fc.option(few),
  attempt: small,
})

test('a filter means what each of its kinds alone means, and a kind what each of its alternatives means', () => {
  fc.assert(
    fc.property(anyFilter, anyVerdict, (filter, found) => {
      const single = Object.entries(filter).map(([name, value]) => {
        const alternatives = Array.isArray(value) ? value.map((one) => [one]) : [value]
        return alternatives.some((one) => createHeldFilter(heldFilterSchema.parse({ [name]: one }))(found))
      })
      assert.equal(createHeldFilter(filter)(found), single.every(Boolean))
    }),
    { numRuns: 2000 },
  )
})

test('what holds an item are its enforced matches', () => {
  assert.deepEqual(
    holding(verdict).map(({ entry }) => entry),
    ['a/b'],
  )
})

const NOW = Date.UTC(2026, 2, 1)
const times: Array<[text: string, at: number | null]> = [
  ['2h', NOW - 7_200_000],
  ['90m', NOW - 5_400_000],
  ['3d', NOW - 259_200_000],
  ['1w', NOW - 604_800_000],
  ['2026-02-01', Date.UTC(2026, 1, 1)],
  ['2026-02-01T10:00Z', Date.UTC(2026, 1, 1, 10)],
  ['2026-02-01T10:00:00.5+02:00', Date.UTC(2026, 1, 1, 8, 0, 0, 500)],
  // Of which zone it is, nobody knows.
  ['2026-02-01T10:00', null],
  ['2026-02-31', null],
  ['2026-13-01', null],
  ['yesterday', null],
  ['2', null],
  ['-2h', null],
  ['', null],
]
for (const [text, at] of times) {
  test(`the time "${text}" is ${at === null ? 'none' : 'read'}`, () => assert.equal(parseTime(text, NOW), at))
}
