import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import fc from 'fast-check'
import {
  checkListHeader,
  entryFromJson,
  entryFromRow,
  entryKey,
  hashColumns,
  listDigest,
  manifestKey,
  parseHashListKey,
  versionName,
} from '../../services/domain/hash-list.ts'
import type { HashListEntry } from '../../services/domain/records.ts'
import { opinions as opinionWords } from '../../services/domain/standing.ts'

const place = { list: 'known', file: 'known.csv', line: 7 }
const md5 = 'ab'.repeat(16)
const pdq = '5c'.repeat(32)

test('keys of entries and manifests are told apart, whatever they are called', () => {
  assert.deepEqual(parseHashListKey(entryKey('known', 'version')), { list: 'known', kind: 'entry', name: 'version' })
  assert.deepEqual(parseHashListKey(manifestKey('known', 'entry')), { list: 'known', kind: 'version', name: 'entry' })
  for (const key of [
    '',
    'known',
    'known/e1',
    'known/other/e1',
    'known/entry/',
    '/entry/e1',
    'known/entry/a/b',
    'KNOWN/entry/e',
  ]) {
    assert.equal(parseHashListKey(key), null, key)
  }
})

test('a row becomes an entry', () => {
  const { entry, lowQuality } = entryFromRow(
    { id: 'e1', md5: md5.toUpperCase(), pdq, quality: '50', classification: 'A1' },
    place,
  )
  assert.equal(lowQuality, false)
  assert.deepEqual(entry, {
    list: 'known',
    id: 'e1',
    signals: [
      { signal: 'md5', value: Buffer.from(md5, 'hex') },
      { signal: 'pdq', value: Buffer.from(pdq, 'hex') },
    ],
    classification: 'A1',
    opinions: [],
    withdrawn: false,
  })
})

test('a row without an id gets one from its hashes alone', () => {
  const one = entryFromRow({ md5, pdq, classification: 'A1' }, place).entry
  const two = entryFromRow({ pdq: pdq.toUpperCase(), md5, id: '' }, { ...place, line: 8 }).entry
  const other = entryFromRow({ md5 }, place).entry
  assert.match(one?.id ?? '', /^[0-9a-f]{32}$/)
  assert.equal(one?.id, two?.id)
  assert.notEqual(one?.id, other?.id)
})

test('a PDQ hash of poor quality is left out, its row kept when another hash is left', () => {
  const kept = entryFromRow({ md5, pdq, quality: '49' }, place)
  assert.deepEqual([kept.lowQuality, kept.entry?.signals.map(({ signal }) => signal)], [true, ['md5']])
  assert.deepEqual(entryFromRow({ pdq, quality: '0' }, place), { entry: null, lowQuality: true })
})

test('a row tells what members think of its entry, whether it is withdrawn, and hashes that can not be matched', () => {
  const row = {
    md5,
    'signal:photodna': 'ABcd',
    opinions: 'member: one:positive; 42:negative;Überwacher:seed',
    withdrawn: 'true',
  }
  const { entry } = entryFromRow(row, place)
  assert.deepEqual(
    [entry?.signals, entry?.opinions, entry?.withdrawn],
    [
      [
        { signal: 'md5', value: Buffer.from(md5, 'hex') },
        { signal: 'photodna', value: Buffer.from('abcd', 'hex') },
      ],
      [
        { member: 'member: one', opinion: 'positive' },
        { member: '42', opinion: 'negative' },
        { member: 'Überwacher', opinion: 'seed' },
      ],
      true,
    ],
  )
  const { opinions, ...rest } = {
    ...row,
    opinions: entry?.opinions,
    withdrawn: true,
    quality: 100,
    classification: null,
  }
  assert.deepEqual(entryFromJson(JSON.stringify({ ...rest, opinions }), place).entry, entry)
})

