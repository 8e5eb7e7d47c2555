import type { Policy } from '../domain/judge/policy.ts'
import { type FactName, facts, isActionable, lacks } from '../domain/judge/provenance.ts'
import type { Envelope } from '../domain/records.ts'

/** What items may be grouped by: name to what an envelope says of it, null where it says nothing. */
export const groupings = {
  supplier: ({ supply }) => supply?.supplier ?? null,
  dataset: ({ supply }) => supply?.dataset ?? null,
  /** the host of the URL that was fetched, or of the page that showed it */
  'source-domain': ({ acquisition, origin }) => {
    const urls = [acquisition?.finalUrl, acquisition?.requestedUrl, origin?.pageUrl]
    return urls.map(hostOf).find((host) => host !== null) ?? null
  },
} as const satisfies Readonly<Record<string, (envelope: Envelope) => string | null>>
export type Grouping = keyof typeof groupings

/** As many groups are told one by one; what belongs to none of them is counted together. */
const MOST_GROUPS = 10_000
/** A name may be as long as a message. */
const LONGEST_NAME = 200

/** How much is known of the items of a group. */
export type GroupCompleteness = {
  /** null where they do not tell, or with `others` */
  name: string | null
  /** these are the items of all groups beyond the most that are told */
  others: boolean
  items: number
  /** items that tell the fact */
  facts: Record<string, number>
  actionable: number
  /** items that policy, as it is now, would hold for what they lack */
  held: number
}

/** Counts completeness by group, one item after the other; keeps nothing but the groups. */
export function createCompleteness(grouping: Grouping, policy: Pick<Policy, 'provenance'>, mostGroups = MOST_GROUPS) {
  const groups = new Map<string | null, GroupCompleteness>()
  const others = emptyGroup(null, true)

  function groupOf(name: string | null): GroupCompleteness {
    const found = groups.get(name)
    if (found !== undefined) return found
    if (groups.size >= mostGroups) return others
    const made = emptyGroup(name, false)
    groups.set(name, made)
    return made
  }

  return {
    add(envelope: Envelope): void {
      const group = groupOf(groupings[grouping](envelope)?.slice(0, LONGEST_NAME) ?? null)
      group.items += 1
      for (const fact of factNames()) if (facts[fact].holds(envelope)) group.facts[fact] = (group.facts[fact] ?? 0) + 1
      if (isActionable(envelope)) group.actionable += 1
      if (lacks(envelope, policy.provenance).some(({ mode }) => mode === 'enforce')) group.held += 1
    },
    /** Largest first; what is in no group of its own last. */
    groups(): GroupCompleteness[] {
      const found = [...groups.values()].sort((a, b) => b.items - a.items || compare(a.name ?? '', b.name ?? ''))
      return others.items === 0 ? found : [...found, others]
    },
  }
}

export function factNames(): FactName[] {
  return Object.keys(facts) as FactName[]
}

function emptyGroup(name: string | null, others: boolean): GroupCompleteness {
  const none = Object.fromEntries(factNames().map((fact) => [fact, 0]))
  return { name, others, items: 0, facts: none, actionable: 0, held: 0 }
}

function hostOf(url: string | null | undefined): string | null {
  const host = (url ? URL.parse(url)?.hostname : null) ?? ''
  return host === '' ? null : host
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
