import { Command } from 'commander'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { findExchange } from './exchanges/exchanges.ts'
import { type FetchCounts, fetchExchange } from './fetch-exchange.ts'
import { importList } from './import.ts'
import { findListsPlace, whoOption } from './lists-place.ts'
import { type Accepting, acceptedBy, createCheck } from './plan.ts'
import { tellReport } from './tell-report.ts'

type Options = { who: string; why?: string; json?: true } & Accepting

/** `sluice lists sync`: what an exchange has becomes its list's new version. */
export function syncCommand(): Command {
  return new Command('sync')
    .summary('fetch what is new from a hash exchange')
    .description(
      'Fetches what is new from a hash exchange and makes all of it the new version of the list of its name. Where it was ' +
        'stopped, it goes on. An unchanged list renews only the time of the check. The exchanges are named in the file of ' +
        'SLUICE_EXCHANGES; services/lists/exchanges/README.md tells what stands there.',
    )
    .argument('<exchange>', 'name of the exchange and of its list')
    .addOption(whoOption())
    .option('--why <text>', 'why; kept with the version')
    .option('--accept-flood', 'make it also where it would hold more than policy allows; kept with the version')
    .option('--accept-shrink', 'make it also where it lacks more than policy allows; kept with the version')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  sluice lists sync ncmec-industry')
    .action(async (name: string, { who, why, json, ...accepting }: Options) => {
      const settings = readSettings()
      const { exchanges: file, exchangeState: folder } = settings
      const accepted = acceptedBy(accepting)
      const exchange = findExchange(name, file)
      let counts: FetchCounts = { pages: 0, read: 0, corrupt: 0 }
      let progress = `asking ${name}`
      const onPage = (now: FetchCounts): void => {
        counts = now
        progress = `${name}: ${now.pages} pages, ${now.read} entries, ${now.corrupt} of them corrupt`
      }
      const stop = showProgress(() => progress)
      const report = await fetchExchange({ name, exchange, folder, onPage }, async ({ entries, checkedAt }) => {
        return importList({
          ...(await findListsPlace()),
          list: name,
          next: { entries, checkedAt, cause: { act: 'sync', who, why: why ?? null, of: null, accepted } },
          check: createCheck(settings, accepted, (text) => {
            progress = text
          }),
          now: Date.now(),
          onProgress: (done, total) => {
            progress = `writing the list: ${done} of ${total}`
          },
        })
      }).finally(stop)
      tellReport(report, json, counts)
    })
}