const someEntry: fc.Arbitrary<HashListEntry> = fc.record(
  {
    list: fc.constant('known'),
    id: fc.stringMatching(/^[A-Za-z0-9._:-]{1,20}$/),
    signals: fc
      .dictionary(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,9}$/), fc.uint8Array({ maxLength: 40 }), { minKeys: 1 })
      .map((hashes) =>
        Object.entries(hashes)
          .filter(([signal]) => !['md5', 'sha1', 'sha256', 'pdq'].includes(signal))
          .concat([['sha1', new Uint8Array(20).fill(9)]])
          .map(([signal, value]) => ({ signal, value: Buffer.from(value) })),
      ),
    classification: fc.option(fc.string({ unit: 'grapheme', minLength: 1 })),
    opinions: fc.array(
      fc.record(
        { member: fc.stringMatching(/^[^\p{C};]{1,10}$/u), opinion: fc.constantFrom<string>(...opinionWords) },
        { noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
    withdrawn: fc.boolean(),
  },
  { noNullPrototype: true },
)

function lineOf({ id, signals, classification, opinions, withdrawn }: HashListEntry): string {
  const hashes = signals.map(({ signal, value }) => [
    Object.hasOwn(hashColumns, signal) ? signal : `signal:${signal}`,
    value.toString('hex'),
  ])
  return JSON.stringify({
    id,
    ...Object.fromEntries(hashes),
    ...(classification === null ? {} : { classification }),
    ...(opinions.length === 0 ? {} : { opinions }),
    ...(withdrawn ? { withdrawn } : {}),
  })
}

test('an entry written as a line of JSON is read as the same entry', () => {
  fc.assert(
    fc.property(someEntry, (entry) => {
      assert.deepEqual(entryFromJson(lineOf(entry), place), { entry, lowQuality: false })
    }),
  )
})

const badLines: Array<[line: string, expected: RegExp]> = [
  ['{"md5":"ab"}', /md5: expected 32 hex digits/],
  ['{"md5":7}', /md5: expected string/],
  [`{"md5":"${md5}","colour":"red"}`, /unknown column "colour"/],
  [`{"md5":"${md5}","signal:md5":"ab"}`, /unknown column "signal:md5"/],
  [`{"md5":"${md5}","signal:photodna":"abc"}`, /signal:photodna: expected pairs of hex digits/],
  [`{"md5":"${md5}","quality":"90"}`, /quality: expected number/],
  [`{"md5":"${md5}","opinions":[{"member":"m","opinion":"sure"}]}`, /opinions: expected a member's name and one of/],
  [`{"md5":"${md5}","opinions":[{"member":"","opinion":"seed"}]}`, /opinions: expected a member's name/],
  [`{"md5":"${md5}","opinions":[{"member":"m"}]}`, /opinions\.0\.opinion: expected string/],
  [`{"md5":"${md5}","withdrawn":"true"}`, /withdrawn: expected boolean/],
  [`{"md5":"${md5}","classification":"\\ud800"}`, /classification: expected Unicode text/],
  ['{"classification":"A1"}', /the row has no hash/],
  [`{"md5":"${md5}"`, /expected object/],
  ['[]', /expected object/],
]
for (const [line, expected] of badLines) {
  test(`a line of JSON is refused with file and line: ${line.replaceAll(md5, '...')}`, () => {
    assert.throws(() => entryFromJson(line, place), {
      code: 'LIST_INVALID',
      message: new RegExp(`^known.csv, line 7: .*${expected.source}`),
    })
  })
}

const badRows: Array<[Record<string, string>, RegExp]> = [
  [{ md5: 'ab' }, /md5: expected 32 hex digits/],
  [{ md5: `${md5.slice(1)}g` }, /md5: expected 32 hex digits/],
  [{ sha256: md5 }, /sha256: expected 64 hex digits/],
  [{ pdq: `${pdq}00` }, /pdq: expected 64 hex digits/],
  [{ md5, quality: '101' }, /quality: expected a whole number/],
  [{ md5, quality: '-1' }, /quality: expected/],
  [{ md5, id: 'a/b' }, /id: expected/],
  [{ md5: '', classification: 'A1' }, /the row has no hash/],
  [{ md5, opinions: 'positive' }, /opinions: expected a member's name and one of/],
  [{ md5, opinions: 'm:perhaps' }, /opinions: expected a member's name and one of positive, negative, seed/],
  [{ md5, opinions: 'm:seed;' }, /opinions: expected/],
  [{ md5, withdrawn: 'yes' }, /withdrawn: expected true, false or nothing/],
  [{ 'signal:photodna': 'xy' }, /signal:photodna: expected pairs of hex digits/],
]
for (const [row, expected] of badRows) {
  test(`a row is refused with file and line: ${expected.source}`, () => {
    assert.throws(() => entryFromRow(row, place), {
      code: 'LIST_INVALID',
      message: new RegExp(`^known.csv, line 7: .*${expected.source}`),
    })
  })
}

test('a header names only known columns, each once, with a hash among them', () => {
  checkListHeader(['classification', 'sha1'], place)
  assert.throws(() => checkListHeader(['md5', 'url'], place), {
    code: 'LIST_INVALID',
    message: /line 7: unknown column "url"/,
  })
  assert.throws(() => checkListHeader(['md5', 'md5'], place), { message: /twice/ })
  checkListHeader(['signal:photodna', 'opinions', 'withdrawn'], place)
  assert.throws(() => checkListHeader(['signal:pdq'], place), { message: /unknown column "signal:pdq"/ })
  assert.throws(() => checkListHeader(['id', 'quality'], place), { message: /at least one of the columns/ })
})

test('the digest of a list is what its documentation says, in whatever order entries come', () => {
  const entries: HashListEntry[] = [
    {
      list: 'known',
      id: 'b',
      signals: [{ signal: 'md5', value: Buffer.from(md5, 'hex') }],
      classification: null,
      opinions: [],
      withdrawn: false,
    },
    {
      list: 'known',
      id: 'a',
      signals: [
        { signal: 'pdq', value: Buffer.from(pdq, 'hex') },
        { signal: 'md5', value: Buffer.from(md5, 'hex') },
      ],
      classification: 'A "1"',
      opinions: [],
      withdrawn: false,
    },
    {
      list: 'known',
      id: 'c',
      signals: [],
      classification: null,
      opinions: [
        { member: 'm2', opinion: 'positive' },
        { member: 'm1', opinion: 'seed' },
        { member: 'm1', opinion: 'negative' },
      ],
      withdrawn: false,
    },
    { list: 'known', id: 'd', signals: [], classification: null, opinions: [], withdrawn: true },
  ]
  const text = [
    `["a",["md5:${md5}","pdq:${pdq}"],"A \\"1\\""]`,
    `["b",["md5:${md5}"],null]`,
    '["c",[],null,[["m1","negative"],["m1","seed"],["m2","positive"]],false]',
    '["d",[],null,[],true]',
    '',
  ].join('\n')
  assert.equal(listDigest(entries), createHash('sha256').update(text).digest('hex'))
  assert.equal(listDigest(entries.toReversed()), listDigest(entries))
})

test('a later version sorts after an earlier one, even when the clock was set back', () => {
  const first = versionName(Date.UTC(2026, 10, 22, 10), 'f'.repeat(64), null)
  assert.equal(first, '2026-11-22T10:00:00.000Z-ffffffffffff')
  for (const time of [0, Date.UTC(2026, 10, 22, 10), Date.UTC(2026, 10, 23)]) {
    assert.ok(versionName(time, '0'.repeat(64), first) > first)
  }
})
