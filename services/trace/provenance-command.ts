import { once } from 'node:events'
import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { showProgress } from '../platform/progress.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { createCompleteness, factNames, type GroupCompleteness, type Grouping, groupings } from './completeness.ts'
import { gapLine, gapOf, gapsHeader } from './gaps.ts'
import { printedJson } from './printed.ts'
import { readEnvelopes } from './read-envelopes.ts'

const groupingNames = Object.keys(groupings) as Grouping[]

const help = `
Reads gate.envelopes, where every judged item is, cleared ones too. A message that \`sluice crawl amend\` has amended counts as amended; one that came
twice for another reason counts twice. "held" are the items that the policy file, as it is now, would hold for what they lack. Domains are host names.
With --rows: one line for each item of the supplier that lacks something, by the supplier's own shard and row, as CSV or JSON lines. It says nothing of
matches or verdicts, so it may be sent to the supplier; the answer comes in by \`sluice crawl amend\`.

Example:
  sluice provenance report --by source-domain
  sluice provenance report --supplier 'Example Pictures' --rows > gaps.csv
`

type ReportOptions = { by?: Grouping; supplier?: string; rows?: true; json?: true }

/** `sluice provenance report`: how complete what is known is, and where it is not. */
export function provenanceCommand(): Command {
  const report = new Command('report')
    .summary('tell how complete what is known of the items is')
    .description('Tells for each supplier, dataset and source domain how much is known of its items.')
    .addOption(new Option('--by <grouping>', 'only by this').choices(groupingNames))
    .option('--supplier <name>', 'only items of this supplier')
    .option('--rows', "list the supplier's items that lack something")
    .option(
      '--json',
      'print one JSON object, {items, by}; with --rows one a line, {shard, row, itemId, required, wanted}',
    )
    .addHelpText('after', help)
    .action(async (options: ReportOptions) => {
      const { supplier, rows, by } = options
      if (rows && supplier === undefined)
        throw new SluiceError('USAGE', '--rows lists one supplier: name it with --supplier')
      if (rows && by !== undefined)
        throw new SluiceError('USAGE', '--rows lists items and --by groups: give one of them')
      let read = 0
      const stopProgress = showProgress(() => `${read} records read`)
      try {
        await (rows ? listRows : printReport)(options, () => {
          read += 1
        })
      } finally {
        stopProgress()
      }
    })
  return new Command('provenance')
    .summary('tell how complete what is known of the items is')
    .description('Where items come from, and what is missing of it.')
    .addHelpText('after', '\nExample:\n  sluice provenance report --by supplier')
    .addCommand(report)
}

async function printReport({ by, supplier, json }: ReportOptions, onRecord: () => void): Promise<void> {
  const settings = readSettings()
  const { policy } = readPolicy(settings.policy)
  const counts = (by === undefined ? groupingNames : [by]).map((grouping) => ({
    grouping,
    completeness: createCompleteness(grouping, policy),
  }))
  let items = 0
  await readEnvelopes(settings, {
    onRecord,
    onEnvelope(envelope) {
      if (supplier !== undefined && envelope.supply?.supplier !== supplier) return
      items += 1
      for (const { completeness } of counts) completeness.add(envelope)
    },
  })
  const found = counts.map(({ grouping, completeness }) => [grouping, completeness.groups()] as const)
  const text = json
    ? printedJson({ items, by: Object.fromEntries(found) })
    : [`${items} items`, ...found.map(([grouping, groups]) => tableOf(grouping, groups))].join('\n')
  process.stdout.write(`${text}\n`)
}

async function listRows({ supplier, json }: ReportOptions, onRecord: () => void): Promise<void> {
  const settings = readSettings()
  const { policy } = readPolicy(settings.policy)
  if (!json) await print(gapsHeader)
  await readEnvelopes(settings, {
    onRecord,
    onEnvelope(envelope) {
      const gap = envelope.supply?.supplier === supplier ? gapOf(envelope, policy) : null
      return gap === null ? undefined : print(json ? printedJson(gap) : gapLine(gap))
    },
  })
}

/** Waits where whoever reads it is slower than the topic. */
async function print(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

function tableOf(grouping: Grouping, groups: readonly GroupCompleteness[]): string {
  const rows = groups.map(({ name, others, items, facts, actionable, held }) => [
    others ? '(others)' : name === null ? '(not told)' : visible(name),
    items,
    ...factNames().map((fact) => percent(facts[fact] ?? 0, items)),
    percent(actionable, items),
    held,
  ])
  return asTable([grouping.replace('-', ' '), 'items', ...factNames(), 'actionable', 'held'], rows)
}

/** Rounded down, so that 100 % means all of them. */
function percent(part: number, whole: number): string {
  return `${Math.floor((100 * part) / whole)} %`
}
