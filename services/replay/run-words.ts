import { countsOf, itemsOf, type Run, stateOf, whyOf } from '../domain/replay/replay-runs.ts'
import { timeText } from '../domain/time-text.ts'
import { asTable } from '../platform/table.ts'
import { visible, visibleLines } from '../platform/visible.ts'

/** How a run stands, for scripts. */
export function runAsJson(run: Run): string {
  return visible(JSON.stringify(standingOf(run)))
}

/** How a run stands, for people. */
export function runInWords(run: Run): string {
  const { id, state, who, why, waits, requestedAt, partitions } = standingOf(run)
  const rows = partitions.map((part) => [
    part.partition,
    part.items,
    part.counts.replayed ?? 0,
    part.items - part.taken,
    Object.entries(part.counts)
      .filter(([fate]) => fate !== 'replayed')
      .map(([fate, items]) => `${items} ${fate}`)
      .join(', '),
    part.updatedAt === null ? '' : timeText(part.updatedAt),
  ])
  const said = waits === null ? [] : [waits]
  return visibleLines(
    [
      `run ${id}: ${state}; asked for by ${who} at ${timeText(requestedAt)}: ${why}`,
      ...said,
      asTable(['partition', 'items', 'replayed', 'to come', 'left out', 'last step at'], rows),
    ].join('\n'),
  )
}

function standingOf(run: Run) {
  const parts = [...run.parts.values()].sort((a, b) => a.partition - b.partition)
  const [first] = parts
  return {
    id: run.id,
    plan: run.plan,
    state: stateOf(run),
    who: first?.who ?? '',
    why: first?.why ?? '',
    waits: whyOf(run),
    requestedAt: first?.requestedAt ?? 0,
    items: itemsOf(run),
    counts: countsOf(run),
    partitions: parts.map(({ partition, sequence, progress }) => ({
      partition,
      items: sequence.length,
      taken: progress?.taken ?? 0,
      counts: progress?.counts ?? {},
      updatedAt: progress?.updatedAt ?? null,
    })),
  }
}
