import assert from 'node:assert/strict'
import test from 'node:test'
import type { ListState } from '../../../services/domain/hash-list-state.ts'
import { listsInForce } from '../../../services/domain/judge/lists-in-force.ts'
import type { Policy } from '../../../services/domain/judge/policy.ts'

const HOUR = 3_600_000
const now = Date.UTC(2026, 10, 22, 10)
const policy: Pick<Policy, 'lists'> = {
  lists: {
    known: { mode: 'enforce', maxAgeHours: 24, leastMatchable: 0 },
    trial: { mode: 'shadow', maxAgeHours: 24, leastMatchable: 0 },
  },
}

function state(list: string, checkedAt: number, more: Partial<ListState> = {}): ListState {
  return {
    list,
    inForce: { list, version: 'v1', digest: '', checkedAt, shadowed: [], entries: [] },
    broken: null,
    changing: false,
    ...more,
  }
}
const trial = state('trial', now)

const cases: Array<[what: string, states: ListState[], expected: RegExp | null]> = [
  ['both lists fresh', [state('known', now - HOUR), trial], null],
  ['exactly as old as allowed', [state('known', now - 24 * HOUR), trial], null],
  ['no list at all', [], /^LISTS_INCOMPLETE list known has no complete version yet: import it/],
  ['a missing list in shadow', [state('known', now)], /^LISTS_INCOMPLETE list trial/],
  [
    'a list without a manifest',
    [state('known', now, { inForce: null, changing: true }), trial],
    /^LISTS_INCOMPLETE list known/,
  ],
  [
    'a newer version that does not add up',
    [state('known', now, { broken: { version: 'v2', expected: 10, found: 5 } }), trial],
    /^LISTS_INCOMPLETE list known, version v2, is not complete \(its manifest names 10 entries, 5 were read\)/,
  ],
  ['an import under way', [state('known', now, { changing: true }), trial], null],
  [
    'a stale list',
    [state('known', now - 24 * HOUR - 1), trial],
    /^LISTS_STALE list known, version v1, is stale since 2026-11-22T09:59:59.999Z/,
  ],
  ['a list checked in the far future', [state('known', now + 2 * HOUR), trial], /^LISTS_STALE .*still to come/],
  ['a list checked beyond what a date can be', [state('known', 9e15), trial], /^LISTS_STALE/],
  [
    'trouble with a list that policy does not name',
    [state('known', now), trial, state('other', 0, { broken: { version: 'v9', expected: 1, found: 0 } })],
    null,
  ],
]
test('a list of which less can be matched than policy asks for makes the gate wait, and so does one of which nobody has counted it', () => {
  const asking: Pick<Policy, 'lists'> = { lists: { known: { mode: 'enforce', maxAgeHours: 24, leastMatchable: 0.5 } } }
  const problemOf = (length: number, matchable?: number) => {
    const inForce = { list: 'known', version: 'v1', digest: '', checkedAt: now, shadowed: [], entries: { length } }
    const counted = matchable === undefined ? inForce : { ...inForce, matchable }
    return listsInForce(asking, [state('known', now, { inForce: counted })], now)
  }
  const problem = problemOf(100, 49)
  assert.equal(problem?.code, 'LISTS_INCOMPLETE')
  assert.match(problem?.message ?? '', /known, version v1: 49 of its 100 entries .* asks for 50 %/)
  assert.equal(problemOf(100)?.code, 'LISTS_INCOMPLETE')
  assert.deepEqual([problemOf(100, 50), problemOf(0, 0)], [null, null])
})

for (const [what, states, expected] of cases) {
  test(`${what}: ${expected === null ? 'the gate may judge' : 'the gate waits'}`, () => {
    const problem = listsInForce(policy, states, now)
    if (expected === null) assert.equal(problem, null)
    else assert.match(`${problem?.code} ${problem?.message}`, expected)
  })
}
