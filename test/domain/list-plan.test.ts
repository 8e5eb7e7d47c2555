import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Policy } from '../../services/domain/judge/policy.ts'
import { createListPlan, type ListChange } from '../../services/domain/list-plan.ts'
import { packEntries } from '../../services/domain/packed-entries.ts'
import type { HashListEntry, Signal, VerdictRecord } from '../../services/domain/records.ts'
import { askNothing } from '../integration/harness.ts'
import { exactMatch } from './exact-match.ts'

const policy: Policy = {
  version: 1,
  limits: { payloadBytes: 1, pixels: 1, frames: 1, scanSeconds: 1 },
  pdq: { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } },
  lists: { trial: { mode: 'shadow', maxAgeHours: 1, leastMatchable: 0 } },
  standings: { disputed: 'review', seed: 'review', negative: 'shadow', withdrawn: 'shadow' },
  provenance: askNothing,
  flood: { entryItems: 2, versionItems: 3, minutes: 60 },
  shrink: { share: 0.1 },
  rights: { robots: 'off', tdmOptOut: 'off' },
}

function entry(id: string, fill: number, more: Partial<HashListEntry> = {}): HashListEntry {
  const signals = [{ signal: 'md5', value: Buffer.alloc(16, fill) }]
  return { list: 'known', id, signals, classification: null, opinions: [], withdrawn: false, ...more }
}

function verdict(fill: number, more: Partial<VerdictRecord> = {}): VerdictRecord {
  const md5: Signal = {
    signal: 'md5',
    version: 1,
    value: Buffer.alloc(16, fill),
    quality: null,
    frame: 0,
    transform: 'identity',
  }
  return {
    input: { cluster: 'c', topic: 't', partition: 0, offset: 0 },
    inputTimestamp: 0,
    itemId: null,
    judgedAt: 0,
    outcome: 'clean',
    reasons: [],
    matches: [],
    missing: [],
    policyHash: '',
    listVersions: [],
    engineVersion: '3',
    mediaType: null,
    size: null,
    sha256: null,
    supplyKind: null,
    supplier: null,
    dataset: null,
    attempt: 0,
    fingerprint: [md5],
    heldReference: null,
    replay: null,
    ...more,
  }
}

function heldBy(entryId: string, fill: number, more: Partial<VerdictRecord> = {}): VerdictRecord {
  const match = exactMatch('known', entryId, { signal: 'md5' })
  return verdict(fill, { outcome: 'quarantine', reasons: ['KNOWN_EXACT'], matches: [match], ...more })
}

function planned(verdicts: readonly VerdictRecord[], change: Partial<ListChange> = {}) {
  const news = packEntries('known', [entry('e1', 1), entry('e2', 2)])
  const whole = {
    list: 'known',
    before: 10,
    after: 12,
    lost: 0,
    news,
    gone: new Set<string>(),
    shadowed: [],
    ...change,
  }
  const { add, plan } = createListPlan(whole, policy)
  for (const one of verdicts) add(one)
  return plan()
}

test('what was cleared and would be held is counted by entry; what is held already is not', () => {
  const plan = planned([verdict(1), verdict(1), verdict(2), verdict(9), heldBy('old', 1)])
  assert.deepEqual([plan.verdicts, plan.cleared, plan.held.items, plan.held.entries], [5, 4, 3, { e1: 2, e2: 1 }])
  assert.deepEqual([plan.heldAs, plan.released, plan.floods], [{ exact: 3, near: 0, wide: 0 }, 0, []])
})

test('an entry and a version beyond their bounds are floods', () => {
  const plan = planned([verdict(1), verdict(1), verdict(1), verdict(2)])
  assert.deepEqual(
    plan.floods.map(({ entry: id, items, most }) => [id, items, most]),
    [
      [null, 4, 3],
      ['e1', 3, 2],
    ],
  )
})

test('what policy or a person has in shadow holds nothing', () => {
  const verdicts = [verdict(1), verdict(2)]
  assert.equal(planned(verdicts, { shadowed: ['e1'] }).held.items, 1)
  assert.equal(planned(verdicts, { shadowed: ['*'] }).held.items, 0)
  const trial = packEntries('trial', [entry('e1', 1, { list: 'trial' })])
  assert.equal(planned(verdicts, { list: 'trial', news: trial }).held.items, 0)
  const withdrawn = packEntries('known', [entry('e1', 1, { withdrawn: true })])
  assert.equal(planned(verdicts, { news: withdrawn }).held.items, 0)
})

test('what nothing would hold any more is released: not what has a fault of its own, nor what another entry holds', () => {
  const gone = { gone: new Set(['old']) }
  assert.equal(planned([heldBy('old', 9)], gone).released, 1)
  assert.equal(planned([heldBy('other', 9)], gone).released, 0)
  assert.equal(planned([heldBy('old', 9, { reasons: ['KNOWN_EXACT', 'MEDIA_INCOMPLETE'] })], gone).released, 0)
  assert.equal(planned([heldBy('old', 1)], gone).released, 0, 'a new entry holds it')
  const both = [...heldBy('old', 9).matches, ...heldBy('other', 9).matches]
  assert.equal(planned([heldBy('old', 9, { matches: both })], gone).released, 0)
})

test('a version that lacks more than policy allows is told, with its share, however long it is; one that only grows is not', () => {
  assert.equal(planned([], { before: 100, after: 90, lost: 10 }).shrinks, null)
  assert.equal(planned([], { before: 100, after: 89, lost: 11 }).shrinks, 0.11)
  assert.equal(planned([], { before: 100, after: 100, lost: 11 }).shrinks, 0.11)
  assert.equal(planned([], { before: 100, after: 200, lost: 0 }).shrinks, null)
  assert.equal(planned([], { before: 0, after: 0, lost: 0 }).shrinks, null)
})
