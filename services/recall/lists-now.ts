import type { HashListCollector } from '../domain/hash-list-state.ts'
import { isEnforced } from '../domain/judge/judge.ts'
import type { Policy } from '../domain/judge/policy.ts'
import type { PlacedVersion, VersionPlaces } from '../domain/list-news.ts'
import type { HashListEntry } from '../domain/records.ts'

/** The lists that policy enforces, as they were at one moment. */
export type ListsNow = {
  /** in force, by name */
  versions: PlacedVersion[]
  /** Of a version in force the entries with these ids. Some seconds for ten million, while an import is under way. */
  entriesOf(list: string, ids: ReadonlySet<string>): HashListEntry[]
  /** An entry of a version in force; `unknown` while an import is under way: one by one, they can't be found then. */
  entryOf(list: string, id: string): HashListEntry | undefined | 'unknown'
}

export function listsNow(collector: HashListCollector, places: VersionPlaces, policy: Pick<Policy, 'lists'>): ListsNow {
  const known = new Map(
    collector.states().flatMap(({ list, inForce }) => (inForce && isEnforced(policy, list) ? [[list, inForce]] : [])),
  )

  /** Whether what the topic holds now is that version. */
  function isWhole(list: string): boolean {
    const state = collector.states().find((one) => one.list === list)
    return state?.changing === false && state.broken === null && state.inForce?.version === known.get(list)?.version
  }

  return {
    versions: [...known.values()].map(({ list, version, digest, shadowed }) => {
      return { list, version, digest, shadowed, offset: places.placeOf(list, version) }
    }),
    entriesOf(list, ids) {
      if (!known.has(list) || ids.size === 0) return []
      if (isWhole(list)) return [...ids].flatMap((id) => collector.collected(list).get(id) ?? [])
      const found: HashListEntry[] = []
      for (const entry of known.get(list)?.entries ?? []) if (ids.has(entry.id)) found.push(entry)
      return found
    },
    entryOf(list, id) {
      if (!known.has(list)) return undefined
      return isWhole(list) ? collector.collected(list).get(id) : 'unknown'
    },
  }
}
