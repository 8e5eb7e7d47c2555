import { Command, InvalidArgumentError, Option } from 'commander'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable, megabytes } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import type { About } from './dataset/dataset.ts'
import { shardName } from './dataset/dataset.ts'
import { type ExportReport, exportDataset } from './dataset/export.ts'
import { MOST_ITEMS } from './dataset/shard-tar.ts'
import { readSnapshot } from './snapshot.ts'

const SHARD_BYTES = 268_435_456
const SHARD_ITEMS = 10_000
/** Of items that are named one by one. */
const MOST_NAMED = 100

type Options = {
  shardBytes: number
  shardItems: number
  partitions?: number[]
  snapshot?: string
  to?: 'now'
  name?: string
  url?: string
  creator?: string
  json?: true
}

/** `sluice train export DIR`. */
export function exportCommand(): Command {
  return new Command('export')
    .summary('write what was cleared into WebDataset shards')
    .description(
      'Proves each item (receipt, key, digest, recalls), and writes shards/NNNNNN.tar with its JSON, its receipt and its bytes, a Parquet manifest\n' +
        'and Croissant metadata. One that was cut off goes on where it was; one that was complete goes on with what came since.',
    )
    .argument('<dir>', 'folder of the dataset; made where there is none')
    .option('--shard-bytes <n>', 'a shard ends behind the item that makes it so long', positive, SHARD_BYTES)
    .option('--shard-items <n>', 'items in a shard, at most', itemsOfShard, SHARD_ITEMS)
    .addOption(
      new Option(
        '--to <end>',
        'where one that was cut off goes on, up to where: now; default: what was there when it began',
      ).choices(['now']),
    )
    .option('--partitions <list>', 'only these, e.g. 0,2; default: all', partitionList)
    .addOption(
      new Option(
        '--snapshot <file>',
        'exactly what another export was made of, as its dataset.json says; made in one go, it is the same to the byte, less what was recalled since',
      ).conflicts('partitions'),
    )
    .option('--name <text>', 'what the dataset is called in its metadata')
    .option('--url <url>', 'where it can be found, for its metadata')
    .option('--creator <text>', 'who has made it, for its metadata')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExit code 1 when something was exported before and recalled since.\n\nExample:\n  sluice train export datasets/boats',
    )
    .action(async (folder: string, options: Options) => {
      const { shardBytes, shardItems, partitions, to, json } = options
      const snapshot = options.snapshot === undefined ? undefined : readSnapshot(options.snapshot)
      let progress = 'reading what was recalled and seen before'
      const stop = showProgress(() => progress)
      const report = await exportDataset(readSettings(), {
        folder,
        shardBytes,
        shardItems,
        partitions,
        snapshot,
        toNow: to === 'now',
        about: aboutOf(options),
        onProgress({ counts, shards }) {
          progress = `${counts.handed} items, ${megabytes(counts.bytes)}, ${shards} shards`
        },
      }).finally(stop)
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${asText(folder, report)}\n`)
      if (report.recalled.length > 0) process.exitCode = 1
    })
}

function aboutOf({ name, url, creator }: Options): Partial<About> {
  return {
    ...(name === undefined ? {} : { name }),
    ...(url === undefined ? {} : { url }),
    ...(creator === undefined ? {} : { creator }),
  }
}

function asText(folder: string, { shards, counts, total, recalled }: ExportReport): string {
  const head = ['items', 'size', 'shards made', 'recalled, left out', 'repeated, left out']
  const lines = [
    asTable(head, [[total.items, megabytes(total.bytes), shards, counts.recalled, counts.repeated]]),
    `${folder} holds everything that was cleared, once; \`sluice train verify ${folder}\` proves it.`,
  ]
  if (recalled.length > 0) {
    const rows = recalled.slice(0, MOST_NAMED).map(({ shard, id, sha256 }) => [shardName(shard), visible(id), sha256])
    lines.push(
      asTable(['shard', 'item', 'sha256'], rows),
      `${recalled.length} items were exported before and recalled since: run \`sluice train redact ${folder}\`.`,
    )
  }
  return lines.join('\n')
}

function positive(text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('expected a whole number from 1 on')
  return number
}

function itemsOfShard(text: string): number {
  const number = positive(text)
  if (number > MOST_ITEMS) throw new InvalidArgumentError(`expected at most ${MOST_ITEMS}`)
  return number
}

function partitionList(text: string): number[] {
  const numbers = text.split(',').map(Number)
  if (!/^\d+(,\d+)*$/.test(text) || new Set(numbers).size < numbers.length) {
    throw new InvalidArgumentError('expected numbers of partitions, each once, separated by commas')
  }
  return numbers
}
