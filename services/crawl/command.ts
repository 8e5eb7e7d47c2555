import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import { showProgress } from '../platform/progress.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { keepYoungSpaceSmall } from '../platform/release-memory.ts'
import { policyFile, readSettings, type Settings } from '../platform/settings.ts'
import { asTable, megabytes } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { amendCommand } from './amend/command.ts'
import { type CheckCounts, checkAll } from './check.ts'
import { openCheckpoint } from './checkpoint.ts'
import { deliveryImporter } from './delivery.ts'
import { folderImporter } from './folder.ts'
import { img2datasetImporter } from './img2dataset.ts'
import { publishAll } from './import.ts'
import { badLines, type ImportCounts, noCounts } from './import-counts.ts'
import { createImportProgress } from './import-progress.ts'
import type { Import, Importer } from './importer.ts'
import { createProducer } from './producer.ts'
import { warcImporter } from './warc.ts'

/** Every importer; a further one is a file and a line here, before the folder, which takes everything. */
const importers: readonly Importer[] = [warcImporter, img2datasetImporter, deliveryImporter, folderImporter]

/** `sluice crawl IMPORTER SOURCE... [--all] [--json]`. */
export function crawlCommand(): Command {
  const crawl = new Command('crawl')
    .summary('publish items to the door topic')
    .description('Publishes items, each with what is known about it, to the door topic crawl.items.')
    .addHelpText('after', `\nExample:\n  ${importers[0]?.example}`)
  for (const importer of importers) crawl.addCommand(importCommand(importer))
  crawl.addCommand(amendCommand())
  crawl.addCommand(checkCommand())
  return crawl
}

/** `sluice crawl check PATH`, or `sluice crawl check IMPORTER SOURCE...` with that importer's options. */
function checkCommand(): Command {
  const check = new Command('check')
    .summary('say what an import would publish, without Kafka')
    .description(
      'Reads sources as an import would, publishes nothing, and says what it would publish, which facts are missing, and what policy would\n' +
        'say of that. What kind of source PATH is, is seen from its files; to name it, or to give its options: sluice crawl check IMPORTER SOURCE.',
    )
    .argument('[path]', 'source to check')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExit code 1 when something is bad or would be held.\n\nExample:\n  sluice crawl check crawl-00001.warc.gz',
    )
    .action(async (path: string | undefined, { json }: CommandOptions) => {
      if (path === undefined) return check.help({ error: true })
      const importer = await importerFor(path)
      await printCheck({ importer, sources: [path], options: defaultsOf(importer), all: false }, json === true)
    })
  for (const importer of importers) {
    const command = new Command(importer.name)
      .summary(`say what \`sluice crawl ${importer.name}\` would publish`)
      .description('Publishes nothing. Exit code 1 when something is bad or would be held.')
      .addHelpText('after', `\nExample:\n  ${importer.example.replace('sluice crawl', 'sluice crawl check')}`)
      .argument(`<${importer.argument}>`, importer.argumentMeaning)
      .addOption(allOption())
      .option('--json', 'print one JSON object')
    for (const option of importer.options()) command.addOption(option)
    check.addCommand(
      command.action(async (named: string | string[], { all, json, ...options }: CommandOptions) => {
        await printCheck({ importer, sources: [named].flat(), options, all: all === true }, json === true)
      }),
    )
  }
  return check
}

/** The first importer of the table that takes a path for a source of its own; a folder is taken last. */
async function importerFor(path: string): Promise<Importer> {
  for (const importer of importers) if (await importer.recognises(path)) return importer
  const names = importers.map(({ name }) => name).join(', ')
  throw new SluiceError(
    'USAGE',
    `${path} is no source that an importer knows: name one that is there, or its importer (${names})`,
  )
}

function defaultsOf(importer: Importer): Record<string, unknown> {
  return Object.fromEntries(
    importer.options().flatMap((option) => {
      return option.defaultValue === undefined ? [] : [[option.attributeName(), option.defaultValue]]
    }),
  )
}

async function printCheck(what: Import, json: boolean): Promise<void> {
  const { policy } = readPolicy(policyFile())
  const parts = await Array.fromAsync(what.importer.parts(what.sources, what.options))
  const progress = createImportProgress(parts)
  const stopProgress = showProgress(() => `${progress.text()}reading`)
  try {
    const counts = await checkAll(what, parts, policy, progress)
    process.stdout.write(json ? `${visible(JSON.stringify(counts))}\n` : `${checkTable(what, counts)}\n`)
    if (counts.bad > 0 || counts.held > 0) process.exitCode = 1
  } finally {
    stopProgress()
  }
}

