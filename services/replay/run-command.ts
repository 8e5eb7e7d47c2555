import { userInfo } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { countsOf, itemsOf, openOrder, type Run, stateOf, whyOf } from '../domain/replay/replay-runs.ts'
import { createRegistry, type Registry } from '../platform/registry.ts'
import { readSettings, type Settings } from '../platform/settings.ts'
import { assertSays } from './plan-command.ts'
import { DEFAULT_RATE, giveOrder, readPlan, requestRun } from './request-run.ts'
import { runAsJson, runInWords } from './run-words.ts'
import { followReplayRuns } from './runs-topic.ts'
import { wholeNumber } from './whole-number.ts'

const LOOK_EVERY_MS = 200
/** A worker that runs has begun by then, unless it is at another run. */
const BEGUN_MS = 10_000
/** Faster than any gate. */
const MOST_RATE = 1_000_000

const help = `
The worker (\`sluice replay worker\`) carries it out: first a canary, and when that came out as the dry run said, the others. Where it did not, you are asked; with
--yes you are not. Ctrl-C ends only the looking on: \`sluice replay status RUN\` tells from any machine how far it is, \`sluice replay stop RUN\` stops it, and this
command again, with the same plan, goes on. Exit code 1 when the run waits for a word, or was stopped.

Example:
  sluice replay run plan.json`

type RunWords = { who: string; why?: string; rate: number; yes?: true; detach?: true; json?: true }

/** `sluice replay run` */
export function runCommand(): Command {
  return new Command('run')
    .summary('have a plan carried out')
    .description('Asks the replay worker to carry a plan out, and looks on.')
    .argument('<plan>', 'file that `sluice replay plan` wrote')
    .addOption(new Option('--who <name>', 'who asks').default(userInfo().username))
    .option('--why <text>', 'why; default: as the plan says')
    .option('--rate <items>', 'items a second at most', wholeNumber, DEFAULT_RATE)
    .option('--yes', 'go on behind the canary whatever came out')
    .option('--detach', 'ask, and do not look on')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', help)
    .action(async (file: string, { who, why, rate, yes, detach, json }: RunWords) => {
      const plan = await readPlan(file)
      const words = { who, why: why ?? plan.why, rate, unasked: yes === true }
      assertSays(who, words.why)
      if (rate < 1 || rate > MOST_RATE)
        throw new SluiceError('USAGE', `--rate: expected 1 to ${MOST_RATE} items a second`)
      const settings = readSettings()
      const registry = createRegistry(settings)
      const { run: id, before } = await requestRun(settings, registry, plan, words)
      if (before === 'done') process.stderr.write(`sluice: run ${id} is done already; nothing was asked for\n`)
      if (detach) {
        process.stdout.write(`${json ? JSON.stringify({ run: id }) : `run ${id}: \`sluice replay status ${id}\``}\n`)
        return
      }
      process.stderr.write(`run ${id}; Ctrl-C ends only the looking on\n`)
      const run = await lookOn(settings, registry, id, words)
      process.stdout.write(`${json ? runAsJson(run) : runInWords(run)}\n`)
      const state = stateOf(run)
      process.stderr.write(`${nextStep[state === 'done' ? 'done' : 'held'](id, file)}\n`)
      if (state !== 'done') process.exitCode = 1
    })
}

/** What there is to do behind it. */
const nextStep = {
  done: (id: string) => `what became of them: \`sluice replay report ${id}\``,
  held: (id: string, file: string) =>
    `how the first ones came out: \`sluice replay report ${id}\`; on with the others: \`sluice replay run ${file}\`; no further: \`sluice replay stop ${id}\``,
}

/** Until the run is done, was stopped, or waits and nobody is there to be asked. */
async function lookOn(
  settings: Settings,
  registry: Registry,
  id: string,
  words: { who: string; why: string },
): Promise<Run> {
  const followed = await followReplayRuns(settings, registry)
  const startedAt = performance.now()
  let told = ''
  let saidThatNobodyComes = false
  try {
    // Before, a run that has just been told to go on may still look as if it were stopped.
    await followed.reachedEnd
    for (;;) {
      const run = followed.runs.run(id)
      if (run !== null) {
        const state = stateOf(run)
        const text = lineOf(run)
        if (text !== told) tell(text)
        told = text
        const isHeeded = openOrder(run) === null
        if (state === 'done' || (state === 'stopped' && isHeeded)) return run
        if (state === 'waiting' && isHeeded) {
          if (!process.stdin.isTTY) return run
          if (!(await isAgreed(`${whyOf(run) ?? 'it waits'}. Go on? [y/N] `))) return run
          await giveOrder(settings, registry, run, 'go-on', words)
          await sleep(LOOK_EVERY_MS)
        }
        if (state === 'requested' && !saidThatNobodyComes && performance.now() - startedAt > BEGUN_MS) {
          saidThatNobodyComes = true
          process.stderr.write('no worker has begun it yet: is `sluice replay worker` running?\n')
        }
      }
      await sleep(LOOK_EVERY_MS)
    }
  } finally {
    await followed.stop()
  }
}

function lineOf(run: Run): string {
  const all = itemsOf(run)
  const counts = countsOf(run)
  const taken = Object.values(counts).reduce((sum, items) => sum + items, 0)
  const bar = '#'.repeat(Math.round((20 * taken) / Math.max(1, all))).padEnd(20, '.')
  const why = whyOf(run)
  return `[${bar}] ${stateOf(run)}: ${taken} of ${all} items${why ? `; ${why}` : ''}`
}

function tell(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r${text}\x1b[K` : `${text}\n`)
}

async function isAgreed(question: string): Promise<boolean> {
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await asking.question(`\n${question}`)).trim())
  } finally {
    asking.close()
  }
}
