import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { readKeptVersion } from '../platform/kept-versions.ts'
import { showProgress } from '../platform/progress.ts'
import { importList, type NextVersion } from './import.ts'
import { checkListName, findListsPlace, whoOption, whyOption } from './lists-place.ts'
import { tellReport } from './tell-report.ts'

type Options = { to: string; who: string; why: string; json?: true }

/** `sluice lists rollback`: an earlier version's entries become the newest version. */
export function rollbackCommand(): Command {
  return new Command('rollback')
    .summary('bring an earlier version of a hash list back')
    .description(
      'Makes the entries of an earlier version the new version of the list: every gate judges by them within seconds. What is in shadow stays in shadow. ' +
        'The next import or sync brings a new version again.',
    )
    .argument('<list>', 'name of the list')
    .requiredOption('--to <version>', 'the version to go back to, as `sluice lists versions` shows it')
    .addOption(whoOption())
    .addOption(whyOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  sluice lists rollback stand-in --to 2026-11-28T09:00:00.000Z-0123456789ab --why "holds half of all items"',
    )
    .action(async (list: string, { to, who, why, json }: Options) => {
      checkListName(list)
      const now = Date.now()
      const place = await findListsPlace()
      let progress = `reading ${list}`
      const stop = showProgress(() => progress)
      const report = await importList({
        ...place,
        list,
        now,
        onProgress: (done, total) => {
          progress = `writing the list: ${done} of ${total}`
        },
        async next({ inForce, manifests }): Promise<NextVersion> {
          const manifest = manifests.find(({ version }) => version === to)
          if (manifest === undefined) {
            throw new SluiceError(
              'VERSION_MISSING',
              `list ${list} has no version ${to}: see \`sluice lists versions ${list}\``,
            )
          }
          const entries = await readKeptVersion(place.store, manifest)
          // The source was asked when it was; that a person prefers what it said before makes the list no older.
          const checkedAt = Math.max(manifest.checkedAt, inForce?.checkedAt ?? 0)
          return { entries, checkedAt, cause: { act: 'rollback', who, why, of: to, accepted: [] } }
        },
      }).finally(stop)
      tellReport(report, json)
    })
}
