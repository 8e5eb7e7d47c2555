import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { entryKey, listDigest, manifestKey, sortedOpinions } from '../../services/domain/hash-list.ts'
import { HashListCollector } from '../../services/domain/hash-list-state.ts'
import { PackedEntries, PackedList, packEntries } from '../../services/domain/packed-entries.ts'
import type { HashListEntry, KnownHash, Opinion } from '../../services/domain/records.ts'
import { opinions, standingOf, standings } from '../../services/domain/standing.ts'

/** Few and alike, so that they meet; in UTF-16 and UTF-8 in different orders; long ones whose beginnings are the same. */
const someId = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'ab',
    'a\0',
    'a\0\0',
    'abcd',
    'abcde',
    'é',
    '\uffff',
    '\ue000',
    '\u{10000}',
    '\u{1f600}x',
    '"',
    ',',
  ),
  fc
    .string({ unit: 'binary', minLength: 1, maxLength: 9 })
    .filter((text) => !text.includes('/') && text.isWellFormed()),
  fc.nat(20).map((n) => `${'long-'.repeat(40)}${n}`),
  fc.nat(300).map((n) => `e${n}`),
)
const someText = fc.oneof(
  fc.constantFrom('A1', 'A "1"', 'a\nb', 'é', ''),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
)
const plain = { noNullPrototype: true }
const someHash: fc.Arbitrary<KnownHash> = fc.record(
  {
    signal: fc.oneof(fc.constantFrom('md5', 'pdq', 'sha1', 'sha256', 'a,b', 'a"', 'é', 'x', 'x:ab !'), someText),
    value: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  },
  plain,
)
const someOpinion = fc.record(
  { member: someText, opinion: fc.oneof(fc.constantFrom<string>(...opinions), someText) },
  plain,
)
const someEntry: fc.Arbitrary<HashListEntry> = fc.record(
  {
    list: fc.constant('known'),
    id: someId,
    signals: fc.array(someHash, { maxLength: 4 }),
    classification: fc.option(someText),
    opinions: fc.oneof(
      { weight: 2, arbitrary: fc.constant<Opinion[]>([]) },
      fc.array(someOpinion, { maxLength: 4 }).map((told) => [...sortedOpinions(told)]),
    ),
    withdrawn: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
  },
  plain,
)

/** By UTF-16 code unit, as JavaScript compares. */
function sorted(entries: Iterable<HashListEntry>): HashListEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : 1))
}

type Step =
  | { do: 'put'; entry: HashListEntry }
  | { do: 'remove'; id: string }
  | { do: 'close'; as: 'right' | 'wrong' | 'unreadable' }
  | { do: 'withdraw' }
  | { do: 'malformed'; id: string }
  | { do: 'mislabelled'; id: string; entry: HashListEntry }

const someStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('put' as const), entry: someEntry }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), id: someId }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('close' as const),
      as: fc.constantFrom('right', 'right', 'wrong', 'unreadable'),
    }),
  },
  fc.record({ do: fc.constant('withdraw' as const) }),
  fc.record({ do: fc.constant('malformed' as const), id: someId }),
  fc.record({ do: fc.constant('mislabelled' as const), id: someId, entry: someEntry }),
)

test('whatever records come, the collector holds what a plain model of them holds, and a version in force never changes', () => {
  fc.assert(
    fc.property(fc.array(someStep, { maxLength: 120 }), (steps) => {
      const collector = new HashListCollector()
      const model = new Map<string, HashListEntry>()
      let inForce: { version: string; entries: HashListEntry[] } | null = null
      let malformed = 0
      const handedOut: Array<{ entries: PackedEntries; expected: HashListEntry[] }> = []
      let number = 0
      const version = (): string => `v${String(number).padStart(4, '0')}`
      for (const step of steps) {
        if (step.do === 'put') {
          model.set(step.entry.id, step.entry)
          collector.apply(entryKey('known', step.entry.id), { entry: step.entry, manifest: null })
        } else if (step.do === 'remove') {
          model.delete(step.id)
          collector.apply(entryKey('known', step.id), null)
        } else if (step.do === 'malformed') {
          model.delete(step.id)
          malformed += 1
          collector.apply(entryKey('known', step.id), undefined)
        } else if (step.do === 'mislabelled') {
          if (step.entry.id === step.id) continue
          model.delete(step.id)
          malformed += 1
          collector.apply(entryKey('known', step.id), { entry: step.entry, manifest: null })
        } else if (step.do === 'withdraw') {
          if (inForce?.version === version()) inForce = null
          collector.apply(manifestKey('known', version()), null)
        } else {
          number += 1
          const digest = step.as === 'wrong' ? '0'.repeat(64) : listDigest(model.values())
          const manifest = {
            list: 'known',
            version: version(),
            entries: model.size,
            digest,
            checkedAt: number,
            shadowed: [],
            signals: [],
            cause: null,
          }
          const record = step.as === 'unreadable' ? undefined : { entry: null, manifest }
          collector.apply(manifestKey('known', version()), record)
          if (step.as === 'right') inForce = { version: version(), entries: sorted(model.values()) }
          if (step.as === 'unreadable') malformed += 1
          const handed = collector.states()[0]?.inForce
          if (handed) handedOut.push({ entries: handed.entries, expected: [...handed.entries] })
        }
        const state = collector.states()[0]
        assert.equal(state?.inForce?.version, inForce?.version)
      }
      assert.equal(collector.malformed, malformed)
      assert.deepEqual(sorted(collector.states()[0]?.inForce?.entries ?? []), inForce?.entries ?? [])
      const collected = collector.collected('known')
      assert.equal(collected.size, model.size)
      assert.deepEqual([...collected.snapshot().byId()], sorted(model.values()))
      for (const { entries, expected } of handedOut) assert.deepEqual([...entries], expected)
    }),
    { numRuns: 400 },
  )
})

