import { bitsApart } from './bits-apart.ts'
import { AS_FETCHED } from './fetched-digests.ts'
import type { Fingerprint } from './fingerprint.ts'
import { judge } from './judge/judge.ts'
import type { Policy } from './judge/policy.ts'
import { strongest } from './match/match-index.ts'
import type { HashListEntry, Match, RecallRecord } from './records.ts'
import { standingOf } from './standing.ts'

/** The states of a recall that are written. */
export type RecallState = 'recalled' | 'withdrawn'

/** As many matches stand on a record at most, the strongest ones: it has to fit into a message. */
export const MOST_MATCHES = 200

/** Whether a recall is in effect. A state that is not known counts as recalled. */
export function isRecalled({ state }: Pick<RecallRecord, 'state'>): boolean {
  return state !== ('withdrawn' satisfies RecallState)
}

/**
 * What the lists have against something that was cleared: what holds it today, by the gate's own judge. Faults and provenance are no part of it.
 * @returns the matches that have an effect; null where it would be cleared again
 */
export function heldBy(
  matches: readonly Match[],
  policy: Pick<Policy, 'lists' | 'standings' | 'provenance' | 'rights'>,
): Match[] | null {
  const judged = judge({ faults: [], matches, envelope: null, policy })
  return judged.outcome === 'clean' ? null : judged.matches.filter(({ enforced }) => enforced)
}

/**
 * A match that was found before, as the entry is now.
 * @param entry of the match
 * @returns null where the entry no longer has a hash that is as far from the same signal; what only an envelope tells can't be looked at, and stays
 */
export function matchAgain(match: Match, fingerprint: Fingerprint, entry: HashListEntry): Match | null {
  const { signal, frame, transform, distance } = match
  const hashes = entry.signals.filter((known) => known.signal === signal)
  const own = fingerprint.filter((one) => one.signal === signal && one.frame === frame && one.transform === transform)
  const isSame = own.some(({ value }) => hashes.some((known) => bitsApart(known.value, value) === distance))
  if (!isSame && transform !== AS_FETCHED) return null
  return { ...match, classification: entry.classification, standing: standingOf(entry) }
}

/** What stands on a record from now on: what was found, under the version by which it was first found. */
export function matchesOnRecord(before: readonly Match[], found: readonly Match[]): Match[] {
  return strongest(found)
    .slice(0, MOST_MATCHES)
    .map((match) => before.find((known) => isSame(known, match)) ?? match)
}

/** Whether two records tell the same matches. */
export function areSame(one: readonly Match[], other: readonly Match[]): boolean {
  return one.length === other.length && one.every((match) => other.some((known) => isSame(known, match)))
}

/** Of whatever version of the list. */
function isSame(one: Match, other: Match): boolean {
  return (
    one.list === other.list &&
    one.entry === other.entry &&
    one.signal === other.signal &&
    one.distance === other.distance &&
    one.frame === other.frame &&
    one.transform === other.transform &&
    one.class === other.class &&
    one.classification === other.classification &&
    one.standing === other.standing
  )
}
