import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { AS_FETCHED } from '../../../services/domain/fetched-digests.ts'
import { entryFromRow } from '../../../services/domain/hash-list.ts'
import type { Policy } from '../../../services/domain/judge/policy.ts'
import { buildMatchIndex } from '../../../services/domain/match/match-index.ts'
import { PackedList } from '../../../services/domain/packed-entries.ts'
import { type ItemFault, itemFaults } from '../../../services/domain/reasons.ts'
import type { VerdictRecord } from '../../../services/domain/records.ts'
import { createDryRun, type Forecast } from '../../../services/domain/replay/dry-run.ts'
import { askNothing } from '../../integration/harness.ts'
import { nearMatch } from '../../replay/held.ts'

const POLICY = '1'.repeat(64)
const OTHER = '2'.repeat(64)
const ENGINE = '3'
const bytes = hash('sha256', 'an item', 'buffer')
const fingerprint: VerdictRecord['fingerprint'] = [
  { signal: 'sha256', version: 1, value: bytes, quality: null, frame: 0, transform: 'identity' },
]

const policy: Policy = {
  version: 1,
  limits: { payloadBytes: 1_000_000, pixels: 1_000_000, frames: 50, scanSeconds: 30 },
  pdq: { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } },
  lists: { 'stand-in': { mode: 'enforce', maxAgeHours: 168, leastMatchable: 0 } },
  standings: { disputed: 'review', seed: 'review', negative: 'shadow', withdrawn: 'shadow' },
  flood: { entryItems: 100, versionItems: 500, minutes: 60 },
  shrink: { share: 1 },
  provenance: askNothing,
  rights: { robots: 'off', tdmOptOut: 'off' },
}

type Lists = Readonly<Record<string, { opinions?: string }>>

/** An index over lists that each have the item, with these opinions of it. */
function indexOf(lists: Lists) {
  return buildMatchIndex(
    Object.entries(lists).map(([list, { opinions = '' }]) => {
      const packed = new PackedList(list)
      const { entry } = entryFromRow(
        { id: 'e', sha256: bytes.toString('hex'), opinions },
        { list, file: list, line: 1 },
      )
      if (entry !== null) packed.put(entry)
      return { list, version: 'v2', digest: '', checkedAt: 0, shadowed: [], entries: packed.snapshot() }
    }),
  )
}

function verdictOf(more: Partial<VerdictRecord>): VerdictRecord {
  return {
    input: { cluster: 'c', topic: 'crawl.items', partition: 0, offset: 1 },
    inputTimestamp: 1,
    itemId: 'a',
    judgedAt: 1,
    outcome: 'quarantine',
    reasons: [],
    matches: [],
    missing: [],
    policyHash: POLICY,
    listVersions: [],
    engineVersion: ENGINE,
    mediaType: 'image/png',
    size: 1,
    sha256: bytes.toString('hex'),
    supplyKind: null,
    supplier: null,
    dataset: null,
    attempt: 0,
    fingerprint,
    heldReference: 'ab'.repeat(32),
    replay: null,
    ...more,
  }
}

function forecastOf(verdict: Partial<VerdictRecord>, lists: Lists = {}, today: Policy = policy): Forecast {
  const dryRun = createDryRun({ index: indexOf(lists), policy: today, policyHash: POLICY, engineVersion: ENGINE })
  return dryRun(verdictOf(verdict))
}

const clean: Forecast = { outcome: 'clean', heldAgain: false }
const review: Forecast = { outcome: 'review', heldAgain: true }
const again: Forecast = { outcome: 'quarantine', heldAgain: true }
const open: Forecast = { outcome: null, heldAgain: false }

