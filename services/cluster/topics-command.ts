import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { withProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { type AppliedTopic, applyTopics } from './topics.ts'
import { parseTopicsFile } from './wanted-topics.ts'

const shipped = join(import.meta.dirname, '../../infra/topics.yaml')

/** `sluice topics apply`. */
export function topicsCommand(): Command {
  const topics = new Command('topics')
    .summary('make the topics as infra/topics.yaml says')
    .description('The topics: wanted state in infra/topics.yaml, real state on the cluster.')
    .addHelpText('after', '\nExample:\n  sluice topics apply')

  topics
    .command('apply')
    .description('make what is missing and set right what differs; a second time does nothing')
    .option(
      '--partitions <n>',
      'partitions of the door topic and all that follow it; never fewer than before',
      parseCount,
    )
    .option('--file <file>', 'wanted state', shipped)
    .option('--json', 'print one JSON array')
    .addHelpText('after', '\nExample:\n  sluice topics apply --partitions 12')
    .action(async ({ partitions, file, json }: { partitions?: number; file: string; json?: true }) => {
      const wanted = parseTopicsFile(readText(file), file === shipped ? 'infra/topics.yaml' : file)
      const applied = await withProgress('making the topics', () =>
        applyTopics(readSettings(), wanted, { doorPartitions: partitions ?? null }),
      )
      process.stdout.write(json ? `${JSON.stringify(applied)}\n` : `${tableOf(applied)}\n`)
    })

  return topics
}

function tableOf(applied: AppliedTopic[]): string {
  return asTable(
    ['topic', 'partitions', 'copies', 'done'],
    applied.map(({ name, partitions, replicationFactor, action, changes }) => {
      const details = changes.map(({ setting, from, to }) => `\n${setting}: ${from} → ${to}`).join('')
      return [name, partitions, replicationFactor, action + details]
    }),
  )
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SluiceError('CONFIG_INVALID', `${file} can not be read: expected a file like infra/topics.yaml`, {
      cause,
    })
  }
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 10_000)
    throw new InvalidArgumentError('expected a number, 1 to 10000')
  return count
}
