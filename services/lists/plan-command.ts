import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import type { PackedEntries } from '../domain/packed-entries.ts'
import { readHashListFile } from '../platform/hash-list-file.ts'
import { showProgress } from '../platform/progress.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { readSettings } from '../platform/settings.ts'
import { visibleLines } from '../platform/visible.ts'
import { findExchange } from './exchanges/exchanges.ts'
import { type FetchCounts, fetchExchange } from './fetch-exchange.ts'
import { readChange } from './import.ts'
import { checkListName, findListsPlace } from './lists-place.ts'
import { PLANNED_VERDICTS, planChange, planText } from './plan.ts'

type Options = { list?: string; exchange?: string; last: number; json?: true }

/** `sluice lists plan`: what a version to come would do. Exit code 1 when it is beyond policy's bounds. */
export function planCommand(): Command {
  return new Command('plan')
    .summary('try a new version of a hash list on what was judged lately, without making it')
    .description(
      'Tries a new version of a hash list on the newest verdicts: how many cleared items it would hold and by which entries, and how many held ones ' +
        'nothing would hold any more. Nothing is written. Exit code 1 when that is beyond the bounds of the policy.',
    )
    .argument('[file]', 'list file, as for `sluice lists import`')
    .option('--list <name>', 'name of the list that the file is for')
    .option('--exchange <name>', 'instead of a file: what the exchange has')
    .addOption(new Option('--last <verdicts>', 'how many verdicts').default(PLANNED_VERDICTS).argParser(Number))
    .option('--json', 'print the plan as JSON')
    .addHelpText('after', '\nExample:\n  sluice lists plan known.csv --list stand-in')
    .action(async (file: string | undefined, { list: given, exchange, last, json }: Options) => {
      const list = exchange ?? given
      if ((file === undefined) === (exchange === undefined) || list === undefined) {
        throw new SluiceError('USAGE', 'expected either FILE --list NAME, or --exchange NAME')
      }
      if (!Number.isInteger(last) || last < 1) throw new SluiceError('USAGE', '--last: expected a number of verdicts')
      checkListName(list)
      const settings = readSettings()
      const { policy } = readPolicy(settings.policy)
      let said = `reading ${list}`
      const fetched = (): Promise<PackedEntries> => {
        const exchange = findExchange(list, settings.exchanges)
        const onPage = ({ pages, read }: FetchCounts): void => {
          said = `${list}: ${pages} pages, ${read} entries`
        }
        const options = { name: list, exchange, folder: settings.exchangeState, onPage, isTrial: true }
        return fetchExchange(options, async (all) => all.entries)
      }
      const stop = showProgress(() => said)
      try {
        const entries = file === undefined ? await fetched() : (await readHashListFile(file, list)).entries
        const change = await readChange(await findListsPlace(), list, entries)
        const plan = await planChange(settings, policy, change, {
          last,
          onRead: (read, total) => {
            said = `${read} of ${total} verdicts`
          },
        })
        process.stdout.write(`${json ? JSON.stringify(plan) : visibleLines(planText(plan))}\n`)
        if (plan.floods.length > 0 || plan.shrinks !== null) process.exitCode = 1
      } finally {
        stop()
      }
    })
}
