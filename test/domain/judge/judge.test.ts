import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { acquisition, emptyEnvelope, rights, supply, synthetic } from '../../../services/domain/envelope.ts'
import { judge } from '../../../services/domain/judge/judge.ts'
import type { Policy } from '../../../services/domain/judge/policy.ts'
import { type ItemFault, itemFaults, outcomes } from '../../../services/domain/reasons.ts'
import type { Envelope, Match } from '../../../services/domain/records.ts'
import { standings } from '../../../services/domain/standing.ts'

const policy: Pick<Policy, 'lists' | 'standings' | 'provenance' | 'rights'> = {
  standings: { disputed: 'review', seed: 'enforce', negative: 'off', withdrawn: 'shadow' },
  provenance: {
    supplyKind: 'enforce',
    kinds: {
      'web-crawl': { placeFound: 'enforce', fetchedAt: 'shadow', uploader: 'count' },
      licensed: { supplier: 'enforce', contract: 'shadow' },
      purchased: {},
      partner: {},
      synthetic: { generator: 'enforce' },
    },
  },
  rights: { robots: 'enforce', tdmOptOut: 'shadow' },
  lists: {
    known: { mode: 'enforce', maxAgeHours: 24, leastMatchable: 0 },
    trial: { mode: 'shadow', maxAgeHours: 24, leastMatchable: 0 },
  },
}

function match(list: string, matchClass: string, standing = 'positive'): Match {
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
    standing,
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
  { matches: [match('known', 'exact', 'disputed')], outcome: 'review', reasons: ['KNOWN_DOUBTED'] },
  { matches: [match('known', 'wide', 'disputed')], outcome: 'review', reasons: ['KNOWN_DOUBTED'] },
  { matches: [match('known', 'near', 'seed')], outcome: 'quarantine', reasons: ['KNOWN_NEAR'] },
  { matches: [match('known', 'exact', 'negative')], outcome: 'clean', reasons: [] },
  { matches: [match('known', 'exact', 'withdrawn')], outcome: 'clean', reasons: ['KNOWN_SHADOW'] },
  { matches: [match('known', 'exact', 'some-later-standing')], outcome: 'quarantine', reasons: ['KNOWN_EXACT'] },
  { matches: [match('known', 'exact', 'constructor')], outcome: 'quarantine', reasons: ['KNOWN_EXACT'] },
  { matches: [match('trial', 'exact', 'disputed')], outcome: 'clean', reasons: ['KNOWN_SHADOW'] },
  { matches: [match('trial', 'exact', 'negative')], outcome: 'clean', reasons: [] },
  { matches: [{ ...match('known', 'exact'), enforced: false }], outcome: 'clean', reasons: ['KNOWN_SHADOW'] },
  {
    matches: [{ ...match('known', 'exact', 'disputed'), enforced: false }],
    outcome: 'clean',
    reasons: ['KNOWN_SHADOW'],
  },
  {
    matches: [match('known', 'exact', 'withdrawn'), match('known', 'near', 'disputed'), match('known', 'near')],
    outcome: 'quarantine',
    reasons: ['KNOWN_DOUBTED', 'KNOWN_NEAR', 'KNOWN_SHADOW'],
  },
  { matches: [match('known', 'some-later-class')], outcome: 'quarantine', reasons: ['KNOWN_NEAR'] },
  {
    faults: ['MEDIA_INCOMPLETE', 'DIGEST_MISMATCH', 'MEDIA_INCOMPLETE'],
    matches: [match('known', 'wide'), match('known', 'exact'), match('trial', 'near'), match('known', 'exact')],
    outcome: 'quarantine',
    reasons: ['DIGEST_MISMATCH', 'KNOWN_EXACT', 'KNOWN_SHADOW', 'KNOWN_WIDE', 'MEDIA_INCOMPLETE'],
  },
]
for (const { faults = [], matches = [], outcome, reasons } of cases) {
  const what =
    [...faults, ...matches.map((found) => `${found.class} on ${found.list}, ${found.standing}`)].join(', ') || 'nothing'
  test(`${what} makes ${outcome}`, () => {
    const judgement = judge({ faults, matches, envelope: null, policy })
    assert.deepEqual({ outcome: judgement.outcome, reasons: judgement.reasons }, { outcome, reasons })
  })
}

