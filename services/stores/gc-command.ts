import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { showProgress } from '../platform/progress.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { type CollectedStore, type CollectReport, collect, collectedStores } from './collect.ts'

const help = `
A crash leaves objects that no record came to refer to, and drafts. What is older than a week and nothing refers to is needless; so is in intake what is
older than that and than the door keeps its records, once all of those are judged: but what a held item names and held has no copy of stays, for as long
as the item is held. Gates, crawlers and recall may be running.

Example:
  sluice store gc --dry-run
  sluice store gc --apply --store intake --json`

type Words = { dryRun?: true; apply?: true; store?: CollectedStore; json?: true }

/** `sluice store gc`: counts what nothing refers to, or takes it away. */
export function gcCommand(): Command {
  return new Command('gc')
    .summary('find, or take away, what nothing refers to')
    .description(
      'Finds objects that no record refers to and what was never finished, and takes them away when told to.',
    )
    .option('--dry-run', 'only count')
    .option('--apply', 'take away')
    .addOption(new Option('--store <store>', 'only this one').choices([...collectedStores]))
    .option('--json', 'print the result as one JSON array')
    .addHelpText('after', help)
    .action(async ({ dryRun, apply, store, json }: Words) => {
      if ((dryRun === true) === (apply === true)) {
        throw new SluiceError('USAGE', 'expected one of --dry-run and --apply')
      }
      const settings = readSettings()
      const registry = createRegistry(settings)
      let said = 'asking the stores'
      const stop = showProgress(() => said)
      const reports: CollectReport[] = []
      try {
        for (const name of store === undefined ? collectedStores : [store]) {
          const onProgress = (text: string): void => {
            said = text
          }
          reports.push(
            await collect({ settings, registry, store: name, apply: apply === true, now: Date.now(), onProgress }),
          )
        }
      } finally {
        stop()
      }
      process.stdout.write(json === true ? `${JSON.stringify(reports)}\n` : `${tableOf(reports)}\n`)
    })
}

function tableOf(reports: readonly CollectReport[]): string {
  return asTable(
    ['store', 'objects', 'young', 'referred to', 'needless', 'bytes', 'old drafts', 'removed'],
    reports.map((each) => [
      each.store,
      each.objects,
      each.young,
      each.referred,
      each.unreferred,
      each.unreferredBytes,
      each.drafts,
      each.removed,
    ]),
  )
}
