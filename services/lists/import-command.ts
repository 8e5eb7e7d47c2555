import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { readHashListFile } from '../platform/hash-list-file.ts'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { importList } from './import.ts'
import { checkListName, findListsPlace, whoOption } from './lists-place.ts'
import { type Accepting, acceptedBy, createCheck } from './plan.ts'
import { tellReport } from './tell-report.ts'

const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

type Options = { list: string; checkedAt?: string; who: string; why?: string; json?: true } & Accepting

/** `sluice lists import`: a file becomes the list's new version. */
export function importCommand(): Command {
  return new Command('import')
    .summary('make a file the new version of a hash list')
    .description(
      'Makes a CSV file, or one of JSON lines, the new version of a hash list. Columns: id (optional), md5, sha1, sha256, pdq, ' +
        'signal:NAME for hashes that are only kept and counted (hex; at least one of these), ' +
        'quality (of the PDQ hash; below 50 that hash is left out), classification, ' +
        'opinions (MEMBER:OPINION, several apart by ;, each positive, negative or seed), withdrawn (true or false). ' +
        'JSON lines have the same names; their opinions are a list of {"member": ..., "opinion": ...}. ' +
        'An unchanged file renews only the time of the check.',
    )
    .argument('<file>', 'CSV file with a header line, or JSON lines; also s3://BUCKET/KEY')
    .requiredOption('--list <name>', 'name of the list, as the policy names it')
    .option('--checked-at <time>', 'when the source was last known to be current, ISO 8601 (default: now)')
    .addOption(whoOption())
    .option('--why <text>', 'why; kept with the version')
    .option('--accept-flood', 'make it also where it would hold more than policy allows; kept with the version')
    .option('--accept-shrink', 'make it also where it lacks more than policy allows; kept with the version')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  sluice lists import known.csv --list stand-in')
    .action(async (file: string, { list, checkedAt, who, why, json, ...accepting }: Options) => {
      const now = Date.now()
      checkListName(list)
      const checked = checkedAt === undefined ? now : parseTime(checkedAt, now)
      const { entries, lowQuality, rowsLeftOut } = await readHashListFile(file, list)
      const accepted = acceptedBy(accepting)
      let progress = `reading ${list}`
      const check = createCheck(readSettings(), accepted, (text) => {
        progress = text
      })
      const place = await findListsPlace()
      const stop = showProgress(() => progress)
      const report = await importList({
        ...place,
        list,
        next: { entries, checkedAt: checked, cause: { act: 'import', who, why: why ?? null, of: null, accepted } },
        check,
        now,
        onProgress: (done, total) => {
          progress = `writing the list: ${done} of ${total}`
        },
      }).finally(stop)
      tellReport(report, json, { lowQuality, rowsLeftOut })
    })
}

function parseTime(text: string, now: number): number {
  const time = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time) || time > now) {
    throw new SluiceError('USAGE', '--checked-at: expected an ISO 8601 time that is past, such as 2026-01-31T12:00:00Z')
  }
  return time
}
