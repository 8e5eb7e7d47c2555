import { type Finding, type ItemFault, type Outcome, outcomes, type Reason } from '../reasons.ts'
import type { Envelope, Match, MissingFact } from '../records.ts'
import type { Standing } from '../standing.ts'
import { doubtedStandings, type Policy, type StandingMode } from './policy.ts'
import { lacks, missingFacts } from './provenance.ts'
import { reservedRights } from './rights.ts'

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
  KNOWN_DOUBTED: 'review',
  KNOWN_SHADOW: 'clean',
  PROVENANCE_INCOMPLETE: 'quarantine',
  PROVENANCE_SHADOW: 'clean',
  RIGHTS_RESERVED: 'quarantine',
  RIGHTS_SHADOW: 'clean',
}

/** What the judge decided, and on what. */
export type Judgement = {
  outcome: Outcome
  /** every reason, once each, in alphabetical order; empty when there is nothing to say */
  reasons: Reason[]
  /** the matches as given, with `enforced` false where policy says so too, without those that policy does not want to see */
  matches: Match[]
  /** the provenance facts that policy asks for and the envelope lacks, in alphabetical order */
  missing: MissingFact[]
}

/**
 * Decides where an item goes. Quarantine beats review beats clean; any fault is quarantine; a match on a list in shadow is recorded without
 * effect. A list that policy does not name is enforced. A match of a class that is not known here counts as near, an entry of an unknown standing
 * as positive. What lacks provenance that policy requires is quarantined.
 */
export function judge(input: {
  faults: readonly ItemFault[]
  matches: readonly Match[]
  /** null where the message could not be read: there is nothing to ask for */
  envelope: Envelope | null
  policy: Pick<Policy, 'lists' | 'standings' | 'provenance' | 'rights'>
}): Judgement {
  const { envelope, policy } = input
  const matches: Match[] = []
  const found: Finding[] = []
  for (const match of input.matches) {
    const mode = modeOf(match, policy)
    if (mode === 'off') continue
    matches.push({ ...match, enforced: mode !== 'shadow' })
    if (mode === 'enforce') found.push(findingByClass[match.class] ?? 'KNOWN_NEAR')
    else found.push(mode === 'review' ? 'KNOWN_DOUBTED' : 'KNOWN_SHADOW')
  }
  const lacking = envelope === null ? [] : lacks(envelope, policy.provenance)
  if (lacking.some(({ mode }) => mode === 'enforce')) found.push('PROVENANCE_INCOMPLETE')
  if (lacking.some(({ mode }) => mode === 'shadow')) found.push('PROVENANCE_SHADOW')
  for (const signal of envelope === null ? [] : reservedRights(envelope)) {
    const mode = policy.rights[signal]
    if (mode !== 'off') found.push(mode === 'enforce' ? 'RIGHTS_RESERVED' : 'RIGHTS_SHADOW')
  }
  const led: Outcome[] = [...input.faults.map((): Outcome => 'quarantine'), ...found.map((f) => outcomeByFinding[f])]
  return {
    outcome: outcomes.findLast((outcome) => led.includes(outcome)) ?? 'clean',
    reasons: [...new Set<Reason>([...input.faults, ...found])].sort(),
    matches,
    missing: missingFacts(lacking),
  }
}

/** What policy makes of a match: by the entry's standing; nothing is more than shadow where the list is, or the list's version has the entry so. */
function modeOf({ list, standing, enforced }: Match, policy: Pick<Policy, 'lists' | 'standings'>): StandingMode {
  const mode = new Map<string, StandingMode>(Object.entries(policy.standings)).get(standing) ?? 'enforce'
  return mode !== 'off' && !(enforced && isEnforced(policy, list)) ? 'shadow' : mode
}

/** Whether some of a list's entries match without effect: by policy, by what its members make of them, or by somebody's word. */
export function isPartlyInShadow(
  policy: Pick<Policy, 'lists' | 'standings'>,
  { list, shadowed, standings }: { list: string; shadowed: readonly string[]; standings: Record<Standing, number> },
): boolean {
  const byStanding = doubtedStandings.some((each) => standings[each] > 0 && policy.standings[each] === 'shadow')
  return !isEnforced(policy, list) || shadowed.length > 0 || byStanding
}

/** Whether policy lets what is found on a list have an effect. */
export function isEnforced({ lists }: Pick<Policy, 'lists'>, list: string): boolean {
  return !Object.hasOwn(lists, list) || lists[list]?.mode !== 'shadow'
}
