import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { withProgress } from '../platform/progress.ts'
import { readSettings, readTextFile } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import type { PlannedTopic } from './compare-topic.ts'
import { applyTopics, planTopics } from './topics.ts'
import { parseTopicsFile, type TopicsFile } from './wanted-topics.ts'

type Options = { partitions?: number; file: string; json?: true }

const shipped = join(import.meta.dirname, '../../infra/topics.yaml')

/** `sluice topics plan|apply`. */
export function topicsCommand(): Command {
  const topics = new Command('topics')
    .summary('make the topics as infra/topics.yaml says')
    .description('The topics: wanted state in infra/topics.yaml, real state on the cluster.')
    .addHelpText('after', '\nExample:\n  sluice topics plan\n  sluice topics apply')

  withOptions(
    topics
      .command('plan')
      .description('show what apply would do, and change nothing; exit code 1 when that is something'),
  )
    .addHelpText('after', '\nExample:\n  sluice topics plan --json')
    .action(async ({ partitions, file, json }: Options) => {
      const planned = await withProgress('comparing the topics', () =>
        planTopics(readSettings(), readWanted(file), { doorPartitions: partitions ?? null }),
      )
      process.stdout.write(json ? `${JSON.stringify(planned)}\n` : `${tableOf(planned, 'to do')}\n`)
      for (const { problem } of planned) if (problem !== null) process.stderr.write(`${problem}\n`)
      if (planned.some(({ action }) => action !== 'none')) process.exitCode = 1
    })

  withOptions(
    topics.command('apply').description('make what is missing and set right what differs; a second time does nothing'),
  )
    .addHelpText('after', '\nExample:\n  sluice topics apply --partitions 12')
    .action(async ({ partitions, file, json }: Options) => {
      const applied = await withProgress('making the topics', () =>
        applyTopics(readSettings(), readWanted(file), { doorPartitions: partitions ?? null }),
      )
      process.stdout.write(json ? `${JSON.stringify(applied)}\n` : `${tableOf(applied, 'done')}\n`)
    })

  return topics
}

function withOptions(command: Command): Command {
  return command
    .option(
      '--partitions <n>',
      'partitions of the door topic and all that follow it; never fewer than before',
      parseCount,
    )
    .option('--file <file>', 'wanted state', shipped)
    .option('--json', 'print one JSON array')
}

function readWanted(file: string): TopicsFile {
  return parseTopicsFile(readTextFile('CONFIG_INVALID', file), file === shipped ? 'infra/topics.yaml' : file)
}

type Row = Pick<PlannedTopic, 'name' | 'partitions' | 'replicationFactor' | 'changes'> & { action: string }

function tableOf(topics: readonly Row[], what: string): string {
  return asTable(
    ['topic', 'partitions', 'copies', what],
    topics.map(({ name, partitions, replicationFactor, action, changes }) => {
      const details = changes.map(({ setting, from, to }) => `\n${setting}: ${from} → ${to}`).join('')
      return [name, partitions, replicationFactor, action + details]
    }),
  )
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 10_000)
    throw new InvalidArgumentError('expected a number, 1 to 10000')
  return count
}
