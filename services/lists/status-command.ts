import { Command } from 'commander'
import { createKafka } from '../platform/kafka/client.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { type ListStatus, listStatus } from './status.ts'

/** `sluice lists status`: what is in force. Exit code 1 when a list is not complete. */
export function statusCommand(): Command {
  return new Command('status')
    .summary('show every hash list: version, age, entries, what can be matched, complete or not')
    .description(
      'Shows every hash list on gate.hash-entries: its entries, how many of them this engine can not match by any of their ' +
        'hashes, and what its members make of them. Exit code 1 when one of them is not complete.',
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
      const found = lists.collector.states().map((state) => listStatus(state, now))
      await lists.close()
      process.stdout.write(json ? `${JSON.stringify(found)}\n` : `${tableOf(found)}\n`)
      if (found.some(({ complete }) => !complete)) process.exitCode = 1
    })
}

function tableOf(lists: readonly ListStatus[]): string {
  if (lists.length === 0) return 'There is no hash list yet. Import one with `sluice lists import FILE --list NAME`.'
  const rows = lists.map(({ complete, changing, ...list }) => {
    const state = `${complete ? 'complete' : 'not complete'}${changing ? ', being changed' : ''}`
    const { version, ageHours, entries, unmatchable } = list
    const counted = [countsText(list.signals), unmatchable.entries, countsText(list.standings)]
    return [list.list, version ?? 'none', ageHours, entries, ...counted, state]
  })
  return asTable(['list', 'version', 'age in hours', 'entries', 'hashes', 'not matchable', 'standing', 'state'], rows)
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const told = Object.entries(counts).filter(([, count]) => count > 0)
  return told.map(([name, count]) => `${name} ${count}`).join(', ')
}
