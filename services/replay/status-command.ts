import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { countsOf, itemsOf, openOrder, type ReplayRuns, type Run, stateOf } from '../domain/replay/replay-runs.ts'
import { timeText } from '../domain/time-text.ts'
import { withProgress } from '../platform/progress.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { assertSays } from './plan-command.ts'
import { giveOrder } from './request-run.ts'
import { runAsJson, runInWords } from './run-words.ts'
import { readReplayRuns } from './runs-topic.ts'

const HEEDED_MS = 30_000
const LOOK_EVERY_MS = 1000

/** `sluice replay status` */
export function statusCommand(): Command {
  return new Command('status')
    .summary('tell how far replays are')
    .description('Tells how far a replay is, or of all of them.')
    .argument('[run]', "a run's id")
    .option('--json', 'print one JSON object, or an array of them')
    .addHelpText('after', '\nExample:\n  sluice replay status')
    .action(async (id: string | undefined, { json }: { json?: true }) => {
      const settings = readSettings()
      const runs = await withProgress('reading the replays', () => readReplayRuns(settings, createRegistry(settings)))
      if (id !== undefined) {
        const run = runNamed(runs, id)
        process.stdout.write(`${json ? runAsJson(run) : runInWords(run)}\n`)
        return
      }
      const all = runs.runs()
      process.stdout.write(`${json ? `[${all.map(runAsJson).join(',')}]` : tableOf(all)}\n`)
    })
}

/** `sluice replay stop` */
export function stopCommand(): Command {
  return new Command('stop')
    .summary('stop a replay')
    .description(
      'Has the worker stop a replay. What has been replayed stays so; `sluice replay run` with the same plan goes on.',
    )
    .argument('<run>', "the run's id")
    .requiredOption('--why <text>', 'why')
    .addOption(new Option('--who <name>', 'who stops it').default(userInfo().username))
    .addHelpText('after', "\nExample:\n  sluice replay stop 3f1c09a2b7d45e86 --why 'the wrong list'")
    .action(async (id: string, words: { who: string; why: string }) => {
      assertSays(words.who, words.why)
      const settings = readSettings()
      const registry = createRegistry(settings)
      const run = runNamed(await readReplayRuns(settings, registry), id)
      if (stateOf(run) === 'done') throw new SluiceError('USAGE', `run ${id} is done: there is nothing to stop`)
      await giveOrder(settings, registry, run, 'stop', words)
      const stopped = await withProgress('waiting for the worker', async () => {
        for (const deadline = Date.now() + HEEDED_MS; Date.now() < deadline; await sleep(LOOK_EVERY_MS)) {
          const now = (await readReplayRuns(settings, registry)).run(id)
          if (now !== null && (stateOf(now) === 'done' || (stateOf(now) === 'stopped' && openOrder(now) === null)))
            return now
        }
        return null
      })
      if (stopped === null) {
        process.stderr.write(
          'sluice: it is told to stop, but no worker has heeded that yet: is `sluice replay worker` running?\n',
        )
        process.exitCode = 1
        return
      }
      process.stdout.write(`${runInWords(stopped)}\n`)
    })
}

/** @throws {SluiceError} RUN_UNKNOWN */
export function runNamed(runs: ReplayRuns, id: string): Run {
  const run = runs.run(id)
  if (run !== null) return run
  const known = runs.runs().slice(-3)
  const hint = known.length === 0 ? 'there is none yet' : `the newest are ${known.map((each) => each.id).join(', ')}`
  throw new SluiceError('RUN_UNKNOWN', `there is no replay ${visible(id)}: ${hint}; \`sluice replay status\` lists all`)
}

function tableOf(runs: readonly Run[]): string {
  const rows = runs.map((run) => {
    const [first] = run.parts.values()
    const { replayed = 0, ...left } = countsOf(run)
    const others = Object.values(left).reduce((sum, each) => sum + each, 0)
    const asked = first === undefined ? '' : timeText(first.requestedAt)
    return [
      run.id,
      stateOf(run),
      itemsOf(run),
      replayed,
      others,
      asked,
      visible(first?.who ?? ''),
      visible(first?.why ?? ''),
    ]
  })
  return asTable(['run', 'state', 'items', 'replayed', 'left out', 'asked for at', 'by', 'why'], rows)
}
