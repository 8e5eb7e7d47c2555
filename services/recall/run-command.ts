import { once } from 'node:events'
import { userInfo } from 'node:os'
import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import type { Flood } from '../domain/flood.ts'
import { showProgress } from '../platform/progress.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { keepYoungSpaceSmall } from '../platform/release-memory.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import type { Acceptance } from './progress.ts'
import { openRecalling, type Recalling, type RoundReport } from './run.ts'

/** A gate that has not heard of a version yet may clear what it holds: looked for this often, also when no version is new. */
const LOOK_EVERY_MS = 10_000

const help = `
What was cleared is compared with the entries that its verdict could not know. What they hold is copied to the held store, recorded on gate.recalls and taken
out of the clean store; where no entry holds it any more, that is recorded, and the item comes back through the door, by a replay (sluice replay plan --withdrawn). Killed at any moment,
it goes on where it was. What a list holds beyond policy's bounds (flood) is not recalled but counted, and waits for a person: take the entry back, or
accept it. Exit code 1 when something waits, or an object was found in neither store or damaged.

Example:
  sluice recall run
  sluice recall run --accept-flood --why 'confirmed by the list owner on 3 March'`

type RunWords = { follow?: true; acceptFlood?: true; who: string; why?: string; json?: true }

/** `sluice recall run`: does what there is to do and ends, or stays. */
export function runCommand(): Command {
  return new Command('run')
    .summary('compare what has not been compared, recall what is known by now')
    .description('Holds new entries of the hash lists against everything ever cleared, and recalls what they hold.')
    .option('--follow', 'stay, and go on with what comes')
    .option('--accept-flood', 'recall what waits, beyond policy')
    .addOption(new Option('--who <name>', 'who accepts it; stands on the records').default(userInfo().username))
    .option('--why <text>', 'why; stands on the records')
    .option('--json', 'print the result as one JSON object; with --follow one for each round that did something')
    .addHelpText('after', help)
    .action(async ({ follow, acceptFlood, who, why, json }: RunWords) => {
      if (acceptFlood === true && (!why?.trim() || !who.trim())) {
        throw new SluiceError(
          'USAGE',
          '--accept-flood: expected --why TEXT with it, and --who NAME if given, that say something',
        )
      }
      if (follow === true && acceptFlood !== undefined) {
        throw new SluiceError('USAGE', '--accept-flood is for what waits now: run it without --follow')
      }
      const accepted = acceptFlood === undefined || why === undefined ? null : { by: who, reason: why }
      const settings = readSettings()
      const { policy } = readPolicy(settings.policy)
      keepYoungSpaceSmall()
      const recalling = await openRecalling(settings, policy)
      try {
        if (follow === true) return await stay(recalling, accepted, json === true)
        const report = await oneRound(recalling, accepted)
        process.stdout.write(`${told(report, json === true)}\n`)
        for (const flood of report.floods) process.stderr.write(`sluice: ${sentenceOf(flood)}\n`)
        if (report.floods.length > 0 || report.missing > 0 || report.damaged > 0) process.exitCode = 1
      } finally {
        await recalling.close()
      }
    })
}

async function stay(recalling: Recalling, accepted: Acceptance | null, json: boolean): Promise<void> {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const stopped = once(stopping.signal, 'abort')
  let waiting = ''
  while (!stopping.signal.aborted) {
    const report = await oneRound(recalling, accepted)
    const floods = report.floods.map(sentenceOf).join('\n')
    const { recalled, withdrawn, changed, moved, missing, damaged } = report
    if (recalled + withdrawn + changed + moved + missing + damaged > 0 || floods !== waiting) {
      process.stdout.write(`${told(report, json)}\n`)
      for (const flood of report.floods) process.stderr.write(`sluice: ${sentenceOf(flood)}\n`)
    }
    waiting = floods
    await Promise.race([recalling.untilNews(LOOK_EVERY_MS), stopped])
  }
}

async function oneRound(recalling: Recalling, accepted: Acceptance | null): Promise<RoundReport> {
  let [read, total] = [0, 0]
  const stopProgress = showProgress(() => `${read} of ${Math.max(read, total)} verdicts compared`)
  try {
    return await recalling.round(accepted, (done, all) => {
      read = done
      total = all
    })
  } finally {
    stopProgress()
  }
}

function told(report: RoundReport, json: boolean): string {
  if (json) {
    const versions = report.versions.map(({ list, version }) => ({ list, version }))
    return visible(JSON.stringify({ ...report, versions }))
  }
  const { read, entries, recalled, withdrawn, changed, moved, missing, damaged } = report
  return asTable(
    ['verdicts read', 'new entries', 'recalled', 'withdrawn', 'changed', 'objects moved', 'missing', 'damaged'],
    [[read, entries, recalled, withdrawn, changed, moved, missing, damaged]],
  )
}

/** What a person is asked. */
export function sentenceOf({ list, version, entry, items, most }: Flood): string {
  const what =
    entry === null ? `version ${version} of list ${list}` : `entry ${entry} of list ${list}, version ${version},`
  return visible(
    `${what} holds ${items} items that were cleared, policy allows ${most}: nothing that the list holds is recalled until the entry is taken back, or \`sluice recall run --accept-flood --why TEXT\``,
  )
}
