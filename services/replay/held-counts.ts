import { holding } from '../domain/held-filter.ts'
import type { VerdictRecord } from '../domain/records.ts'

/** As many groups of a kind are counted one by one; what belongs to none of them is counted together. */
const MOST_GROUPS = 100_000
/** A name may be as long as a message. */
export const LONGEST_NAME = 200

/** What counts are made of. */
export const countedFields = [
  'input',
  'judgedAt',
  'outcome',
  'reasons',
  'matches',
  'policyHash',
  'supplier',
  'dataset',
  'size',
] as const satisfies ReadonlyArray<keyof VerdictRecord>
export type CountedVerdict = Pick<VerdictRecord, (typeof countedFields)[number]>

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** How long ago an item was judged: below so many milliseconds; the last one is all else. */
const ages = [
  ['under 1 hour', HOUR],
  ['1 to 24 hours', DAY],
  ['1 to 7 days', 7 * DAY],
  ['7 to 30 days', 30 * DAY],
  ['30 to 365 days', 365 * DAY],
  ['over 365 days', Number.POSITIVE_INFINITY],
] as const

type Name = string | number | null
/** An item with several names of a kind counts for each of them. @param now milliseconds since the epoch */
type NamesOf = (verdict: CountedVerdict, attempts: number, now: number) => readonly Name[]
/** `order`: how groups stand; by their names, youngest first, or largest first. `most`: as many are told one by one; default: all */
type Kind = { names: NamesOf; order: 'name' | 'age' | 'size'; most?: number }

/** What held items are counted by. */
const kinds = {
  outcome: { names: ({ outcome }) => [outcome], order: 'size' },
  partition: { names: ({ input }) => [input.partition], order: 'name' },
  reason: { names: ({ reasons }) => reasons, order: 'size' },
  list: { names: (verdict) => distinct(holding(verdict).map(({ list }) => list)), order: 'size' },
  entry: {
    names: (verdict) => distinct(holding(verdict).map(({ list, entry }) => `${list}/${entry}`)),
    order: 'size',
    most: 10,
  },
  supplier: { names: ({ supplier }) => [supplier], order: 'size' },
  dataset: { names: ({ dataset }) => [dataset], order: 'size' },
  age: { names: ({ judgedAt }, _, now) => [ageOf(now - judgedAt)], order: 'age' },
  attempts: { names: (_, attempts) => [attempts], order: 'name' },
  policy: { names: ({ policyHash }) => [policyHash], order: 'size' },
} as const satisfies Readonly<Record<string, Kind>>
export type CountKind = keyof typeof kinds
export const countKinds = Object.keys(kinds) as CountKind[]

export type HeldGroup = {
  /** null where the items do not tell, or with `others` */
  name: Name
  /** these are all groups beyond those that are told one by one; an item that has several of them may count for each */
  others: boolean
  items: number
  /** lengths of their payloads, summed */
  bytes: number
}

export type HeldCounts = {
  held: number
  /** lengths of their payloads, summed; what came several times counts each time, what had no readable bytes not at all */
  bytes: number
  by: Record<CountKind, HeldGroup[]>
}

/** Counts held items, one after the other; keeps nothing but the groups. @param now milliseconds since the epoch */
export function createHeldCounts(now: number, mostGroups = MOST_GROUPS) {
  const counters = countKinds.map((kind) => ({ kind, counter: createCounter(kinds[kind], now, mostGroups) }))
  let [held, bytes] = [0, 0]
  return {
    /** @param attempts how often the item has been replayed */
    add(verdict: CountedVerdict, attempts: number): void {
      const size = verdict.size ?? 0
      held += 1
      bytes += size
      for (const { counter } of counters) counter.add(verdict, attempts, size)
    },
    counts(): HeldCounts {
      const by = Object.fromEntries(counters.map(({ kind, counter }) => [kind, counter.groups()]))
      return { held, bytes, by: by as HeldCounts['by'] }
    },
  }
}

function createCounter({ names, order, most = Number.POSITIVE_INFINITY }: Kind, now: number, mostGroups: number) {
  const groups = new Map<Name, HeldGroup>()
  const others: HeldGroup = { name: null, others: true, items: 0, bytes: 0 }

  function groupOf(name: Name): HeldGroup {
    const found = groups.get(name)
    if (found !== undefined) return found
    if (groups.size >= mostGroups) return others
    const made = { name, others: false, items: 0, bytes: 0 }
    groups.set(name, made)
    return made
  }

  return {
    add(verdict: CountedVerdict, attempts: number, size: number): void {
      for (const name of names(verdict, attempts, now)) {
        const group = groupOf(typeof name === 'string' ? name.slice(0, LONGEST_NAME) : name)
        group.items += 1
        group.bytes += size
      }
    },
    groups(): HeldGroup[] {
      const sorted = [...groups.values()].sort(orders[order])
      const rest = sorted.slice(most).concat(others)
      const [items, bytes] = [sum(rest.map((group) => group.items)), sum(rest.map((group) => group.bytes))]
      return [...sorted.slice(0, most), ...(items === 0 ? [] : [{ ...others, items, bytes }])]
    },
  }
}

const orders: Readonly<Record<Kind['order'], (a: HeldGroup, b: HeldGroup) => number>> = {
  name: (a, b) => Number(a.name) - Number(b.name),
  age: (a, b) => placeOf(a.name) - placeOf(b.name),
  size: (a, b) => b.items - a.items || (String(a.name) < String(b.name) ? -1 : 1),
}

function ageOf(ms: number): string {
  return ages.find(([, below]) => ms < below)?.[0] ?? ages[0][0]
}

function placeOf(age: Name): number {
  return ages.findIndex(([name]) => name === age)
}

function distinct(names: readonly string[]): readonly string[] {
  return names.length < 2 ? names : [...new Set(names)]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
