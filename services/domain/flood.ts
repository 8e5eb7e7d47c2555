import type { Policy } from './judge/policy.ts'
import type { Match } from './records.ts'

/** How many items a version of a list holds of what it was tried on, and by which entries; no entry that holds none is in it. */
export type HeldCount = { list: string; version: string; items: number; entries: Record<string, number> }

/** That more is held than policy allows without a person; `entry`: null where it is the version as a whole. */
export type Flood = { list: string; version: string; entry: string | null; items: number; most: number }

/** Items that an entry, and a version, may hold. */
export type FloodBounds = Pick<Policy['flood'], 'entryItems' | 'versionItems'>

export type FloodCount = {
  /** Counts one item, once for each version and each entry that holds it. */
  add(matches: readonly Match[]): void
  /** Whether the version that a match is of, or its entry, is beyond the bounds. */
  isFlood(match: Pick<Match, 'list' | 'listVersion' | 'entry'>, bounds: FloodBounds): boolean
  /** By list and version, in alphabetical order. */
  counts(): HeldCount[]
  /** What is beyond the bounds: versions first, then entries, those that hold most before others. */
  floods(bounds: FloodBounds): Flood[]
}

/**
 * Counts how many items the entries of lists would hold. Grows with the entries that hold something, not with the items.
 * @param before counts to go on from
 */
export function createFloodCount(before: readonly HeldCount[] = []): FloodCount {
  const versions = new Map<string, { list: string; version: string; items: number; entries: Map<string, number> }>()
  for (const { list, version, items, entries } of before) {
    versions.set(keyOf(list, version), { list, version, items, entries: new Map(Object.entries(entries)) })
  }

  return {
    add(matches) {
      for (const ofVersion of Map.groupBy(matches, (match) => keyOf(match.list, match.listVersion)).values()) {
        const [{ list, listVersion: version } = { list: '', listVersion: '' }] = ofVersion
        const found = versions.get(keyOf(list, version)) ?? { list, version, items: 0, entries: new Map() }
        versions.set(keyOf(list, version), found)
        found.items += 1
        for (const entry of new Set(ofVersion.map((match) => match.entry))) {
          found.entries.set(entry, (found.entries.get(entry) ?? 0) + 1)
        }
      }
    },
    isFlood({ list, listVersion, entry }, { entryItems, versionItems }) {
      const found = versions.get(keyOf(list, listVersion))
      return found !== undefined && (found.items > versionItems || (found.entries.get(entry) ?? 0) > entryItems)
    },
    counts() {
      const sorted = [...versions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, count]) => count)
      return sorted.map((count) => ({ ...count, entries: Object.fromEntries(count.entries) }))
    },
    floods({ entryItems, versionItems }) {
      const all = [...versions.values()]
      const whole = all.map(({ list, version, items }) => ({ list, version, entry: null, items, most: versionItems }))
      const single = all.flatMap(({ list, version, entries }) =>
        [...entries].map(([entry, items]) => ({ list, version, entry, items, most: entryItems })),
      )
      return [whole, single].flatMap((found) =>
        found.filter(({ items, most }) => items > most).sort((a, b) => b.items - a.items),
      )
    },
  }
}

function keyOf(list: string, version: string): string {
  return `${list}/${version}`
}
