import { AS_FETCHED } from '../fetched-digests.ts'
import { judge } from '../judge/judge.ts'
import type { Policy } from '../judge/policy.ts'
import type { MatchIndex } from '../match/match-index.ts'
import { type ItemFault, isItemFault, reasons as knownReasons, type Outcome } from '../reasons.ts'
import type { VerdictRecord } from '../records.ts'

/** What would become of a held item today. */
export type Forecast = {
  /** null where that depends on what a verdict does not tell: a store, a scanner, a schema, another policy's demands */
  outcome: Outcome | null
  /** whether it would be held again for certain, as long as policy, lists and gate stay as they are */
  heldAgain: boolean
}

/** What the forecast stands on. */
export type Today = { index: MatchIndex; policy: Policy; policyHash: string; engineVersion: string }

/**
 * By what a fault lasts. `message`: the same message has it again. `engine`: so it is for the same engine. `policy`: for the same policy.
 * `surroundings`: it may have been mended.
 */
const lasting: Readonly<Record<ItemFault, 'message' | 'engine' | 'policy' | 'surroundings'>> = {
  VALUE_MISSING: 'message',
  MESSAGE_UNDECODABLE: 'surroundings',
  SCHEMA_FOREIGN: 'surroundings',
  KEY_MISSING: 'message',
  KEY_MISMATCH: 'message',
  SUBJECT_MISMATCH: 'message',
  ITEM_ID_INVALID: 'message',
  ENVELOPE_TOO_LONG: 'engine',
  PAYLOAD_MISSING: 'surroundings',
  PAYLOAD_AMBIGUOUS: 'message',
  PAYLOAD_EMPTY: 'surroundings',
  PAYLOAD_TOO_LARGE: 'policy',
  REFERENCE_INVALID: 'message',
  DIGEST_MISMATCH: 'surroundings',
  SIZE_MISMATCH: 'surroundings',
  MEDIA_UNSUPPORTED: 'engine',
  MEDIA_UNDECODABLE: 'engine',
  MEDIA_INCOMPLETE: 'engine',
  DIMENSIONS_OVER_LIMIT: 'policy',
  FRAMES_OVER_LIMIT: 'policy',
  SCANNER_CRASHED: 'surroundings',
  SCANNER_TIMEOUT: 'surroundings',
}

/**
 * What the gate's judge says of held items by what their verdicts tell: fingerprint and reasons. The gate judges anew all the same; this only says
 * whether it is worth its while.
 */
export function createDryRun({
  index,
  policy,
  policyHash,
  engineVersion,
}: Today): (verdict: VerdictRecord) => Forecast {
  return (verdict) => {
    const isSamePolicy = verdict.policyHash === policyHash
    const faults = verdict.reasons.filter(isItemFault)
    const stays = faults.some((fault) => {
      const by = lasting[fault]
      return (
        by === 'message' ||
        (by === 'engine' && verdict.engineVersion === engineVersion) ||
        (by === 'policy' && isSamePolicy)
      )
    })
    const asks = verdict.reasons.some((reason) => reason === 'PROVENANCE_INCOMPLETE' || reason === 'RIGHTS_RESERVED')
    const matches = index.match(verdict.fingerprint, policy.pdq)
    const judged = judge({ faults: [], matches, envelope: null, policy }).outcome
    if (stays || (asks && isSamePolicy) || judged === 'quarantine') return { outcome: 'quarantine', heldAgain: true }
    // What a newer gate has found says nothing here, so nothing is foretold.
    const isKnown = verdict.reasons.every((reason) => Object.hasOwn(knownReasons, reason))
    const isOpen =
      !isKnown ||
      // Of what was cleared no reason tells what another policy asks for.
      (verdict.outcome === 'clean' && !isSamePolicy) ||
      faults.length > 0 ||
      asks ||
      verdict.matches.some(({ transform }) => transform === AS_FETCHED)
    if (isOpen) return { outcome: null, heldAgain: judged === 'review' }
    return { outcome: judged, heldAgain: judged === 'review' }
  }
}
