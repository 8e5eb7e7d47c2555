import { Command, Option } from 'commander'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { openCheckpoint } from './checkpoint.ts'
import { folderImporter } from './folder.ts'
import { type Import, type ImportCounts, noCounts, publishAll } from './import.ts'
import type { Importer } from './importer.ts'
import { createProducer } from './producer.ts'

/** Every importer; a further one is a file and a line here. */
const importers: readonly Importer[] = [folderImporter]

/** `sluice crawl IMPORTER SOURCE... [--all] [--json]`. */
export function crawlCommand(): Command {
  const crawl = new Command('crawl')
    .summary('publish items to the door topic')
    .description('Publishes items, each with what is known about it, to the door topic crawl.items.')
    .addHelpText('after', `\nExample:\n  ${importers[0]?.example}`)
  for (const importer of importers) crawl.addCommand(importCommand(importer))
  return crawl
}

const help = `
What the gate can not inspect yet is left out and counted. An import that was cut off goes on where it was when it is called again with the same words;
what was under way is published again, with the same ids. Exit code 1 when something could not be published for what it is.
`

function importCommand(importer: Importer): Command {
  const command = new Command(importer.name)
    .summary(importer.summary)
    .description(importer.description)
    .argument(`<${importer.argument}>`, importer.argumentMeaning)
    .addOption(new Option('--all', 'publish also what the gate can not inspect yet; it will be held'))
    .addOption(
      new Option('--json', 'print one JSON object: {published, bytes, inline, byReference, leftOut, bad, badList}'),
    )
    .addHelpText('after', `${help}\nExample:\n  ${importer.example}`)
  for (const option of importer.options()) command.addOption(option)
  return command.action(async (named: string | string[], { all, json, ...options }: CommandOptions) => {
    const counts = await run({ importer, sources: [named].flat(), options, all: all === true })
    process.stdout.write(json ? `${JSON.stringify(counts)}\n` : `${countsTable(counts)}\n`)
    if (counts.bad > 0) process.exitCode = 1
  })
}

type CommandOptions = { all?: true; json?: true } & Record<string, unknown>

async function run(what: Import): Promise<ImportCounts> {
  // Before anything is connected, so that a wrong source is told at once.
  for await (const _ of what.importer.parts(what.sources, what.options)) break
  const settings = readSettings()
  const checkpoint = await openCheckpoint(what, settings)
  const counts = checkpoint.before ?? noCounts()
  if (checkpoint.before !== null)
    process.stderr.write(`going on after a former import that was cut off: ${counts.published} were published\n`)
  const publisher = await createProducer(settings, { source: `/sluice/crawl/${what.importer.name}` })
  const stopProgress = showProgress(() => `${counts.published} published, ${megabytes(counts.bytes)}`)
  try {
    await publishAll(what, publisher, checkpoint, counts)
  } finally {
    try {
      await publisher.close()
    } finally {
      stopProgress()
    }
  }
  return counts
}

function countsTable({ published, bytes, inline, byReference, leftOut, bad, badList }: ImportCounts): string {
  const out = Object.entries(leftOut).sort(([a], [b]) => (a < b ? -1 : 1))
  const leftOutCount = out.reduce((sum, [, count]) => sum + count, 0)
  const head = ['published', 'size', 'inline', 'by reference', 'left out', 'bad']
  const lines = [asTable(head, [[published, megabytes(bytes), inline, byReference, leftOutCount, bad]])]
  if (out.length > 0)
    lines.push(
      asTable(
        ['left out', 'count'],
        out.map(([reason, count]) => [visible(reason), count]),
      ),
    )
  for (const { file, field, expected } of badList) {
    lines.push(visible(`bad: ${file}${field === '' ? '' : `, field ${field}`}: ${expected}`))
  }
  if (bad > badList.length) lines.push(`and ${bad - badList.length} more`)
  return lines.join('\n')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
