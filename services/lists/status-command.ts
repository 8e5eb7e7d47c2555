import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { ALL_ENTRIES } from '../domain/hash-list.ts'
import { isEnforced, isPartlyInShadow } from '../domain/judge/judge.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { showProgress } from '../platform/progress.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings, type Settings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { countHeld, countMarked, type Marked } from './count-hits.ts'
import { type ListStatus, listStatus } from './status.ts'

const DAY_MS = 86_400_000

/** `sluice lists status`: what is in force. Exit code 1 when a list is not complete. */
export function statusCommand(): Command {
  return new Command('status')
    .summary('show every hash list: version, age, entries, what can be matched, complete or not')
    .description(
      'Shows every hash list on gate.hash-entries: its entries, how many of them this engine can not match by any of their ' +
        'hashes, what its members make of them, whether policy enforces it, how many items it has held within a day, and how many it has only marked, being in shadow. Exit code 1 when one of them is not complete.',
    )
    .option('--json', 'print the lists as one JSON array')
    .addHelpText('after', '\nExample:\n  sluice lists status --json')
    .action(async ({ json }: { json?: true }) => {
      const settings = readSettings()
      const lists = await openLists({
        kafka: createKafka(settings, 'sluice-lists'),
        registry: createRegistry(settings),
        prefix: settings.prefix,
      })
      const now = Date.now()
      const since = now - DAY_MS
      const { policy } = readPolicy(settings.policy)
      const states = lists.collector.states().map((state) => listStatus(state, now))
      await lists.close()
      const held = await countHeld(settings, since).catch(nullWhenDenied)
      const marking = states.filter((state) => isPartlyInShadow(policy, state))
      const marked = marking.length > 0 ? await countMarkedAloud(settings, since).catch(nullWhenDenied) : null
      const found = states.map((state): ToldList => {
        const marks = marking.includes(state) ? marked : null
        return {
          ...state,
          mode: isEnforced(policy, state.list) ? 'enforce' : 'shadow',
          hitsInLastDay: held === null ? null : (held.get(state.list) ?? 0),
          marksInLastDay: marks && (marks.byList.get(state.list) ?? 0),
          marksSince: marks && new Date(marks.since).toISOString(),
        }
      })
      process.stdout.write(json ? `${JSON.stringify(found)}\n` : `${tableOf(found, since)}\n`)
      if (found.some(({ complete }) => !complete)) process.exitCode = 1
    })
}

/** Whoever is on call may see what is in force, and nothing of what is held. */
function nullWhenDenied(error: unknown): null {
  if (error instanceof SluiceError && error.code === 'ACCESS_DENIED') return null
  throw error
}

async function countMarkedAloud(settings: Settings, since: number): Promise<Marked> {
  let said = 'counting what lists in shadow have marked'
  const stop = showProgress(() => said)
  try {
    return await countMarked(settings, since, (read, total) => {
      said = `counting what lists in shadow have marked: ${read} of ${total} verdicts`
    })
  } finally {
    stop()
  }
}

type ToldList = ListStatus & {
  mode: 'enforce' | 'shadow'
  /** items held; null where this principal may not read what is held */
  hitsInLastDay: number | null
  /** items that it would have held had it, or some of its entries, not been in shadow; null where nothing of it is, or this principal may not know */
  marksInLastDay: number | null
  /** since when none of these is left out: later than a day ago where there are too many verdicts */
  marksSince: string | null
}

/** @param since what was asked for, in milliseconds since the epoch: only a later moment is told */
function tableOf(lists: readonly ToldList[], since: number): string {
  if (lists.length === 0) return 'There is no hash list yet. Import one with `sluice lists import FILE --list NAME`.'
  const rows = lists.map(({ complete, changing, ...list }) => {
    const state = `${complete ? 'complete' : 'not complete'}${changing ? ', being changed' : ''}`
    const { version, ageHours, entries, unmatchable, mode, hitsInLastDay, marksInLastDay, marksSince } = list
    const isCut = marksSince !== null && Date.parse(marksSince) > since
    const marks = isCut ? `${marksInLastDay}, complete since ${marksSince}` : marksInLastDay
    const counted = [countsText(list.signals), unmatchable.entries, countsText(list.standings)]
    const shadowed = list.shadowed.includes(ALL_ENTRIES) ? 'all' : list.shadowed.length
    return [list.list, version ?? 'none', ageHours, entries, ...counted, mode, shadowed, hitsInLastDay, marks, state]
  })
  const columns = [
    'hashes',
    'not matchable',
    'standing',
    'policy',
    'in shadow',
    'held in a day',
    'marked in a day',
    'state',
  ]
  return asTable(['list', 'version', 'age in hours', 'entries', ...columns], rows)
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const told = Object.entries(counts).filter(([, count]) => count > 0)
  return told.map(([name, count]) => `${name} ${count}`).join(', ')
}
