import { type Finding, type ItemFault, type Outcome, outcomes, type Reason } from '../reasons.ts'
import type { Match } from '../records.ts'
import type { Policy } from './policy.ts'

/** What each class of match on an enforced list means. */
const findingByClass: Readonly<Record<string, Finding>> = {
  exact: 'KNOWN_EXACT',
  near: 'KNOWN_NEAR',
  wide: 'KNOWN_WIDE',
}

/** What each finding leads to; every fault leads to quarantine. */
const outcomeByFinding: Readonly<Record<Finding, Outcome>> = {
  KNOWN_EXACT: 'quarantine',
  KNOWN_NEAR: 'quarantine',
  KNOWN_WIDE: 'review',
  KNOWN_SHADOW: 'clean',
}

/** What the judge decided, and on what. */
export type Judgement = {
  outcome: Outcome
  /** every reason, once each, in alphabetical order; empty when there is nothing to say */
  reasons: Reason[]
  /** the matches as given, with `enforced` set by policy */
  matches: Match[]
}

/**
 * Decides where an item goes. Quarantine beats review beats clean; any fault is quarantine; a match on a list in shadow is recorded without
 * effect. A list that policy does not name is enforced. A match of a class that is not known here counts as near.
 */
export function judge(input: {
  faults: readonly ItemFault[]
  matches: readonly Match[]
  policy: Pick<Policy, 'lists'>
}): Judgement {
  const matches = input.matches.map((match) => ({ ...match, enforced: isEnforced(input.policy, match.list) }))
  const found = matches.map((match): Finding => {
    return match.enforced ? (findingByClass[match.class] ?? 'KNOWN_NEAR') : 'KNOWN_SHADOW'
  })
  const led: Outcome[] = [...input.faults.map((): Outcome => 'quarantine'), ...found.map((f) => outcomeByFinding[f])]
  return {
    outcome: outcomes.findLast((outcome) => led.includes(outcome)) ?? 'clean',
    reasons: [...new Set<Reason>([...input.faults, ...found])].sort(),
    matches,
  }
}

function isEnforced({ lists }: Pick<Policy, 'lists'>, list: string): boolean {
  return !Object.hasOwn(lists, list) || lists[list]?.mode !== 'shadow'
}
