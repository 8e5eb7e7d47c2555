import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createFloodWindow, type WatchedVersion } from '../../services/domain/flood-window.ts'
import type { Match } from '../../services/domain/records.ts'
import { exactMatch } from './exact-match.ts'

const MINUTE = 60_000
const bounds = { entryItems: 3, versionItems: 5, minutes: 10 }
const V1 = '2026-01-01T00:00:00.000Z-aaaaaaaaaaaa'
const V1_AGAIN = '2026-01-01T01:00:00.000Z-aaaaaaaaaaaa'
const V2 = '2026-01-02T00:00:00.000Z-bbbbbbbbbbbb'

function match(entry: string, more: Partial<Match> = {}): Match {
  return exactMatch('known', entry, { listVersion: V1, signal: 'md5', ...more })
}

function version(name = V1, shadowed: string[] = []): WatchedVersion {
  return { list: 'known', version: name, shadowed }
}

/** Four items of entry e, one of f. */
function flooded() {
  const window = createFloodWindow(bounds)
  for (const [at, entry] of ['e', 'e', 'f', 'e', 'e'].entries()) window.add(at, [match(entry), match(entry)])
  return window
}

test('what holds more than its bound is told: an entry before its version, each item once', () => {
  assert.deepEqual(flooded().flood([version()], 0), { list: 'known', version: V1, entry: 'e', items: 4, most: 3 })
  const window = createFloodWindow(bounds)
  for (let n = 0; n < 5; n++) window.add(0, [match(`e${n}`)])
  assert.equal(window.flood([version()], 0), null)
  window.add(0, [match('e5'), match('e6')])
  assert.deepEqual(window.flood([version()], 0), { list: 'known', version: V1, entry: null, items: 6, most: 5 })
})

test('of entries that hold as many the same one is told by all gates, in whatever order they came', () => {
  const told = ['ab', 'ba'].map((order) => {
    const window = createFloodWindow(bounds)
    for (let n = 0; n < 4; n++)
      window.add(
        0,
        [...order].map((entry) => match(entry)),
      )
    return window.flood([version()], 0)?.entry
  })
  assert.deepEqual(told, ['a', 'a'])
})

test('it ends with time, by shadow, by another version; not by the same one under a new name', () => {
  const cases: Array<[what: string, inForce: WatchedVersion[], now: number, isFlood: boolean]> = [
    ['as it was', [version()], 0, true],
    ['checked again', [version(V1_AGAIN)], 0, true],
    ['most of it too long ago', [version()], 10 * MINUTE + 3, false],
    ['the entry in shadow', [version(V1, ['e'])], 0, false],
    ['another entry in shadow', [version(V1, ['f'])], 0, true],
    ['the list in shadow', [version(V1, ['*'])], 0, false],
    ['rolled back', [version(V2)], 0, false],
    ['no list', [], 0, false],
  ]
  for (const [what, inForce, now, isFlood] of cases) {
    assert.equal(flooded().flood(inForce, now) !== null, isFlood, what)
    const asked = flooded()
    asked.flood([version()], 0)
    assert.equal(asked.flood(inForce, now) !== null, isFlood, `${what}, after it was asked before`)
  }
})

test('what is told bears the name of the version in force, also where that was only checked again', () => {
  const window = flooded()
  assert.equal(window.flood([version(V1)], 0)?.version, V1)
  assert.equal(window.flood([version(V1_AGAIN)], 0)?.version, V1_AGAIN)
})

test('matches without effect do not count', () => {
  const window = createFloodWindow(bounds)
  for (let n = 0; n < 20; n++) window.add(n, [match('e', { enforced: false })])
  assert.equal(window.flood([version()], 0), null)
})

test('whatever comes, goes and changes: it tells what counting all anew would', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('item' as const),
      entries: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
      of: fc.constantFrom(V1, V2),
    }),
    fc.record({ kind: fc.constant('time' as const), minutes: fc.integer({ min: 0, max: 6 }) }),
    fc.record({
      kind: fc.constant('lists' as const),
      version: fc.constantFrom(V1, V1_AGAIN, V2),
      shadowed: fc.subarray(['*', 'a', 'b']),
    }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const window = createFloodWindow(bounds)
      const items: Array<{ at: number; entries: string[]; of: string }> = []
      let [now, inForce] = [0, version()]
      for (const one of steps) {
        if (one.kind === 'time') now += one.minutes * MINUTE
        else if (one.kind === 'lists') inForce = version(one.version, one.shadowed)
        else {
          items.push({ at: now, ...one })
          window.add(
            now,
            one.entries.map((entry) => match(entry, { listVersion: one.of })),
          )
        }
        const fresh = createFloodWindow(bounds)
        for (const { at, entries, of } of items)
          fresh.add(
            at,
            entries.map((entry) => match(entry, { listVersion: of })),
          )
        assert.deepEqual(window.flood([inForce], now), fresh.flood([inForce], now))
        const counted = items.filter(({ at, of, entries }) => {
          const isNow = at > now - bounds.minutes * MINUTE && of.slice(-12) === inForce.version.slice(-12)
          return isNow && !inForce.shadowed.includes('*') && entries.some((entry) => !inForce.shadowed.includes(entry))
        })
        if (counted.length > bounds.versionItems) assert.notEqual(window.flood([inForce], now), null)
        if (counted.length <= bounds.entryItems) assert.equal(window.flood([inForce], now), null)
      }
    }),
  )
})
