import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createFloodCount } from '../../services/domain/flood.ts'
import { createVersionPlaces, newsAfter } from '../../services/domain/list-news.ts'
import { areSame, heldBy, isRecalled, matchesOnRecord } from '../../services/domain/recall.ts'
import type { HashListManifest, Match } from '../../services/domain/records.ts'
import { askNothing } from '../integration/harness.ts'

const policy = {
  lists: { trial: { mode: 'shadow' as const, maxAgeHours: 1, leastMatchable: 0 } },
  standings: { disputed: 'review', seed: 'review', negative: 'shadow', withdrawn: 'shadow' } as const,
  provenance: askNothing,
  rights: { robots: 'off' as const, tdmOptOut: 'off' as const },
}

function match(more: Partial<Match> = {}): Match {
  return {
    list: 'stand-in',
    listVersion: 'v2',
    entry: 'e',
    signal: 'pdq',
    distance: 0,
    quality: 100,
    frame: 0,
    transform: 'identity',
    class: 'near',
    enforced: true,
    classification: null,
    standing: 'positive',
    ...more,
  }
}

for (const [state, expected] of [
  ['recalled', true],
  ['withdrawn', false],
  ['something new', true],
  ['', true],
] as const) {
  test(`a recall of state "${state}" is ${expected ? '' : 'not '}in effect`, () => {
    assert.equal(isRecalled({ state }), expected)
  })
}

test('something is held by what the gate would hold it for, and by nothing that is in shadow', () => {
  assert.equal(heldBy([], policy), null)
  assert.equal(heldBy([match({ list: 'trial' })], policy), null)
  for (const name of ['exact', 'near', 'wide', 'unheard-of']) {
    assert.deepEqual(heldBy([match({ class: name }), match({ list: 'trial' })], policy), [match({ class: name })])
  }
})

test('what stands on a record keeps the version by which it was first found, unless something else was found', () => {
  const before = [match({ listVersion: 'v1' })]
  assert.deepEqual(matchesOnRecord(before, [match()]), before)
  assert.ok(areSame(before, [match()]))
  const nearer = [match({ distance: 2 })]
  assert.deepEqual(matchesOnRecord(before, nearer), nearer)
  assert.ok(!areSame(before, nearer) && !areSame(before, []) && !areSame(before, [...before, ...nearer]))
})

function manifestOf(version: string): HashListManifest {
  return { list: 'l', version, entries: 0, digest: '', checkedAt: 0, shadowed: [], signals: [], cause: null }
}

test('an entry is news to whoever knew only a version that was closed before it was written', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('entry', 'version'), { minLength: 1, maxLength: 40 }),
      fc.nat(),
      fc.nat(),
      (records, one, other) => {
        const places = createVersionPlaces()
        const versions: Array<{ version: string; offset: number }> = []
        for (const [offset, kind] of [...records, 'version'].entries()) {
          if (kind === 'entry') continue
          const version = `v${String(offset).padStart(3, '0')}`
          versions.push({ version, offset })
          places.note({ key: `l/version/${version}`, offset, manifest: manifestOf(version) })
        }
        const [known, target] = [versions[one % versions.length], versions[other % versions.length]]
        assert.ok(known && target)
        const after = newsAfter({ list: 'l', ...target }, known.version, places)
        assert.equal(after, Math.min(known.offset, target.offset))
      },
    ),
  )
})

test('to whoever knew a version that nobody knows any more, or none, every entry is news', () => {
  const places = createVersionPlaces()
  places.note({ key: 'l/version/v1', offset: 7, manifest: manifestOf('v1') })
  places.note({ key: 'l/version/v2', offset: 9, manifest: manifestOf('v2') })
  places.note({ key: 'l/entry/v1', offset: 3, manifest: null })
  const target = { list: 'l', version: 'v2', offset: 9 }
  assert.equal(newsAfter(target, 'v1', places), 7)
  assert.equal(newsAfter(target, 'v0', places), -1)
  assert.equal(newsAfter(target, undefined, places), -1)
  assert.equal(newsAfter(target, 'v3', places), 9, 'somebody was ahead')
  places.note({ key: 'l/version/v1', offset: 12, manifest: null })
  assert.equal(newsAfter(target, 'v1', places), -1, 'its manifest was taken back')
})

test('each item counts once for a version and once for each entry, also when counting goes on from before', () => {
  const items = fc.array(
    fc.array(fc.record({ list: fc.constantFrom('a', 'b'), entry: fc.constantFrom('x', 'y', 'z') })),
  )
  fc.assert(
    fc.property(items, fc.nat(20), fc.nat(5), fc.nat(5), (found, cut, entryItems, versionItems) => {
      const all = found.map((item) => item.map((each) => match(each)))
      const first = createFloodCount()
      for (const item of all.slice(0, cut)) first.add(item)
      const count = createFloodCount(first.counts())
      for (const item of all.slice(cut)) count.add(item)
      const bounds = { entryItems, versionItems }
      for (const list of ['a', 'b']) {
        const of = (entry: string | null): number =>
          all.filter((item) => item.some((one) => one.list === list && (entry === null || one.entry === entry))).length
        const told = count.counts().find((one) => one.list === list)
        assert.equal(told?.items ?? 0, of(null))
        for (const entry of ['x', 'y', 'z']) {
          assert.equal(told?.entries[entry] ?? 0, of(entry))
          const isFlood = of(entry) > entryItems || of(null) > versionItems
          assert.equal(count.isFlood({ list, listVersion: 'v2', entry }, bounds), isFlood)
          const flood = count.floods(bounds).find((one) => one.list === list && one.entry === entry)
          assert.equal(flood?.items, of(entry) > entryItems ? of(entry) : undefined)
        }
        const whole = count.floods(bounds).find((one) => one.list === list && one.entry === null)
        assert.equal(whole?.items, of(null) > versionItems ? of(null) : undefined)
      }
    }),
  )
})
