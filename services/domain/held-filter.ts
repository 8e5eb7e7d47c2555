import { z } from 'zod'
import { contentOf } from './hash-list.ts'
import type { VerdictRecord } from './records.ts'

const names = z.array(z.string()).min(1)
const moment = z.number().int()
const offset = z.number().int().nonnegative()

/** As many item ids fit in one filter. */
export const MOST_ITEM_IDS = 100_000

/**
 * Which of the held items are meant. A kind that is absent leaves nothing out; of those that are there all must hold, and of each one of its
 * alternatives. Plain JSON, so that it can stand in a file; a kind that is not known is refused there, because without it more would be meant.
 */
export const heldFilterSchema = z.strictObject({
  /** quarantine, review */
  outcomes: names.exactOptional(),
  /** of the door, with the first and the last offset that are meant, both included; without them all of it */
  partitions: z
    .array(z.strictObject({ partition: offset, first: offset.exactOptional(), last: offset.exactOptional() }))
    .min(1)
    .exactOptional(),
  /** judged at this moment or later; milliseconds since the epoch */
  since: moment.exactOptional(),
  /** judged before this moment; milliseconds since the epoch */
  until: moment.exactOptional(),
  /** codes */
  reasons: names.exactOptional(),
  /** lists that hold it; one that only marked it, being in shadow, does not */
  lists: names.exactOptional(),
  /** entries that hold it, likewise */
  entries: z
    .array(z.strictObject({ list: z.string(), entry: z.string() }))
    .min(1)
    .exactOptional(),
  /** judged by: sha256, lower-case hex */
  policyHashes: names.exactOptional(),
  /** judged by, whether they hold it or not; each stands for all of the list that have the same entries */
  listVersions: z
    .array(z.strictObject({ list: z.string(), version: z.string() }))
    .min(1)
    .exactOptional(),
  suppliers: names.exactOptional(),
  datasets: names.exactOptional(),
  supplyKinds: names.exactOptional(),
  /** replayed so often or more often */
  attempts: z.number().int().nonnegative().exactOptional(),
  itemIds: names.max(MOST_ITEM_IDS).exactOptional(),
  /** instead of what is held: what was cleared and recalled, and had its recall withdrawn; lists and entries are those that recalled it */
  withdrawn: z.literal(true).exactOptional(),
})
export type HeldFilter = z.infer<typeof heldFilterSchema>

/** What a filter looks at. */
export const filteredFields = [
  'input',
  'itemId',
  'judgedAt',
  'outcome',
  'reasons',
  'matches',
  'policyHash',
  'listVersions',
  'supplyKind',
  'supplier',
  'dataset',
  'attempt',
] as const satisfies ReadonlyArray<keyof VerdictRecord>
export type FilteredVerdict = Pick<VerdictRecord, (typeof filteredFields)[number]>

/**
 * Whether a verdict is of those that are meant; that it holds something is for the caller to see.
 * @param attemptsOf how often an item has been replayed; default: as its verdict says, which a crawler's header may have made up
 */
export function createHeldFilter<Verdict extends FilteredVerdict>(
  filter: HeldFilter,
  attemptsOf: (verdict: Verdict) => number = ({ attempt }) => attempt,
): (verdict: Verdict) => boolean {
  const tests: Array<(verdict: Verdict) => boolean> = [...testsOf(filter)]
  const { attempts } = filter
  if (attempts !== undefined) tests.push((verdict) => attemptsOf(verdict) >= attempts)
  return (verdict) => tests.every((holds) => holds(verdict))
}

function testsOf(filter: HeldFilter): Array<(verdict: FilteredVerdict) => boolean> {
  const tests: Array<(verdict: FilteredVerdict) => boolean> = []

  /** One of the texts that a verdict bears must be one of those that are meant. */
  function oneOf(
    wanted: readonly string[] | undefined,
    textsOf: (verdict: FilteredVerdict) => readonly (string | null)[],
  ) {
    if (wanted === undefined) return
    const meant: ReadonlySet<string | null> = new Set(wanted)
    tests.push((verdict) => textsOf(verdict).some((text) => meant.has(text)))
  }

  const { partitions, since, until } = filter
  if (partitions !== undefined) tests.push(({ input }) => isInRanges(input, partitions))
  if (since !== undefined) tests.push(({ judgedAt }) => judgedAt >= since)
  if (until !== undefined) tests.push(({ judgedAt }) => judgedAt < until)
  oneOf(filter.outcomes, ({ outcome }) => [outcome])
  oneOf(filter.itemIds, ({ itemId }) => [itemId])
  oneOf(filter.suppliers, ({ supplier }) => [supplier])
  oneOf(filter.datasets, ({ dataset }) => [dataset])
  oneOf(filter.supplyKinds, ({ supplyKind }) => [supplyKind])
  oneOf(filter.policyHashes, ({ policyHash }) => [policyHash])
  oneOf(filter.reasons, ({ reasons }) => reasons)
  oneOf(filter.lists, (verdict) => holding(verdict).map(({ list }) => list))
  oneOf(filter.entries?.map(pairOfEntry), (verdict) => holding(verdict).map(pairOfEntry))
  oneOf(filter.listVersions?.map(pairOfVersion), ({ listVersions }) => listVersions.map(pairOfVersion))
  return tests
}

/** Whether an offset of the door is in one of the ranges. */
export function isInRanges(
  { partition, offset: at }: { partition: number; offset: number },
  ranges: NonNullable<HeldFilter['partitions']>,
): boolean {
  return ranges.some(
    ({ partition: meant, first = 0, last = Number.POSITIVE_INFINITY }) =>
      meant === partition && first <= at && at <= last,
  )
}

/** The matches that hold an item: those in shadow do not. */
export function holding({ matches }: Pick<VerdictRecord, 'matches'>): VerdictRecord['matches'] {
  return matches.filter(({ enforced }) => enforced)
}

/** Names of lists have no slash. */
function pairOfEntry({ list, entry }: { list: string; entry: string }): string {
  return `${list}/${entry}`
}

function pairOfVersion({ list, version }: { list: string; version: string }): string {
  // A list that is synced anew has a new name for the same entries.
  return `${list}/${contentOf(version)}`
}
