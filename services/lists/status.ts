import type { KnownList, ListState } from '../domain/hash-list-state.ts'
import { countHashes } from '../domain/match/match-index.ts'
import { PackedList } from '../domain/packed-entries.ts'
import type { Standing } from '../domain/standing.ts'

/** What `sluice lists status` says of a list. */
export type ListStatus = {
  list: string
  /** in force; null when no version is complete */
  version: string | null
  checkedAt: string | null
  /** time since it was last checked, in hours */
  ageHours: number | null
  entries: number
  /** number of known hashes, by signal */
  signals: Record<string, number>
  /** what this engine can match: hashes, and entries that have at least one such hash */
  matchable: { entries: number; hashes: number }
  /** what it can't: it is kept, and nothing will ever be found by it */
  unmatchable: { entries: number; hashes: number }
  /** number of entries by what the list's members make of them */
  standings: Record<Standing, number>
  /** ids of entries that are in shadow by somebody's word, or `*` for all */
  shadowed: readonly string[]
  /** the newest manifest is the version in force */
  complete: boolean
  /** entries have changed since the newest manifest: an import is under way, or has stopped half-way */
  changing: boolean
}

/** @param now milliseconds since the epoch */
export function listStatus({ list, inForce, broken, changing }: ListState<KnownList>, now: number): ListStatus {
  const entries = inForce?.entries.length ?? 0
  const { signals, matchableEntries } = countHashes(inForce?.entries ?? new PackedList(list).snapshot())
  const counts = [...signals.values()]
  const hashes = counts.reduce((sum, count) => sum + count.hashes, 0)
  const matchable = { entries: matchableEntries, hashes: counts.reduce((sum, count) => sum + count.matchable, 0) }
  return {
    list,
    version: inForce?.version ?? null,
    checkedAt: inForce ? new Date(inForce.checkedAt).toISOString() : null,
    ageHours: inForce ? Math.round((now - inForce.checkedAt) / 36_000) / 100 : null,
    entries,
    signals: Object.fromEntries([...signals].map(([signal, count]) => [signal, count.hashes])),
    matchable,
    unmatchable: { entries: entries - matchable.entries, hashes: hashes - matchable.hashes },
    standings: inForce?.entries.standings() ?? { positive: 0, disputed: 0, seed: 0, negative: 0, withdrawn: 0 },
    shadowed: inForce?.shadowed ?? [],
    complete: inForce !== null && broken === null,
    changing,
  }
}
