import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { ALL_ENTRIES } from '../domain/hash-list.ts'
import { isEnforced } from '../domain/judge/judge.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { countHits } from './count-hits.ts'
import { type ListStatus, listStatus } from './status.ts'

const DAY_MS = 86_400_000

/** `sluice lists status`: what is in force. Exit code 1 when a list is not complete. */
export function statusCommand(): Command {
  return new Command('status')
    .summary('show every hash list: version, age, entries, what can be matched, complete or not')
    .description(
      'Shows every hash list on gate.hash-entries: its entries, how many of them this engine can not match by any of their ' +
        'hashes, what its members make of them, whether policy enforces it, and how many items it has held within a day. Exit code 1 when one of them is not complete.',
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
      const { policy } = readPolicy(settings.policy)
      const hits = await countHits(settings, now - DAY_MS)
        .catch((error: unknown) => {
          // Whoever is on call may see what is in force, and nothing of what is held.
          if (error instanceof SluiceError && error.code === 'ACCESS_DENIED') return null
          throw error
        })
        .finally(() => lists.close())
      const found = lists.collector.states().map((state) => ({
        ...listStatus(state, now),
        mode: isEnforced(policy, state.list) ? ('enforce' as const) : ('shadow' as const),
        hitsInLastDay: hits === null ? null : (hits.get(state.list) ?? 0),
      }))
      process.stdout.write(json ? `${JSON.stringify(found)}\n` : `${tableOf(found)}\n`)
      if (found.some(({ complete }) => !complete)) process.exitCode = 1
    })
}

type ToldList = ListStatus & {
  mode: 'enforce' | 'shadow' /** null where this principal may not read what is held */
  hitsInLastDay: number | null
}

function tableOf(lists: readonly ToldList[]): string {
  if (lists.length === 0) return 'There is no hash list yet. Import one with `sluice lists import FILE --list NAME`.'
  const rows = lists.map(({ complete, changing, ...list }) => {
    const state = `${complete ? 'complete' : 'not complete'}${changing ? ', being changed' : ''}`
    const { version, ageHours, entries, unmatchable, mode, hitsInLastDay } = list
    const counted = [countsText(list.signals), unmatchable.entries, countsText(list.standings)]
    const shadowed = list.shadowed.includes(ALL_ENTRIES) ? 'all' : list.shadowed.length
    return [list.list, version ?? 'none', ageHours, entries, ...counted, mode, shadowed, hitsInLastDay, state]
  })
  const columns = ['hashes', 'not matchable', 'standing', 'policy', 'in shadow', 'held in a day', 'state']
  return asTable(['list', 'version', 'age in hours', 'entries', ...columns], rows)
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const told = Object.entries(counts).filter(([, count]) => count > 0)
  return told.map(([name, count]) => `${name} ${count}`).join(', ')
}
