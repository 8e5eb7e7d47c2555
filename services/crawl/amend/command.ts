import { Command } from 'commander'
import { showProgress } from '../../platform/progress.ts'
import { readSettings } from '../../platform/settings.ts'
import { asTable } from '../../platform/table.ts'
import { visible } from '../../platform/visible.ts'
import { badLines } from '../import-counts.ts'
import { type AmendCounts, type AmendWords, amend } from './amend.ts'

const help = `
FILE is CSV with a header line, JSON lines (.jsonl, .ndjson) or Parquet. The column itemId, or coordinates (TOPIC/PARTITION/OFFSET on the
door), names the item; the others are fields of the envelope by their dotted names, such as acquisition.requestedUrl. The list that
\`sluice provenance report --supplier NAME --rows\` wrote may be filled in and given back: its own columns are passed over.
A field that tells something already is not overwritten: that row is bad. The bytes need not be at hand: the new message refers to those that the gate has
seen. Exit code 1 when a row is bad. Takes the right to read gate.verdicts and gate.envelopes, and to write the door.

Example:
  sluice crawl amend --manifest answer.csv --source 'letter of 3 March' --added-by 'A. Example'
`

/** `sluice crawl amend`: items once more, with facts that were missing. */
export function amendCommand(): Command {
  return new Command('amend')
    .summary('add facts to items that were published without them')
    .description('Publishes items once more with what was learnt of them since. They are judged like any others.')
    .requiredOption('--manifest <file>', 'the facts: one row for each item')
    .requiredOption('--source <text>', 'where the facts come from; stands in the envelope')
    .requiredOption('--added-by <name>', 'who adds them; stands in the envelope')
    .option('--json', 'print one JSON object: {rows, amended, unchanged, bad, badList}')
    .addHelpText('after', help)
    .action(async ({ json, ...words }: AmendWords & { json?: true }) => {
      const counts: AmendCounts = { rows: 0, amended: 0, unchanged: 0, bad: 0, badList: [] }
      const stopProgress = showProgress(() => `${counts.rows} rows, ${counts.amended} amended`)
      try {
        await amend(readSettings(), words, counts, Date.now())
      } finally {
        stopProgress()
      }
      process.stdout.write(json ? `${visible(JSON.stringify(counts))}\n` : `${countsText(counts)}\n`)
      if (counts.bad > 0) process.exitCode = 1
    })
}

function countsText(counts: AmendCounts): string {
  const { rows, amended, unchanged, bad } = counts
  const table = asTable(['rows', 'amended', 'unchanged', 'bad'], [[rows, amended, unchanged, bad]])
  return [table, ...badLines(counts)].join('\n')
}
