import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import {
  checkListHeader,
  entryFromRow,
  entryKey,
  listDigest,
  manifestKey,
  parseHashListKey,
  versionName,
} from '../../services/domain/hash-list.ts'
import type { HashListEntry } from '../../services/domain/records.ts'

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

const badRows: Array<[Record<string, string>, RegExp]> = [
  [{ md5: 'ab' }, /md5: expected 32 hex digits/],
  [{ md5: `${md5.slice(1)}g` }, /md5: expected 32 hex digits/],
  [{ sha256: md5 }, /sha256: expected 64 hex digits/],
  [{ pdq: `${pdq}00` }, /pdq: expected 64 hex digits/],
  [{ md5, quality: '101' }, /quality: expected a whole number/],
  [{ md5, quality: '-1' }, /quality: expected/],
  [{ md5, id: 'a/b' }, /id: expected/],
  [{ md5: '', classification: 'A1' }, /the row has no hash/],
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
  assert.throws(() => checkListHeader(['id', 'quality'], place), { message: /at least one of the columns/ })
})

test('the digest of a list is what its documentation says, in whatever order entries come', () => {
  const entries: HashListEntry[] = [
    { list: 'known', id: 'b', signals: [{ signal: 'md5', value: Buffer.from(md5, 'hex') }], classification: null },
    {
      list: 'known',
      id: 'a',
      signals: [
        { signal: 'pdq', value: Buffer.from(pdq, 'hex') },
        { signal: 'md5', value: Buffer.from(md5, 'hex') },
      ],
      classification: 'A "1"',
    },
  ]
  const text = `["a",["md5:${md5}","pdq:${pdq}"],"A \\"1\\""]\n["b",["md5:${md5}"],null]\n`
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
