import { createFloodCount, type Flood, type HeldCount } from './flood.ts'
import { judge } from './judge/judge.ts'
import type { Policy } from './judge/policy.ts'
import { buildMatchIndex, type MatchIndex } from './match/match-index.ts'
import { type MatchClass, matchClasses } from './match/matcher.ts'
import type { PackedEntries } from './packed-entries.ts'
import { heldBy } from './recall.ts'
import type { Match, VerdictRecord } from './records.ts'

/** A version of a list that is not there yet, as far as it differs from the one in force. */
export type ListChange = {
  list: string
  /** entries in force, and entries of the version to come */
  before: number
  after: number
  /** of those in force: how many are gone, newly withdrawn, or without any of the hashes that they had */
  lost: number
  /** entries that are new or others than before, or come out of shadow */
  news: PackedEntries
  /** ids of entries that are gone or others than before */
  gone: ReadonlySet<string>
  /** as the version to come has it */
  shadowed: readonly string[]
}

/** What a version to come would do to items that were judged lately. */
export type ListPlan = {
  list: string
  entries: { before: number; after: number; lost: number; news: number; gone: number }
  /** verdicts looked at; of these, items that were cleared */
  verdicts: number
  cleared: number
  /** cleared items that would be held, and by which entries */
  held: HeldCount
  /** the same items, by how near the nearest entry is */
  heldAs: Record<MatchClass, number>
  /** held items that nothing would hold any more */
  released: number
  /** what is beyond policy's bounds */
  floods: Flood[]
  /** share of the entries in force that would be lost, where that is beyond policy's bound; null where it is not */
  shrinks: number | null
}

/** Stands for the version to come in what is counted. */
const PLANNED = 'planned'

/**
 * Tries a version to come on verdicts, one after the other: what it would newly hold, by the gate's own judge, and what nothing would hold any more.
 */
export function createListPlan(
  { list, before, after, lost, news, gone, shadowed }: ListChange,
  policy: Policy,
): { add(verdict: VerdictRecord): void; plan(): ListPlan } {
  let index: MatchIndex | null = null
  const count = createFloodCount()
  const heldAs: Record<MatchClass, number> = { exact: 0, near: 0, wide: 0 }
  let [verdicts, cleared, released] = [0, 0, 0]

  function matchesOf({ fingerprint }: VerdictRecord): Match[] {
    // Not before there is something to look for: a first version may have millions of entries, and nothing judged yet.
    index ??= buildMatchIndex([{ list, version: PLANNED, digest: '', checkedAt: 0, shadowed, entries: news }])
    return index.match(fingerprint, policy.pdq)
  }

  function isReleased(verdict: VerdictRecord): boolean {
    // What was held for a fault of its own stays held.
    if (!verdict.reasons.every((reason) => reason.startsWith('KNOWN_'))) return false
    const others = verdict.matches.filter((match) => match.list !== list || !gone.has(match.entry))
    if (others.length === verdict.matches.length) return false
    return judgedClean([...others, ...matchesOf(verdict)])
  }

  function judgedClean(matches: readonly Match[]): boolean {
    return judge({ faults: [], matches, envelope: null, policy }).outcome === 'clean'
  }

  return {
    add(verdict) {
      verdicts += 1
      if (verdict.outcome !== 'clean') {
        if (isReleased(verdict)) released += 1
        return
      }
      cleared += 1
      const held = heldBy(matchesOf(verdict), policy)
      if (held === null) return
      count.add(held)
      const nearest = matchClasses.find((name) => held.some((match) => match.class === name))
      if (nearest !== undefined) heldAs[nearest] += 1
    },
    plan() {
      const [held = { list, version: PLANNED, items: 0, entries: {} }] = count.counts()
      const share = before === 0 ? 0 : lost / before
      return {
        list,
        entries: { before, after, lost, news: news.length, gone: gone.size },
        verdicts,
        cleared,
        held,
        heldAs,
        released,
        floods: count.floods(policy.flood),
        shrinks: share > policy.shrink.share ? share : null,
      }
    },
  }
}
