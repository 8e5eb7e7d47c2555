import { asTable } from '../platform/table.ts'
import type { GateStatus } from './status.ts'

/** Columns of a terminal that every screen fits into. */
const WIDTH = 100
/** Characters of a name. */
const NAME = 24
/** Sentences of one code that are shown; a gate of many lanes would fill the screen with them. */
const SENTENCES = 3

/**
 * What a gate says of itself, on one screen: first what it waits for and what to do, then lanes, lists and what was judged.
 * @param gate its address
 */
export function statusScreen(gate: string, status: GateStatus): string {
  const { lists, judged, scanners } = status
  return [
    ...wrap(heading(gate, status), ''),
    ...waits(status),
    lanes(status),
    asTable(
      ['list', 'version', 'entries', 'checked', 'state'],
      lists.map(({ list, mode, version, entries, ageSeconds, problem }) => [
        cut(list),
        cut(version ?? 'none'),
        entries,
        ageSeconds === null ? null : `${duration(ageSeconds)} ago`,
        problem === null
          ? version === null
            ? 'not complete'
            : mode === 'shadow'
              ? 'in shadow'
              : 'enforced'
          : problem.code,
      ]),
    ),
    ...(judged.items === 0 ? [] : [judgedTable(judged)]),
    `${judged.items} items, ${judged.perSecond.toFixed(1)} a second in the last minute; transactions failed: ${status.transactionFailures}`,
    `scanners: ${scanners.running} of ${scanners.most} running, ${scanners.restarts} restarted${isolation(scanners.isolation)}`,
  ].join('\n')
}

function heading(gate: string, { ready, at, startedAt, waiting }: GateStatus): string {
  const up = `up ${duration(seconds(startedAt, at))}`
  if (ready) return `${gate}: READY, ${up}`
  return `${gate}: WAITS for ${[...new Set(waiting.map(({ code }) => code))].join(', ')}, ${up}`
}

function waits({ at, waiting }: GateStatus): string[] {
  return [...Map.groupBy(waiting, ({ code }) => code)].flatMap(([code, pauses]) => {
    const since = pauses.map((pause) => pause.since).sort()[0] ?? at
    const partitions = pauses.flatMap(({ partition }) => partition ?? [])
    const where = partitions.length < pauses.length ? 'the whole gate' : partitionNames(partitions)
    const sentences = [...new Set(pauses.map(({ sentence }) => sentence))]
    const more = sentences.length - SENTENCES
    return [
      '',
      ...wrap(`${code}: ${where}, since ${since.slice(0, 19)}Z (${duration(seconds(since, at))})`, ''),
      ...sentences.slice(0, SENTENCES).flatMap((sentence) => wrap(sentence, '  ')),
      ...(more > 0 ? [`  and ${more} more; --json shows all`] : []),
      ...[...new Set(pauses.map(({ action }) => action))].flatMap((action) => wrap(`What to do: ${action}`, '  ')),
    ]
  })
}

function lanes({ lanes, waiting }: GateStatus): string {
  const here = lanes.filter(({ state }) => state !== 'elsewhere')
  const elsewhere = lanes.filter(({ state }) => state === 'elsewhere')
  const table =
    here.length === 0
      ? 'This gate has no lanes yet.'
      : asTable(
          ['partition', 'state', 'position', 'end', 'lag', 'overdue'],
          here.map(({ partition, state, position, end, lag, overdue }) => {
            const codes = waiting.filter((pause) => pause.partition === partition).map(({ code }) => code)
            return [partition, state === 'waits' ? `waits: ${codes.join(', ')}` : state, position, end, lag, overdue]
          }),
        )
  if (elsewhere.length === 0) return `\n${table}`
  const lag = elsewhere.reduce((sum, each) => sum + (each.lag ?? 0), 0)
  const overdue = elsewhere.reduce((sum, each) => sum + (each.overdue ?? 0), 0)
  const names = partitionNames(elsewhere.map(({ partition }) => partition))
  return `\n${table}\n${wrap(`Not with this gate: ${names}; lag ${lag}, overdue ${overdue}`, '').join('\n')}`
}

function judgedTable({ outcomes, reasons }: GateStatus['judged']): string {
  const reasonRows = rows(reasons).map(([reason, items]) => [`  ${reason}`, items] as const)
  return asTable(['judged', 'items'], [...rows(outcomes), ...reasonRows])
}

function isolation(found: GateStatus['scanners']['isolation']): string {
  if (found === null) return ''
  const { uid, network, memory, why } = found
  const kept = [uid ? 'other user' : [], network ? 'no network' : [], memory ? 'memory limit' : []].flat()
  return `; kept apart by: ${kept.join(', ') || 'nothing'}${why === null ? '' : ` (${why})`}`
}

/** Names of lists and versions may be longer than a screen has room for; --json has them whole. */
function cut(name: string): string {
  return name.length > NAME ? `${name.slice(0, NAME - 1)}…` : name
}

/** Largest count first. */
function rows(counts: Readonly<Record<string, number>>): Array<readonly [string, number]> {
  return Object.entries(counts).sort(([, a], [, b]) => b - a)
}

function partitionNames(partitions: readonly number[]): string {
  const ranges: Array<{ first: number; last: number }> = []
  for (const partition of partitions.toSorted((a, b) => a - b)) {
    const range = ranges.at(-1)
    if (range?.last === partition - 1) range.last = partition
    else ranges.push({ first: partition, last: partition })
  }
  const names = ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return `partition${partitions.length === 1 ? '' : 's'} ${names.join(', ')}`
}

function seconds(from: string, to: string): number {
  return Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000)
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} days`
}

/** Lines of a text that fit the screen, where its words do. A command in backticks stays whole, to be copied. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.match(/(?:`[^`]*`|\S)+/g) ?? []) {
    if (line !== '' && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, indent + line]
}
