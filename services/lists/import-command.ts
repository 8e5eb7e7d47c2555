import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { LIST_NAME } from '../domain/hash-list.ts'
import { readHashListFile } from '../platform/hash-list-file.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { importList } from './import.ts'

const PROGRESS_AFTER_MS = 2000
const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

type Options = { list: string; checkedAt?: string; json?: true }

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
    .argument('<file>', 'CSV file with a header line, or JSON lines')
    .requiredOption('--list <name>', 'name of the list, as the policy names it')
    .option('--checked-at <time>', 'when the source was last known to be current, ISO 8601 (default: now)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  sluice lists import known.csv --list stand-in')
    .action(async (file: string, { list, checkedAt, json }: Options) => {
      const now = Date.now()
      if (!LIST_NAME.test(list)) {
        throw new SluiceError('USAGE', '--list: expected 1 to 64 of a-z 0-9 . _ - beginning with a letter or digit')
      }
      const checked = checkedAt === undefined ? now : parseTime(checkedAt, now)
      const { entries, lowQuality, rowsLeftOut } = await readHashListFile(file, list)
      const settings = readSettings()
      const report = await importList({
        kafka: createKafka(settings, 'sluice-lists'),
        registry: createRegistry(settings),
        prefix: settings.prefix,
        list,
        entries,
        checkedAt: checked,
        now,
        onProgress: progressSince(now),
      })
      const result = { ...report, lowQuality, rowsLeftOut }
      if (json) {
        process.stdout.write(`${JSON.stringify(result)}\n`)
        return
      }
      const table = asTable(
        ['list', 'entries', 'added', 'changed', 'removed', 'unchanged', 'poor PDQ left out'],
        [[list, report.entries, report.added, report.changed, report.removed, report.unchanged, lowQuality]],
      )
      process.stdout.write(`${table}\nversion ${report.version}, checked at ${report.checkedAt}\n`)
    })
}

function parseTime(text: string, now: number): number {
  const time = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time) || time > now) {
    throw new SluiceError('USAGE', '--checked-at: expected an ISO 8601 time that is past, such as 2026-01-31T12:00:00Z')
  }
  return time
}

/** Progress on stderr once the work has taken more than two seconds. */
function progressSince(start: number): (done: number, total: number) => void {
  let shown = start + PROGRESS_AFTER_MS - 1000
  return (done, total) => {
    if (Date.now() < shown + 1000) return
    shown = Date.now()
    process.stderr.write(`writing the list: ${done} of ${total}\n`)
  }
}
