import { Command } from 'commander'
import { coordinatesText } from '../domain/coordinates.ts'
import type { VerdictRecord } from '../domain/records.ts'
import { countsOf, placesOf, type Run, replayedOf, stateOf } from '../domain/replay/replay-runs.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { showProgress } from '../platform/progress.ts'
import { createRegistry, type Registry } from '../platform/registry.ts'
import { readSettings, type Settings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { visible, visibleLines } from '../platform/visible.ts'
import { readReplayRuns } from './runs-topic.ts'
import { runNamed } from './status-command.ts'
import { heldFor } from './withdrawn.ts'

/** As many items that were held again are told one by one. */
const MOST_TOLD = 1000

/** What became of items. @property open not judged again yet */
export type After = { items: number; clean: number; review: number; quarantine: number; open: number }

export type ReplayReport = {
  run: string
  state: string
  /** what was replayed, and what became of it */
  total: After
  /** by each reason that items had before; one with several counts for each */
  byReasonBefore: Record<string, After>
  /** why items were held again */
  reasonsAfter: Record<string, number>
  /** of the run, what was passed over, by why; and where on the door that stands, as partition/offset, up to MOST_TOLD */
  left: Record<string, number>
  leftAt: string[]
  heldAgain: Array<{ item: string | null; origin: string; now: string; reasons: string[] }>
  /** held again, beyond those that are told one by one */
  more: number
}

const help = `
Tells which items by what the worker wrote on replay.runs, and what became of them by gate.verdicts; headers are not asked. Exit code 1 while items are not judged yet.

Example:
  sluice replay report 3f1c09a2b7d45e86`

/** `sluice replay report` */
export function reportCommand(): Command {
  return new Command('report')
    .summary('tell what became of what was replayed')
    .description('Outcomes before and after, by reason: what came out clean, what was held again and why.')
    .argument('<run>', "the run's id")
    .option('--json', 'print one JSON object')
    .addHelpText('after', help)
    .action(async (id: string, { json }: { json?: true }) => {
      const settings = readSettings()
      const registry = createRegistry(settings)
      let read = 0
      const stopProgress = showProgress(() => `${read} verdicts read`)
      let report: ReplayReport
      try {
        const run = runNamed(await readReplayRuns(settings, registry), id)
        report = await reportOf(settings, registry, run, () => {
          read += 1
        })
      } finally {
        stopProgress()
      }
      process.stdout.write(`${json ? visible(JSON.stringify(report)) : visibleLines(inWords(report))}\n`)
      if (report.total.open > 0) process.exitCode = 1
    })
}

/** @throws {SluiceError} as `readTopic` */
export async function reportOf(
  settings: Settings,
  registry: Registry,
  run: Run,
  onRead: () => void,
): Promise<ReplayReport> {
  /** by place on the door, where the item that stands there stood before */
  const origins = new Map<string, string>()
  const before = new Map<string, readonly string[]>()
  const wanted = new Set<string>()
  for (const part of run.parts.values()) {
    const places = placesOf(part.progress?.produced ?? [])
    for (const offset of replayedOf(part)) {
      const place = places.next()
      if (place.done === true) break
      origins.set(`${part.partition}/${place.value}`, `${part.partition}/${offset}`)
      wanted.add(`${part.partition}/${offset}`)
    }
  }
  const { replayed: _, ...left } = countsOf(run)
  const report: ReplayReport = {
    run: run.id,
    state: stateOf(run),
    total: nothing(),
    byReasonBefore: {},
    reasonsAfter: {},
    left,
    leftAt: [...run.parts.values()]
      .flatMap(({ partition, progress }) => (progress?.left ?? []).map((offset) => `${partition}/${offset}`))
      .slice(0, MOST_TOLD),
    heldAgain: [],
    more: 0,
  }
  await readTopic<VerdictRecord>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: 'gate.verdicts',
    from: new Map([...run.parts.values()].map(({ partition, request }) => [partition, request.verdictsFrom])),
    isWanted({ partition }) {
      onRead()
      return run.parts.has(partition)
    },
    // Within a partition an item's first verdict stands before its second.
    onValue({ input, itemId, outcome, reasons }) {
      const place = `${input.partition}/${input.offset}`
      if (wanted.has(place)) before.set(place, heldFor({ outcome, reasons }))
      const origin = origins.get(place)
      if (origin === undefined) return
      origins.delete(place)
      count(report, before.get(origin) ?? [], outcome)
      if (outcome === 'clean') return
      for (const reason of reasons) report.reasonsAfter[reason] = (report.reasonsAfter[reason] ?? 0) + 1
      if (report.heldAgain.length >= MOST_TOLD) {
        report.more += 1
        return
      }
      const named = `${input.cluster}/${input.topic}/${origin}`
      report.heldAgain.push({ item: itemId, origin: named, now: coordinatesText(input), reasons })
    },
  })
  for (const origin of origins.values()) count(report, before.get(origin) ?? [], 'open')
  return report
}

function count(report: ReplayReport, reasonsBefore: readonly string[], outcome: string): void {
  const groups = reasonsBefore.map((reason) => (report.byReasonBefore[reason] ??= nothing()))
  for (const group of [report.total, ...groups]) {
    group.items += 1
    if (outcome === 'clean' || outcome === 'review' || outcome === 'quarantine' || outcome === 'open')
      group[outcome] += 1
  }
}

function nothing(): After {
  return { items: 0, clean: 0, review: 0, quarantine: 0, open: 0 }
}

function inWords({
  run,
  state,
  total,
  byReasonBefore,
  reasonsAfter,
  left,
  leftAt,
  heldAgain,
  more,
}: ReplayReport): string {
  const rows = Object.entries(byReasonBefore)
    .sort(([, a], [, b]) => b.items - a.items)
    .map(([reason, { items, clean, review, quarantine, open }]) => [reason, items, clean, review, quarantine, open])
  const { items, clean, review, quarantine, open } = total
  const head = ['held for', 'replayed', 'clean', 'review', 'quarantine', 'not judged yet']
  const again = Object.entries(reasonsAfter).sort(([, a], [, b]) => b - a)
  return [
    `run ${run}: ${state}`,
    asTable(head, [...rows, ['all', items, clean, review, quarantine, open]]),
    ...(again.length === 0 ? [] : [asTable(['held again for', 'items'], again)]),
    ...Object.entries(left).map(([fate, number]) => `not replayed: ${number}, ${fate}`),
    ...(leftAt.length === 0
      ? []
      : [`  at ${leftAt.slice(0, 10).join(', ')}${leftAt.length > 10 ? ' …; --json tells more' : ''}`]),
    ...heldAgain
      .slice(0, 10)
      .map(
        ({ item, origin, now, reasons }) =>
          `held again: ${item ?? 'without id'}, was ${origin}, is ${now}: ${reasons.join(', ')}`,
      ),
    ...(heldAgain.length + more > 10
      ? [`and ${heldAgain.length + more - 10} more; --json tells up to ${MOST_TOLD}`]
      : []),
  ].join('\n')
}
