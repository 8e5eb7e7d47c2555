import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { isWho, LONGEST_WHY } from '../domain/replay/replay-headers.ts'
import { MOST_ATTEMPTS, MOST_CANARY } from '../domain/replay/replay-plan.ts'
import { runIdOf } from '../domain/replay/replay-runs.ts'
import { showProgress } from '../platform/progress.ts'
import { keepYoungSpaceSmall } from '../platform/release-memory.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable, megabytes } from '../platform/table.ts'
import { visible, visibleLines } from '../platform/visible.ts'
import { writeDurably } from '../platform/write-durably.ts'
import { addHeldWords, type HeldWords, heldHelp, readHeldWords } from './held-words.ts'
import { type Foretold, makePlan, type PlanReport } from './make-plan.ts'
import { DEFAULT_RATE } from './request-run.ts'
import { wholeNumber } from './whole-number.ts'

const help = `${heldHelp}

Nothing is written but the plan's file, whose hash is its id. The dry run is the gate's judge, by the policy in force here and the lists in force now, on what the
verdicts tell; \`open\` is what it can't say: whether a store, a scanner or a schema was mended. What was replayed as often as --most-attempts is left out.
Exit code 1 when there is nothing to replay.

Example:
  sluice replay plan --reason PAYLOAD_MISSING --since 6h --why 'intake was not mounted' --out plan.json
  sluice replay run plan.json`

type PlanWords = HeldWords & {
  out: string
  why: string
  who: string
  mostAttempts: number
  canary: number
  json?: true
}

/** `sluice replay plan` */
export function planCommand(): Command {
  const command = new Command('plan')
    .summary('choose what to replay, and see what would become of it')
    .description(
      'Chooses items and writes a plan. Reads gate.verdicts, gate.recalls and the hash lists, never what is held.',
    )
    .requiredOption('--why <text>', 'why; stands on every record of the replay')
    .option('--out <file>', "the plan's file", 'plan.json')
    .addOption(new Option('--who <name>', 'who plans it').default(userInfo().username))
    .option('--most-attempts <n>', 'leave out what was replayed so often already', wholeNumber, 3)
    .option('--canary <n>', 'so many are replayed before the others', wholeNumber, 20)
    .option('--json', 'print the report as one JSON object')
  return addHeldWords(command)
    .addHelpText('after', help)
    .action(async ({ out, why, who, mostAttempts, canary, json, ...words }: PlanWords) => {
      assertSays(who, why)
      if (canary > MOST_CANARY || mostAttempts > MOST_ATTEMPTS) {
        throw new SluiceError(
          'USAGE',
          `expected --canary up to ${MOST_CANARY} and --most-attempts up to ${MOST_ATTEMPTS}`,
        )
      }
      if (existsSync(out)) throw new SluiceError('USAGE', `${out} is there already: name another file with --out`)
      const settings = readSettings()
      const now = Date.now()
      const filter = await readHeldWords(words, now)
      keepYoungSpaceSmall()
      let doing = 'asking the cluster'
      const stopProgress = showProgress(() => doing)
      let report: PlanReport
      try {
        const onProgress = (text: string): void => {
          doing = text
        }
        report = await makePlan(settings, { filter, who, why, attempts: mostAttempts, canary, now, onProgress })
      } finally {
        stopProgress()
      }
      if (report.total.items === 0) {
        const left = report.exhausted === 0 ? '' : `, ${report.exhausted} were replayed ${mostAttempts} times already`
        process.stderr.write(`sluice: there is nothing to replay${left}\n`)
        process.exitCode = 1
        return
      }
      await writeDurably(out, `${JSON.stringify(report.plan, null, 1)}\n`)
      process.stdout.write(`${json ? asJson(report, out) : visibleLines(inWords(report, out))}\n`)
    })
}

/** @throws {SluiceError} USAGE */
export function assertSays(who: string, why: string): void {
  if (!isWho(who))
    throw new SluiceError('USAGE', `--who ${visible(who)}: expected a name of letters, digits and ._@+-, at most 64`)
  if (why.trim() === '' || why.length > LONGEST_WHY) {
    throw new SluiceError('USAGE', `--why: expected a sentence that says something, at most ${LONGEST_WHY} characters`)
  }
}

function asJson({ plan, total, byPartition, byReason, ...rest }: PlanReport, file: string): string {
  const { id, policyHash, listVersions } = plan
  const groups = { byPartition: Object.fromEntries(byPartition), byReason: Object.fromEntries(byReason) }
  return visible(
    JSON.stringify({ file, plan: id, run: runIdOf(id), policyHash, listVersions, total, ...groups, ...rest }),
  )
}

function inWords(
  { plan, total, byPartition, byReason, exhausted, bytes, isOtherPolicy }: PlanReport,
  file: string,
): string {
  const head = ['items', 'clean', 'review', 'quarantine', 'open', 'held again for certain']
  const rows = (groups: ReadonlyMap<string | number, Foretold>) =>
    [...groups]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { items, clean, review, quarantine, open, heldAgain }]) => {
        return [visible(String(name)), items, clean, review, quarantine, open, heldAgain]
      })
  return [
    asTable(['partition', ...head], rows(byPartition)),
    asTable(['reason', ...head], rows(byReason)),
    `${total.items} items, ${megabytes(bytes)}; of these ${total.heldAgain} would be held again for certain`,
    ...(exhausted === 0 ? [] : [`left out: ${exhausted}, replayed ${plan.attempts} times already`]),
    `about ${timeOf(total.items)} at ${DEFAULT_RATE} items a second`,
    ...(isOtherPolicy === true
      ? [
          'Beware: the newest of them was judged by another policy than the one here (SLUICE_POLICY); the dry run may say what the gate will not.',
        ]
      : []),
    `plan ${plan.id} is in ${file}: \`sluice replay run ${file}\``,
  ].join('\n')
}

function timeOf(items: number): string {
  const seconds = Math.ceil(items / DEFAULT_RATE)
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`
}
