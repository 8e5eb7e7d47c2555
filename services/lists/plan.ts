import { SluiceError } from '../domain/errors.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { createListPlan, type ListChange, type ListPlan } from '../domain/list-plan.ts'
import { readPolicy } from '../platform/read-policy.ts'
import type { Settings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { readNewestVerdicts } from './newest-verdicts.ts'

/** So many of the newest verdicts are looked at, if nothing else is said. */
export const PLANNED_VERDICTS = 1_000_000
const MOST_ENTRIES_SHOWN = 10

/** What policy refuses unless a person says that it shall be. */
export type Acceptance = 'flood' | 'shrink'

/**
 * Tries a version to come on the newest verdicts.
 * @param last how many, about: as many of each partition
 * @param onRead told how many have been read, and of how many about
 * @throws {SluiceError} as `readTopic`
 */
export async function planChange(
  settings: Settings,
  policy: Policy,
  change: ListChange,
  { last = PLANNED_VERDICTS, onRead }: { last?: number; onRead: (read: number, total: number) => void },
): Promise<ListPlan> {
  const { add, plan } = createListPlan(change, policy)
  if (change.news.length === 0 && change.gone.size === 0) return plan()
  await readNewestVerdicts(settings, { last, onVerdict: add, onRead })
  return plan()
}

/** @throws {SluiceError} LIST_FLOOD, LIST_SHRINKS for what is beyond policy's bounds and was not accepted */
function refuseBeyond(plan: ListPlan, accepted: readonly Acceptance[]): void {
  const { list, floods, shrinks, verdicts, entries } = plan
  const cure = `nothing was written; \`sluice lists plan\` shows all of it`
  const [flood] = floods
  if (flood !== undefined && !accepted.includes('flood')) {
    const what = flood.entry === null ? 'the new version' : `entry ${flood.entry} of it`
    const sentence = `list ${list}: of the ${verdicts} items judged last, ${what} would hold ${flood.items} that were cleared, and policy allows ${flood.most}`
    throw new SluiceError('LIST_FLOOD', `${sentence}; ${cure}. If it is right, call again with --accept-flood`)
  }
  if (shrinks !== null && !accepted.includes('shrink')) {
    const sentence = `list ${list}: the new version lacks ${entries.lost} of the ${entries.before} entries in force, ${percent(shrinks)}: gone, newly withdrawn, or with none of their hashes`
    throw new SluiceError('LIST_SHRINKS', `${sentence}; ${cure}. If it is right, call again with --accept-shrink`)
  }
}

/** The words of a command that accept something. */
export type Accepting = { acceptFlood?: true; acceptShrink?: true }

export function acceptedBy({ acceptFlood, acceptShrink }: Accepting): Acceptance[] {
  return [...(acceptFlood ? (['flood'] as const) : []), ...(acceptShrink ? (['shrink'] as const) : [])]
}

/**
 * What an import asks before it writes anything: whether the change is within policy's bounds, or accepted.
 * @param tell told how far that is
 */
export function createCheck(
  settings: Settings,
  accepted: readonly Acceptance[],
  tell: (text: string) => void,
): (change: ListChange) => Promise<void> {
  const { policy } = readPolicy(settings.policy)
  return async (change) => {
    tell('trying the new version on what was judged lately')
    const onRead = (read: number, total: number): void => tell(`trying the new version: ${read} of ${total} verdicts`)
    refuseBeyond(await planChange(settings, policy, change, { onRead }), accepted)
  }
}

/** A plan for people. */
export function planText({
  list,
  entries,
  verdicts,
  cleared,
  held,
  heldAs,
  released,
  floods,
  shrinks,
}: ListPlan): string {
  const rows = [
    ['entries in force', entries.before],
    ['entries of the version to come', entries.after],
    ['new or changed', entries.news],
    ['gone or changed', entries.gone],
    ['  gone, newly withdrawn or with none of their hashes', entries.lost],
    ['verdicts looked at', verdicts],
    ['of these, cleared', cleared],
    ['would be held', `${held.items}${cleared > 0 ? `, ${percent(held.items / cleared)}` : ''}`],
    ...Object.entries(heldAs).map(([name, items]) => [`  ${name}`, items] as const),
    ['held by nothing any more', released],
  ] as const
  const most = Object.entries(held.entries)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST_ENTRIES_SHOWN)
  const beyond = [
    ...floods.map(({ entry, items, most: bound }) => {
      return `${entry === null ? 'the version' : `entry ${entry}`} would hold ${items} cleared items, policy allows ${bound}`
    }),
    ...(shrinks === null
      ? []
      : [`${percent(shrinks)} of the entries in force would be gone, withdrawn or without their hashes`]),
  ]
  return [
    asTable(
      [list, ''],
      rows.map((row) => [...row]),
    ),
    ...(most.length === 0 ? [] : [asTable(['entry', 'cleared items that it would hold'], most)]),
    ...beyond.map((what) => `Beyond policy: ${what}.`),
  ].join('\n')
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
