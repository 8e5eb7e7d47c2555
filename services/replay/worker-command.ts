import { Command, InvalidArgumentError } from 'commander'
import { createLog } from '../platform/log.ts'
import { readSettings } from '../platform/settings.ts'
import type { Bounds } from './execute-run.ts'
import { wholeNumber } from './whole-number.ts'
import { runReplayWorker } from './worker.ts'

const help = `
Comes as the principal \`replay\`, which may read the held store and the gate's verdicts and envelopes, and write the door. Keep one running, as you keep gates running;
of several the last one started is in charge. What it is told to do stands on replay.runs, so it can be killed at any moment and goes on where it was.

Example:
  sluice replay worker`

/** `sluice replay worker`: the service that carries replays out. */
export function workerCommand(): Command {
  return new Command('worker')
    .summary('carry out the replays that on-call asks for; runs until it is stopped')
    .description('Puts held items through the door again, as replay.runs asks for it. Logs JSON lines to stderr.')
    .option('--most-lag <records>', 'pause while the gate has more records before it than this', wholeNumber, 5000)
    .option(
      '--most-faults <share>',
      'stop and ask when more than this share of the newest outcomes are faults',
      share,
      0.5,
    )
    .option('--most-attempts <n>', 'leave out what was replayed so often already, whatever a plan says', wholeNumber, 3)
    .option('--until-idle', 'end when there is nothing to do')
    .addHelpText('after', help)
    .action(async ({ untilIdle, ...bounds }: Bounds & { untilIdle?: true }) => {
      const settings = readSettings()
      const stopping = new AbortController()
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort())
      await runReplayWorker({
        settings,
        log: createLog(settings.log),
        bounds,
        signal: stopping.signal,
        untilIdle: untilIdle === true,
      })
    })
}

function share(text: string): number {
  const found = Number(text)
  if (text.trim() === '' || !(found >= 0 && found <= 1)) throw new InvalidArgumentError('expected a share from 0 to 1')
  return found
}
