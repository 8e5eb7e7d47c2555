import { Command } from 'commander'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { folderImporter } from './folder.ts'
import type { Found, Importer } from './importer.ts'
import { createProducer } from './producer.ts'

/** Every importer; a further one is a file and a line here. */
const importers: readonly Importer[] = [folderImporter]

type Bad = Omit<Extract<Found, { kind: 'bad' }>, 'kind'>
type Summary = { published: number; bytes: number; inline: number; byReference: number; bad: Bad[] }

/** `sluice crawl IMPORTER SOURCE [--json]`. */
export function crawlCommand(): Command {
  const crawl = new Command('crawl')
    .summary('publish items to the door topic')
    .description('Publishes items, each with what is known about it, to the door topic crawl.items.')
    .addHelpText('after', `\nExample:\n  ${importers[0]?.example}`)
  for (const importer of importers) {
    crawl
      .command(importer.name)
      .summary(importer.summary)
      .description(importer.description)
      .argument(`<${importer.argument}>`, importer.argumentMeaning)
      .option('--json', 'print one JSON object: {published, bytes, inline, byReference, bad}')
      .addHelpText(
        'after',
        `\nExit code 1 when an item could not be published for what it is.\n\nExample:\n  ${importer.example}`,
      )
      .action(async (source: string, { json }: { json?: true }) => {
        const summary = await publishAll(importer, source)
        process.stdout.write(json ? `${JSON.stringify(summary)}\n` : `${summaryTable(summary)}\n`)
        if (summary.bad.length > 0) process.exitCode = 1
      })
  }
  return crawl
}

async function publishAll(importer: Importer, source: string): Promise<Summary> {
  const summary: Summary = { published: 0, bytes: 0, inline: 0, byReference: 0, bad: [] }
  const found = importer.read(source)[Symbol.asyncIterator]()
  // Before anything is connected, so that a wrong source is told at once.
  let next = await found.next()
  const producer = await createProducer(readSettings(), { source: `/sluice/crawl/${importer.name}` })
  const stopProgress = showProgress(() => `${summary.published} published, ${megabytes(summary.bytes)}`)
  try {
    for (; !next.done; next = await found.next()) {
      if (next.value.kind === 'bad') {
        const { file, field, expected } = next.value
        summary.bad.push({ file, field, expected })
        continue
      }
      const { collected } = next.value
      const { carriage } = await producer.publish(collected)
      summary.published++
      summary.bytes += collected.payload.length
      if (carriage === 'inline') summary.inline++
      else summary.byReference++
    }
  } finally {
    try {
      await producer.close()
    } finally {
      stopProgress()
    }
  }
  return summary
}

function summaryTable({ published, bytes, inline, byReference, bad }: Summary): string {
  const head = ['published', 'size', 'inline', 'by reference', 'bad']
  const counts = asTable(head, [[published, megabytes(bytes), inline, byReference, bad.length]])
  const lines = bad.map(
    ({ file, field, expected }) => `bad: ${file}${field === '' ? '' : `, field ${field}`}: ${expected}`,
  )
  return [counts, ...lines].join('\n')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
