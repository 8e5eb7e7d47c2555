import { Command } from 'commander'
import { createVersionPlaces } from '../domain/list-news.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { askCluster } from './ask-cluster.ts'
import { listsNow } from './lists-now.ts'
import { openProgress } from './progress.ts'
import { readRecalls } from './recalls.ts'
import { sentenceOf } from './run-command.ts'
import { recallStatus } from './status.ts'

const help = `
How far recall is stands in a file of the machine that runs it (SLUICE_RECALL); what is recalled stands on gate.recalls. Exit code 1 when a list waits for a
person.

Example:
  sluice recall status --json`

/** `sluice recall status`: how far each list is, and what waits. */
export function statusCommand(): Command {
  return new Command('status')
    .summary('show how far what was cleared has been compared, and what waits for a person')
    .description('Shows for each list that policy enforces how far what was cleared has been compared with it.')
    .option('--json', 'print one JSON object: {lists, verdicts, recalled, withdrawn, floods}')
    .addHelpText('after', help)
    .action(async ({ json }: { json?: true }) => {
      const settings = readSettings()
      const { policy } = readPolicy(settings.policy)
      const registry = createRegistry(settings)
      const { id, ends } = await askCluster(settings)
      const places = createVersionPlaces()
      const kafka = createKafka(settings, 'sluice-recall')
      const lists = await openLists({ kafka, registry, prefix: settings.prefix, onVersion: places.note })
      await lists.close()
      const { versions } = listsNow(lists.collector, places, policy)
      const progress = await openProgress(settings.recall, settings.prefix, id).read()
      const recalls = [...(await readRecalls(settings, registry)).values()]
      const status = recallStatus(versions, progress, recalls, ends, policy)
      if (json) process.stdout.write(`${visible(JSON.stringify(status))}\n`)
      else {
        const { verdicts, recalled, withdrawn } = status
        const rows = status.lists.map((one) => [one.list, one.version, one.state, one.recalled, one.withdrawn])
        const table = asTable(['list', 'version in force', 'state', 'recalled', 'withdrawn'], rows)
        const read = `${verdicts.compared} of ${verdicts.total} records compared with these versions`
        process.stdout.write(`${table}\n${read}; ${recalled} items recalled, ${withdrawn} withdrawn\n`)
        for (const flood of status.floods) process.stdout.write(`${sentenceOf(flood)}\n`)
      }
      if (status.floods.length > 0) process.exitCode = 1
    })
}
