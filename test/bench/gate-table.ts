import { asTable } from '../../services/platform/table.ts'
import { inWords, spread } from './figures.ts'
import { type Part, partNames, parts } from './gate-cost.ts'
import type { Turn } from './gate-run.ts'

/** What an item costs and where, a column for each kind of turns. */
export function costTable(columns: Readonly<Record<string, readonly Turn[]>>): string {
  const kinds = Object.values(columns)
  const row = (name: string, digits: number, read: (turn: Turn) => number | undefined): string[] => [
    name,
    ...kinds.map((turns) => {
      const values = turns.flatMap((turn) => read(turn) ?? [])
      return values.length === 0 ? '' : inWords(spread(values), digits)
    }),
  ]
  const stages = new Set(kinds.flat().flatMap(({ stageMs }) => Object.keys(stageMs)))
  const rows = [
    ...parts.map((part) => row(`core-ms an item: ${partNames[part]}`, 2, ({ coreMs }) => coreMs?.[part])),
    ...[...stages].map((stage) => row(`ms an item, waiting included: ${stage}`, 2, ({ stageMs }) => stageMs[stage])),
    row('ms that the event loop was late, at most, for 99 %', 1, ({ loopDelayMs }) => loopDelayMs),
    row('MiB at most: the gate', 0, ({ gateMib }) => gateMib),
    row('MiB at most: a scanner', 0, ({ scannerMib }) => scannerMib),
  ]
  return asTable(['what an item costs', ...Object.keys(columns)], rows)
}

/** Names the next bottleneck, by medians; nothing where the system does not tell costs. */
export function bottleneck(turns: readonly Turn[]): string {
  const costs = turns.flatMap(({ coreMs }) => coreMs ?? [])
  if (costs.length === 0) return ''
  const cost = (part: Part): number => spread(costs.map((each) => each[part])).median
  const all = parts.reduce((sum, part) => sum + cost(part), 0)
  const shares = parts
    .toSorted((a, b) => cost(b) - cost(a))
    .map((part) => `${partNames[part]} ${((100 * cost(part)) / all).toFixed(0)} %`)
  const full = (1000 / cost('main')).toFixed(0)
  const cores = (cost('scanners') / cost('main')).toFixed(1)
  return `Of the cores' time: ${shares.join(', ')}.
With more cores for scanners, the main thread of a gate is full at ${full} items a second, when ${cores} cores scan: from there on it takes more gates.`
}
