import type { Flood } from './flood.ts'
import { ALL_ENTRIES, contentOf } from './hash-list.ts'
import type { Policy } from './judge/policy.ts'
import type { Match } from './records.ts'

/** A version of a list that is in force. */
export type WatchedVersion = {
  list: string
  version: string
  /** ids of entries that are in shadow, or `ALL_ENTRIES` */
  shadowed: readonly string[]
}

type HeldItem = { at: number; list: string; content: string; entries: string[] }
type Count = {
  version: string
  content: string
  shadowed: ReadonlySet<string>
  items: number
  entries: Map<string, number>
}

/**
 * Counts what lists have held within the last minutes, and tells whether what is in force now has held too much. What is in shadow by now, or was held
 * by entries of another version, does not count: so a flood ends as soon as somebody has done something about it. A list that was only checked
 * again is the same as before.
 */
export function createFloodWindow({ entryItems, versionItems, minutes }: Policy['flood']) {
  /** in the order in which they came, which is about that of their times */
  const items: HeldItem[] = []
  let counts = new Map<string, Count>()
  let known = ''

  function change(count: Count, { entries }: HeldItem, by: 1 | -1): void {
    const effective = entries.filter((entry) => !count.shadowed.has(entry))
    if (effective.length === 0 || count.shadowed.has(ALL_ENTRIES)) return
    count.items += by
    for (const entry of effective) {
      const left = (count.entries.get(entry) ?? 0) + by
      if (left > 0) count.entries.set(entry, left)
      else count.entries.delete(entry)
    }
  }

  function note(item: HeldItem, by: 1 | -1): void {
    const count = counts.get(item.list)
    if (count?.content === item.content) change(count, item, by)
  }

  return {
    /** An item that was held; matches without effect are no part of it. @param at milliseconds since the epoch */
    add(at: number, matches: readonly Match[]): void {
      const effective = matches.filter(({ enforced }) => enforced)
      for (const [list, found] of Map.groupBy(effective, (match) => match.list)) {
        for (const [content, some] of Map.groupBy(found, ({ listVersion }) => contentOf(listVersion))) {
          const item = { at, list, content, entries: [...new Set(some.map(({ entry }) => entry))] }
          items.push(item)
          note(item, 1)
        }
      }
    },

    /** What of the versions in force has held most beyond its bound; null where nothing has. @param now milliseconds since the epoch */
    flood(inForce: readonly WatchedVersion[], now: number): Flood | null {
      const first = items.findIndex(({ at }) => at > now - minutes * 60_000)
      for (const item of items.splice(0, first < 0 ? items.length : first)) note(item, -1)

      // The name too: a list that was only checked again holds the same, but what is told bears the name of now.
      const versions = JSON.stringify(inForce)
      if (versions !== known) {
        known = versions
        counts = new Map(
          inForce.map(({ list, version, shadowed }) => {
            const fresh = { version, content: contentOf(version), shadowed: new Set(shadowed), items: 0 }
            return [list, { ...fresh, entries: new Map<string, number>() }]
          }),
        )
        for (const item of items) note(item, 1)
      }
      const floods = [...counts].flatMap(([list, { version, items: held, entries }]): Flood[] => {
        const whole = { list, version, entry: null, items: held, most: versionItems }
        const single = [...entries].map(([entry, each]) => ({ list, version, entry, items: each, most: entryItems }))
        return [...single, whole].filter((one) => one.items > one.most)
      })
      return floods.sort(mostPressing)[0] ?? null
    },
  }
}

/** An entry first: it is what somebody can do something about. Of those that hold as many the first by name, so that all gates name the same one. */
function mostPressing(a: Flood, b: Flood): number {
  return Number(a.entry === null) - Number(b.entry === null) || b.items - a.items || (nameOf(a) < nameOf(b) ? -1 : 1)
}

function nameOf({ list, entry }: Flood): string {
  return `${list}/${entry ?? ''}`
}
