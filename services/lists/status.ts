import type { KnownList, ListState } from '../domain/hash-list-state.ts'

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
  /** the newest manifest is the version in force */
  complete: boolean
  /** entries have changed since the newest manifest: an import is under way, or has stopped half-way */
  changing: boolean
}

/** @param now milliseconds since the epoch */
export function listStatus({ list, inForce, broken, changing }: ListState<KnownList>, now: number): ListStatus {
  const signals: Record<string, number> = {}
  inForce?.entries.eachHash((_, signal) => {
    signals[signal] = (signals[signal] ?? 0) + 1
  })
  return {
    list,
    version: inForce?.version ?? null,
    checkedAt: inForce ? new Date(inForce.checkedAt).toISOString() : null,
    ageHours: inForce ? Math.round((now - inForce.checkedAt) / 36_000) / 100 : null,
    entries: inForce?.entries.length ?? 0,
    signals,
    complete: inForce !== null && broken === null,
    changing,
  }
}