/** What is foretold of a fault: by the same gate, by another engine, under another policy. */
const byFault: Readonly<Record<ItemFault, readonly [Forecast, Forecast, Forecast]>> = {
  VALUE_MISSING: [again, again, again],
  MESSAGE_UNDECODABLE: [open, open, open],
  SCHEMA_FOREIGN: [open, open, open],
  KEY_MISSING: [again, again, again],
  KEY_MISMATCH: [again, again, again],
  SUBJECT_MISMATCH: [again, again, again],
  ITEM_ID_INVALID: [again, again, again],
  ENVELOPE_TOO_LONG: [again, open, again],
  PAYLOAD_MISSING: [open, open, open],
  PAYLOAD_AMBIGUOUS: [again, again, again],
  PAYLOAD_EMPTY: [open, open, open],
  PAYLOAD_TOO_LARGE: [again, again, open],
  REFERENCE_INVALID: [again, again, again],
  DIGEST_MISMATCH: [open, open, open],
  SIZE_MISMATCH: [open, open, open],
  MEDIA_UNSUPPORTED: [again, open, again],
  MEDIA_UNDECODABLE: [again, open, again],
  MEDIA_INCOMPLETE: [again, open, again],
  DIMENSIONS_OVER_LIMIT: [again, again, open],
  FRAMES_OVER_LIMIT: [again, again, open],
  SCANNER_CRASHED: [open, open, open],
  SCANNER_TIMEOUT: [open, open, open],
}
for (const fault of Object.keys(itemFaults) as ItemFault[]) {
  const [same, otherEngine, otherPolicy] = byFault[fault]
  const told = same.heldAgain ? 'held again for certain' : 'open'
  test(`what was held for ${fault} is ${told}, by another engine and another policy as far as it depends on them`, () => {
    const reasons = [fault]
    assert.deepEqual(forecastOf({ reasons }), same)
    assert.deepEqual(forecastOf({ reasons, engineVersion: '2' }), otherEngine)
    assert.deepEqual(forecastOf({ reasons, policyHash: OTHER }), otherPolicy)
    assert.deepEqual(forecastOf({ reasons }, { 'stand-in': {} }), again, 'a list has it now')
    assert.deepEqual(forecastOf({ reasons: [fault, 'KEY_MISMATCH'] }), again, 'of several faults one stays')
  })
}

const known = { reasons: ['KNOWN_EXACT'], matches: [nearMatch('stand-in', 'e')] }
const shadowed: Policy = { ...policy, lists: { 'stand-in': { mode: 'shadow', maxAgeHours: 1, leastMatchable: 0 } } }
const cases: ReadonlyArray<readonly [string, Forecast, Forecast]> = [
  ['an entry that is no longer there', forecastOf(known), clean],
  ['an entry that is still there', forecastOf(known, { 'stand-in': {} }), again],
  ['an entry that another list has now', forecastOf(known, { other: {} }), again],
  ['an entry of a list that is in shadow now', forecastOf(known, { 'stand-in': {} }, shadowed), clean],
  ['an entry that is disputed now', forecastOf(known, { 'stand-in': { opinions: 'a:positive; b:negative' } }), review],
  [
    'an entry that policy has in shadow now, and another list has it',
    forecastOf(known, { 'stand-in': {}, other: {} }, shadowed),
    again,
  ],
  [
    'a digest of the bytes as they were fetched, which the verdict does not tell',
    forecastOf({ ...known, matches: [nearMatch('stand-in', 'e', { transform: AS_FETCHED })] }),
    open,
  ],
  ['missing provenance, under the same policy', forecastOf({ reasons: ['PROVENANCE_INCOMPLETE'] }), again],
  [
    'missing provenance, under another policy',
    forecastOf({ reasons: ['PROVENANCE_INCOMPLETE'], policyHash: OTHER }),
    open,
  ],
  ['reserved rights, under the same policy', forecastOf({ reasons: ['RIGHTS_RESERVED'] }), again],
  ['reserved rights, under another policy', forecastOf({ reasons: ['RIGHTS_RESERVED'], policyHash: OTHER }), open],
  [
    'missing provenance under another policy, and a list sends it to review now',
    forecastOf(
      { reasons: ['PROVENANCE_INCOMPLETE'], policyHash: OTHER },
      { 'stand-in': { opinions: 'a:positive; b:negative' } },
    ),
    { outcome: null, heldAgain: true },
  ],
  ['something that only a newer gate knows', forecastOf({ reasons: ['SOMETHING_NEW'] }), open],
  ['a fault, and nothing of it could be hashed', forecastOf({ reasons: ['SCANNER_CRASHED'], fingerprint: [] }), open],
]
for (const [what, found, expected] of cases) {
  const told = expected.outcome ?? 'nothing'
  test(`of what was held for ${what} is foretold: ${told}`, () => {
    assert.deepEqual(found, expected)
  })
}