test('packed entries can be put in the order of their ids, and have the digest that is defined for them', () => {
  fc.assert(
    fc.property(fc.uniqueArray(someEntry, { selector: ({ id }) => id, maxLength: 150 }), (entries) => {
      const packed = packEntries('known', entries)
      assert.deepEqual([...packed.byId()], sorted(entries))
      assert.equal(packed.digest(), listDigest(entries))
      assert.equal(packed.length, entries.length)
      assert.equal(packed.at(entries.length), undefined)
      const hashes: unknown[] = []
      packed.eachHash((index, signal, chunk, from, to) =>
        hashes.push([index, signal, Buffer.from(chunk.subarray(from, to))]),
      )
      const expected = [...packed].flatMap(({ signals }, index) =>
        signals.map(({ signal, value }) => [index, signal, value]),
      )
      assert.deepEqual(hashes, expected)
      const counted = Object.fromEntries(standings.map((standing) => [standing, 0]))
      for (const entry of entries) counted[standingOf(entry)] = (counted[standingOf(entry)] ?? 0) + 1
      assert.deepEqual(packed.standings(), counted)
    }),
    { numRuns: 300 },
  )
})

test('long lists are put in order as short ones are', () => {
  const ids = Array.from(
    { length: 120_000 },
    (_, n) => `${n % 2 === 0 ? 'e' : 'list/of/many/'.replaceAll('/', ':')}${(n * 7919) % 120_000}`,
  )
  const entries = ids.map(
    (id): HashListEntry => ({ list: 'known', id, signals: [], classification: null, opinions: [], withdrawn: false }),
  )
  const packed = packEntries('known', entries)
  assert.deepEqual(
    [...packed.byId()].map(({ id }) => id),
    ids.sort(),
  )
})

test('a list whose entries are replaced and removed again and again holds what it should, in little more space than that', () => {
  const list = new PackedList('known')
  const value = Buffer.alloc(32)
  for (let round = 0; round < 30; round++) {
    for (let n = 0; n < 20_000; n++) {
      value.writeUInt32BE(round * n)
      list.put({
        list: 'known',
        id: `e${n}`,
        signals: [{ signal: 'pdq', value }],
        classification: null,
        opinions: [],
        withdrawn: false,
      })
    }
    for (let n = 0; n < 10_000; n++) list.delete(`e${n}`)
  }
  const entries = list.snapshot()
  assert.deepEqual([list.size, entries.length], [10_000, 10_000])
  assert.equal(list.get('e15000')?.signals[0]?.value.readUInt32BE(), 29 * 15_000)
  assert.deepEqual([list.has('e3'), list.get('e3')], [false, undefined])
  assert.ok(entries.places.chunks.reduce((sum, { length }) => sum + length, 0) < 6_000_000)
})

test('entries of any size are kept, and are the same in another thread', () => {
  const entry = (id: string, length: number): HashListEntry => {
    return {
      list: 'known',
      id,
      signals: [{ signal: 'pdq', value: Buffer.alloc(length, 7) }],
      classification: 'é'.repeat(200),
      opinions: [],
      withdrawn: false,
    }
  }
  const entries = [entry('a', 0), entry('b', 5_000_000), entry('x'.repeat(70_000), 1), entry('y'.repeat(300_000), 3)]
  const packed = packEntries('known', entries)
  assert.equal(packed.digest(), listDigest(entries))
  assert.deepEqual([...new PackedEntries(structuredClone(packed.places))], entries)
})