function checkTable({ importer }: Import, counts: CheckCounts): string {
  const { published, held } = counts
  const missing = Object.entries(counts.missing).sort(([a], [b]) => (a < b ? -1 : 1))
  const row = [published, megabytes(counts.bytes), leftOutCount(counts), counts.bad]
  const lines = [`as ${importer.name}:`, asTable(['items', 'size', 'left out', 'bad'], [row]), ...notPublished(counts)]
  if (missing.length > 0) {
    const rows = missing.map(([name, { items, enforced }]) => [visible(name), items, enforced ? 'held' : 'counted'])
    lines.push(asTable(['supply kind: missing', 'items', 'policy'], rows))
  }
  const names = Object.keys(counts.reasons).sort().join(', ')
  lines.push(
    `Of ${published} items policy would hold ${held} for their provenance${names === '' ? '' : ` (${names})`}.`,
  )
  return lines.join('\n')
}

/** Payload bytes that may wait to be written: enough to keep the brokers busy, and little beside what a reader holds. */
const WINDOW_BYTES = 8 * 1_048_576

const help = `
What the gate can not inspect yet is left out and counted. An import that was cut off goes on where it was when it is called again with the same words;
what was under way is published again, with the same ids. A source that the disk does not give any more ends it with exit code 2. Exit code 1 when something could not be published for what it is.
`

function importCommand(importer: Importer): Command {
  const command = new Command(importer.name)
    .summary(importer.summary)
    .description(importer.description)
    .argument(`<${importer.argument}>`, importer.argumentMeaning)
    .addOption(allOption())
    .addOption(
      new Option('--json', 'print one JSON object: {published, bytes, inline, byReference, leftOut, bad, badList}'),
    )
    .addHelpText('after', `${help}\nExample:\n  ${importer.example}`)
  for (const option of importer.options()) command.addOption(option)
  return command.action(async (named: string | string[], { all, json, ...options }: CommandOptions) => {
    const counts = await run({ importer, sources: [named].flat(), options, all: all === true })
    process.stdout.write(json ? `${visible(JSON.stringify(counts))}\n` : `${countsTable(counts)}\n`)
    if (counts.bad > 0) process.exitCode = 1
  })
}

function allOption(): Option {
  return new Option('--all', 'also what the gate can not inspect yet; it will be held')
}

type CommandOptions = { all?: true; json?: true } & Record<string, unknown>

async function run(what: Import): Promise<ImportCounts> {
  keepYoungSpaceSmall()
  // All of them before anything is connected: a wrong source is told at once, and not when those before it are published.
  const parts = await Array.fromAsync(what.importer.parts(what.sources, what.options))
  const settings = readSettings()
  const publisher = await createProducer(settings, {
    source: `/sluice/crawl/${what.importer.name}`,
    bytes: WINDOW_BYTES,
  })
  const checkpoint = await doorEnds(settings)
    .then((ends) => openCheckpoint(what, settings, ends))
    .catch(async (error: unknown) => {
      await publisher.close()
      throw error
    })
  const counts = checkpoint.before ?? noCounts()
  if (checkpoint.before !== null)
    process.stderr.write(`going on after a former import that was cut off: ${counts.published} were published\n`)
  if (checkpoint.isLost)
    process.stderr.write('what a former import published is not on the topic any more: all of it is published anew\n')
  const progress = createImportProgress(parts)
  const stopProgress = showProgress(() => `${progress.text()}${counts.published} published, ${megabytes(counts.bytes)}`)
  try {
    await publishAll(what, parts, publisher, checkpoint, counts, progress)
  } finally {
    try {
      await publisher.close()
    } finally {
      stopProgress()
    }
  }
  return counts
}

/** By partition of the door: behind its last message. */
async function doorEnds(settings: Settings): Promise<Map<number, number>> {
  const { bounds } = await topicBounds(createKafka(settings, 'sluice-crawl'), prefixed(settings.prefix, DOOR))
  return new Map(bounds.map(({ partition, high }) => [partition, high]))
}

function countsTable(counts: ImportCounts): string {
  const { published, bytes, inline, byReference, bad } = counts
  const head = ['published', 'size', 'inline', 'by reference', 'left out', 'bad']
  const row = [published, megabytes(bytes), inline, byReference, leftOutCount(counts), bad]
  return [asTable(head, [row]), ...notPublished(counts)].join('\n')
}

function leftOutCount({ leftOut }: ImportCounts): number {
  return Object.values(leftOut).reduce((sum, count) => sum + count, 0)
}

/** What was left out, and what was bad. */
function notPublished({ leftOut, bad, badList }: ImportCounts): string[] {
  const out = Object.entries(leftOut).sort(([a], [b]) => (a < b ? -1 : 1))
  const lines: string[] = []
  if (out.length > 0)
    lines.push(
      asTable(
        ['left out', 'count'],
        out.map(([reason, count]) => [visible(reason), count]),
      ),
    )
  return [...lines, ...badLines({ bad, badList })]
}
