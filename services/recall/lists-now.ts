import type { HashListCollector } from '../domain/hash-list-state.ts'
import { isEnforced } from '../domain/judge/judge.ts'
import type { Policy } from '../domain/judge/policy.ts'
import type { PlacedVersion, VersionPlaces } from '../domain/list-news.ts'
import type { PackedList } from '../domain/packed-entries.ts'

/** The lists at one moment. */
export type ListsNow = {
  /** the versions in force of the lists that policy enforces, by name */
  versions: PlacedVersion[]
  /** an entry as the version in force has it; `unknown` where that can't be said: an import is under way, or there is another version by now */
  entryOf(list: string, entry: string): ReturnType<PackedList['get']> | 'unknown'
}

export function listsNow(collector: HashListCollector, places: VersionPlaces, policy: Policy): ListsNow {
  const versions = collector.states().flatMap(({ list, inForce }): PlacedVersion[] => {
    if (inForce === null || !isEnforced(policy, list)) return []
    const { version, digest, shadowed } = inForce
    return [{ list, version, digest, shadowed, offset: places.placeOf(list, version) }]
  })
  return {
    versions,
    entryOf(list, entry) {
      const version = versions.find((one) => one.list === list)
      const state = collector.states().find((one) => one.list === list)
      if (version === undefined || state?.changing !== false || state.inForce?.version !== version.version) {
        return 'unknown'
      }
      return state.broken === null ? collector.collected(list).get(entry) : 'unknown'
    },
  }
}
