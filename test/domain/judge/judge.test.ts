import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { judge } from '../../../services/domain/judge/judge.ts'
import type { Policy } from '../../../services/domain/judge/policy.ts'
import { type ItemFault, itemFaults, outcomes } from '../../../services/domain/reasons.ts'
import type { Match } from '../../../services/domain/records.ts'

const policy: Pick<Policy, 'lists'> = {
  lists: { known: { mode: 'enforce', maxAgeHours: 24 }, trial: { mode: 'shadow', maxAgeHours: 24 } },
}

function match(list: string, matchClass: string): Match {
  return {
    list,
    listVersion: 'v1',
    entry: 'e',
    signal: 'pdq',
    distance: 3,
    quality: 100,
    frame: 0,
    transform: 'identity',
    class: matchClass,
    enforced: true,
    classification: null,
  }
}

const cases: Array<{ faults?: ItemFault[]; matches?: Match[]; outcome: string; reasons: string[] }> = [
  { outcome: 'clean', reasons: [] },
  { faults: ['MEDIA_UNDECODABLE'], outcome: 'quarantine', reasons: ['MEDIA_UNDECODABLE'] },
  { matches: [match('known', 'exact')], outcome: 'quarantine', reasons: ['KNOWN_EXACT'] },
  { matches: [match('known', 'near')], outcome: 'quarantine', reasons: ['KNOWN_NEAR'] },
  { matches: [match('known', 'wide')], outcome: 'review', reasons: ['KNOWN_WIDE'] },
  { matches: [match('trial', 'exact')], outcome: 'clean', reasons: ['KNOWN_SHADOW'] },
  {
    matches: [match('trial', 'near'), match('known', 'wide')],
    outcome: 'review',
    reasons: ['KNOWN_SHADOW', 'KNOWN_WIDE'],
  },
  { matches: [match('unnamed', 'wide')], outcome: 'review', reasons: ['KNOWN_WIDE'] },
  { matches: [match('constructor', 'near')], outcome: 'quarantine', reasons: ['KNOWN_NEAR'] },
  { matches: [match('known', 'some-later-class')], outcome: 'quarantine', reasons: ['KNOWN_NEAR'] },
  {
    faults: ['MEDIA_INCOMPLETE', 'DIGEST_MISMATCH', 'MEDIA_INCOMPLETE'],
    matches: [match('known', 'wide'), match('known', 'exact'), match('trial', 'near'), match('known', 'exact')],
    outcome: 'quarantine',
    reasons: ['DIGEST_MISMATCH', 'KNOWN_EXACT', 'KNOWN_SHADOW', 'KNOWN_WIDE', 'MEDIA_INCOMPLETE'],
  },
]
for (const { faults = [], matches = [], outcome, reasons } of cases) {
  const what = [...faults, ...matches.map((found) => `${found.class} on ${found.list}`)].join(', ') || 'nothing'
  test(`${what} makes ${outcome}`, () => {
    const judgement = judge({ faults, matches, policy })
    assert.deepEqual({ outcome: judgement.outcome, reasons: judgement.reasons }, { outcome, reasons })
  })
}

test('matches say whether policy enforced them', () => {
  const { matches } = judge({
    faults: [],
    matches: [match('known', 'near'), match('trial', 'near'), match('new', 'near')],
    policy,
  })
  assert.deepEqual(
    matches.map(({ list, enforced }) => [list, enforced]),
    [
      ['known', true],
      ['trial', false],
      ['new', true],
    ],
  )
})

const someFaults = fc.array(fc.constantFrom(...(Object.keys(itemFaults) as ItemFault[])), { maxLength: 4 })
const someMatches = fc.array(
  fc
    .tuple(fc.constantFrom('known', 'trial', 'unnamed'), fc.constantFrom('exact', 'near', 'wide', 'unheard-of'))
    .map(([list, matchClass]) => match(list, matchClass)),
  { maxLength: 4 },
)

test('adding a fault or a match never makes the outcome milder, nor loses a reason', () => {
  fc.assert(
    fc.property(someFaults, someFaults, someMatches, someMatches, (faults, moreFaults, matches, moreMatches) => {
      const before = judge({ faults, matches, policy })
      const after = judge({ faults: [...faults, ...moreFaults], matches: [...matches, ...moreMatches], policy })
      assert.ok(outcomes.indexOf(after.outcome) >= outcomes.indexOf(before.outcome))
      for (const reason of before.reasons) assert.ok(after.reasons.includes(reason))
    }),
  )
})

test('a fault is never clean', () => {
  for (const fault of Object.keys(itemFaults) as ItemFault[]) {
    assert.equal(judge({ faults: [fault], matches: [], policy }).outcome, 'quarantine')
  }
})