test('matches say whether policy enforced them; one that policy has off is not told', () => {
  const { matches } = judge({
    faults: [],
    matches: [
      match('known', 'near'),
      match('trial', 'near'),
      match('new', 'near'),
      match('known', 'near', 'disputed'),
      match('known', 'near', 'negative'),
      match('known', 'near', 'withdrawn'),
    ],
    envelope: null,
    policy,
  })
  assert.deepEqual(
    matches.map(({ list, standing, enforced }) => [list, standing, enforced]),
    [
      ['known', 'positive', true],
      ['trial', 'positive', false],
      ['new', 'positive', true],
      ['known', 'disputed', true],
      ['known', 'withdrawn', false],
    ],
  )
})

const someFaults = fc.array(fc.constantFrom(...(Object.keys(itemFaults) as ItemFault[])), { maxLength: 4 })
const someMatches = fc.array(
  fc
    .tuple(
      fc.constantFrom('known', 'trial', 'unnamed'),
      fc.constantFrom('exact', 'near', 'wide', 'unheard-of'),
      fc.constantFrom(...standings, 'unheard-of'),
    )
    .map((parts) => match(...parts)),
  { maxLength: 4 },
)

test('adding a fault or a match never makes the outcome milder, nor loses a reason', () => {
  fc.assert(
    fc.property(someFaults, someFaults, someMatches, someMatches, (faults, moreFaults, matches, moreMatches) => {
      const before = judge({ faults, matches, envelope: null, policy })
      const after = judge({
        faults: [...faults, ...moreFaults],
        matches: [...matches, ...moreMatches],
        envelope: null,
        policy,
      })
      assert.ok(outcomes.indexOf(after.outcome) >= outcomes.indexOf(before.outcome))
      for (const reason of before.reasons) assert.ok(after.reasons.includes(reason))
    }),
  )
})

test('a fault is never clean', () => {
  for (const fault of Object.keys(itemFaults) as ItemFault[]) {
    assert.equal(judge({ faults: [fault], matches: [], envelope: null, policy }).outcome, 'quarantine')
  }
})

const web: Envelope = { ...emptyEnvelope(), supply: supply({ kind: 'web-crawl' }) }
const found: Envelope = { ...web, acquisition: acquisition({ finalUrl: 'https://example.org/a.png', fetchedAt: 1 }) }
const provenanceCases: Array<{
  what: string
  envelope: Envelope
  outcome?: string
  reasons?: string[]
  missing?: Array<[fact: string, enforced: boolean]>
}> = [
  {
    what: 'an envelope that tells nothing',
    envelope: emptyEnvelope(),
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE'],
    missing: [['supplyKind', true]],
  },
  {
    what: 'a supply kind that is not known',
    envelope: { ...found, supply: supply({ kind: 'borrowed', supplier: 's', contract: 'c' }) },
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE'],
    missing: [['supplyKind', true]],
  },
  {
    what: 'a supply kind that is a property of every object',
    envelope: { ...found, supply: supply({ kind: 'constructor' }) },
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE'],
    missing: [['supplyKind', true]],
  },
  {
    what: 'a crawl without place and time',
    envelope: web,
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE', 'PROVENANCE_SHADOW'],
    missing: [
      ['fetchedAt', false],
      ['placeFound', true],
      ['uploader', false],
    ],
  },
  { what: 'a crawl with what is required', envelope: found, missing: [['uploader', false]] },
  {
    what: 'a crawl whose place is no URL',
    envelope: { ...web, acquisition: acquisition({ finalUrl: 'n/a', fetchedAt: 1 }) },
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE'],
    missing: [
      ['placeFound', true],
      ['uploader', false],
    ],
  },
  ...['data:image/png;base64,AAAA', 'blob:https://example.org/1', ' java\nscript:void(0)', 'about:blank', 'x:'].map(
    (finalUrl) => ({
      what: `a crawl whose place is ${JSON.stringify(finalUrl)}, which leads nowhere,`,
      envelope: { ...web, acquisition: acquisition({ finalUrl, fetchedAt: 1 }) },
      outcome: 'quarantine',
      reasons: ['PROVENANCE_INCOMPLETE'],
      missing: [
        ['placeFound', true],
        ['uploader', false],
      ] satisfies Array<[string, boolean]>,
    }),
  ),
  {
    what: 'a licence with a blank supplier',
    envelope: { ...emptyEnvelope(), supply: supply({ kind: 'licensed', supplier: '  ', contract: 'c' }) },
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE'],
    missing: [['supplier', true]],
  },
  {
    what: 'a licence with a supplier of characters that nobody sees',
    envelope: {
      ...emptyEnvelope(),
      supply: supply({ kind: 'licensed', supplier: '\u200b\u2060 \u3164\u0000\u2800\u00ad\ufe0f', contract: 'c' }),
    },
    outcome: 'quarantine',
    reasons: ['PROVENANCE_INCOMPLETE'],
    missing: [['supplier', true]],
  },
  {
    what: 'a licence with a supplier in any script',
    envelope: { ...emptyEnvelope(), supply: supply({ kind: 'licensed', supplier: '写', contract: 'c' }) },
  },
  {
    what: 'a rule in shadow',
    envelope: { ...emptyEnvelope(), supply: supply({ kind: 'licensed', supplier: 's' }) },
    reasons: ['PROVENANCE_SHADOW'],
    missing: [['contract', false]],
  },
  {
    what: 'a generated item',
    envelope: {
      ...emptyEnvelope(),
      supply: supply({ kind: 'synthetic' }),
      synthetic: synthetic({ generator: 'generator/1' }),
    },
  },
  {
    what: 'an owner who says noai',
    envelope: { ...emptyEnvelope(), supply: supply({ kind: 'partner' }), rights: rights({ robots: 'otherbot: NoAI' }) },
    outcome: 'quarantine',
    reasons: ['RIGHTS_RESERVED'],
  },
  {
    what: 'an owner who says noai with only space around it',
    envelope: {
      ...emptyEnvelope(),
      supply: supply({ kind: 'partner' }),
      rights: rights({ robots: 'otherbot : nofollow\tNoImageAI max-snippet:-1' }),
    },
    outcome: 'quarantine',
    reasons: ['RIGHTS_RESERVED'],
  },
  {
    what: 'an opt-out in shadow',
    envelope: {
      ...emptyEnvelope(),
      supply: supply({ kind: 'partner' }),
      rights: rights({ robots: 'index, follow', tdmOptOut: 'tdm-reservation: 1' }),
    },
    reasons: ['RIGHTS_SHADOW'],
  },
  {
    what: 'an owner who permits',
    envelope: {
      ...emptyEnvelope(),
      supply: supply({ kind: 'partner' }),
      rights: rights({ tdmOptOut: 'tdm-reservation: 0; content-usage: train-ai=y' }),
    },
  },
]
for (const { what, envelope, outcome = 'clean', reasons = [], missing = [] } of provenanceCases) {
  test(`${what} makes ${outcome}`, () => {
    const judgement = judge({ faults: [], matches: [], envelope, policy })
    assert.deepEqual(
      { outcome: judgement.outcome, reasons: judgement.reasons, missing: judgement.missing },
      { outcome, reasons, missing: missing.map(([fact, enforced]) => ({ fact, enforced })) },
    )
  })
}

test('what a person would have to look at is quarantined before, when its provenance is not complete', () => {
  const { outcome, reasons } = judge({ faults: [], matches: [match('known', 'wide')], envelope: web, policy })
  assert.equal(outcome, 'quarantine')
  assert.deepEqual(reasons, ['KNOWN_WIDE', 'PROVENANCE_INCOMPLETE', 'PROVENANCE_SHADOW'])
})
