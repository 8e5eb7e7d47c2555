import { Command, Option } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { holding } from '../domain/held-filter.ts'
import type { VerdictRecord } from '../domain/records.ts'
import { timeText } from '../domain/time-text.ts'
import { showProgress } from '../platform/progress.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable, megabytes } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import {
  type CountKind,
  countedFields,
  countKinds,
  createHeldCounts,
  type HeldGroup,
  LONGEST_NAME,
} from './held-counts.ts'
import { addHeldWords, type HeldWords, heldHelp, readHeldWords } from './held-words.ts'
import { type ReadHeldOptions, readHeld } from './read-held.ts'
import { readReplayRuns } from './runs-topic.ts'

const MOST_ROWS = 100_000

const lsHelp = `${heldHelp}

By partition and offset of the door, oldest first. \`sluice trace\` tells more of one of them. Exit code 1 when there is none.

Example:
  sluice quarantine ls --reason SCANNER_CRASHED --since 2h
`

const statsHelp = `${heldHelp}

An item with several reasons, lists or entries counts for each. Sizes are of payloads as they came; the held store keeps equal ones once.

Example:
  sluice quarantine stats --list stand-in --by entry
`

/** `sluice quarantine ls|stats` */
export function quarantineCommand(): Command {
  const ls = new Command('ls')
    .summary('list held items')
    .description('Lists what is held: coordinates, item ids, reasons and names, nothing of content.')
    .option('--limit <n>', `as many at most, up to ${MOST_ROWS}`, '100')
    .option('--json', 'print one JSON object: {held, more, items}')
  const stats = new Command('stats')
    .summary('count held items')
    .description(`Counts what is held by ${countKinds.join(', ')}.`)
    .addOption(new Option('--by <kind>', 'only by this').choices(countKinds))
    .option('--json', 'print one JSON object: {held, bytes, by}')
  return new Command('quarantine')
    .summary('tell what is held, and why')
    .description('Tells what the gate has held, from gate.verdicts alone: nothing that is held is read.')
    .addCommand(addHeldWords(ls).addHelpText('after', lsHelp).action(list))
    .addCommand(addHeldWords(stats).addHelpText('after', statsHelp).action(count))
    .addHelpText('after', '\nExample:\n  sluice quarantine stats --since 1d')
}

type Row = Pick<
  VerdictRecord,
  'input' | 'itemId' | 'judgedAt' | 'outcome' | 'reasons' | 'supplier' | 'dataset' | 'policyHash' | 'listVersions'
> & {
  /** the first match that holds it; null where none does */
  match: { list: string; entry: string } | null
  attempts: number
}

async function list({ limit, json, ...words }: HeldWords & { limit: string; json?: true }): Promise<void> {
  const most = limitOf(limit)
  let held = 0
  /** the first ones, by partition: they come in order within it */
  const found = new Map<number, Row[]>()
  await read(words, Date.now(), [], (verdict, { attempts }) => {
    held += 1
    const rows = found.get(verdict.input.partition) ?? []
    found.set(verdict.input.partition, rows)
    if (rows.length < most) rows.push(rowOf(verdict, attempts))
  })
  const inOrder = [...found].sort(([a], [b]) => a - b).flatMap(([, rows]) => rows)
  const items = inOrder.slice(0, most)
  const more = held - items.length
  if (json) process.stdout.write(`${visible(JSON.stringify({ held, more, items }))}\n`)
  else if (held > 0) process.stdout.write(`${tableOf(items)}\n${sentenceOf(held, more)}\n`)
  if (held > 0) return
  process.stderr.write(`sluice: nothing is ${words.withdrawn ? 'to come back' : 'held'} that is meant\n`)
  process.exitCode = 1
}

async function count({ by, json, ...words }: HeldWords & { by?: CountKind; json?: true }): Promise<void> {
  const now = Date.now()
  const counts = createHeldCounts(now)
  await read(words, now, countedFields, (verdict, { attempts }) => counts.add(verdict, attempts))
  const { held, bytes, by: groups } = counts.counts()
  const told = by === undefined ? countKinds : [by]
  if (json) {
    const wanted = Object.fromEntries(told.map((kind) => [kind, groups[kind]]))
    process.stdout.write(`${visible(JSON.stringify({ held, bytes, by: wanted }))}\n`)
    return
  }
  const tables = held === 0 ? [] : told.map((kind) => groupTable(kind, groups[kind]))
  process.stdout.write(
    `${[...tables, `${held} items ${words.withdrawn ? 'may come back' : 'held'}, ${megabytes(bytes)}`].join('\n')}\n`,
  )
}

async function read<Name extends keyof VerdictRecord>(
  words: HeldWords,
  now: number,
  fields: readonly Name[],
  onHeld: ReadHeldOptions<Name>['onHeld'],
): Promise<void> {
  const filter = await readHeldWords(words, now)
  const settings = readSettings()
  const registry = createRegistry(settings)
  let [done, total] = [0, 0]
  const stopProgress = showProgress(() =>
    total === 0 ? 'reading what was replayed' : `${done} of ${total} records read`,
  )
  try {
    const replays = await readReplayRuns(settings, registry)
    const onRead = (read: number, of: number): void => {
      done = read
      total = of
    }
    await readHeld({ settings, registry, filter, replays, fields, onRead, onHeld })
  } finally {
    stopProgress()
  }
}

function limitOf(word: string): number {
  const limit = /^\d{1,6}$/.test(word) ? Number(word) : 0
  if (limit >= 1 && limit <= MOST_ROWS) return limit
  throw new SluiceError('USAGE', `--limit ${word}: expected a whole number from 1 to ${MOST_ROWS}`)
}

function rowOf(verdict: Omit<Row, 'match' | 'attempts'> & Pick<VerdictRecord, 'matches'>, attempts: number): Row {
  const { input, itemId, judgedAt, outcome, reasons, policyHash, listVersions } = verdict
  const [match] = holding(verdict)
  return {
    input,
    itemId,
    judgedAt,
    outcome,
    reasons,
    match: match === undefined ? null : { list: match.list, entry: match.entry },
    supplier: verdict.supplier?.slice(0, LONGEST_NAME) ?? null,
    dataset: verdict.dataset?.slice(0, LONGEST_NAME) ?? null,
    policyHash,
    listVersions,
    attempts,
  }
}

function tableOf(rows: readonly Row[]): string {
  const head = ['offset', 'item', 'judged at', 'outcome', 'reasons', 'entry', 'supplier', 'dataset', 'attempts']
  const cells = rows.map((row) => [
    `${row.input.partition}/${row.input.offset}`,
    visible(row.itemId ?? ''),
    timeText(row.judgedAt),
    visible(row.outcome),
    visible(row.reasons.join(', ')),
    visible(row.match === null ? '' : `${row.match.list}/${row.match.entry}`),
    visible(row.supplier ?? ''),
    visible(row.dataset ?? ''),
    row.attempts,
  ])
  return asTable(head, cells)
}

function sentenceOf(held: number, more: number): string {
  return more === 0 ? `${held} items` : `${held} items; ${more} more than these: --limit shows more, filters fewer`
}

function groupTable(kind: CountKind, groups: readonly HeldGroup[]): string {
  const rows = groups.map(({ name, others, items, bytes }) => [
    others ? '(others)' : name === null ? '(not told)' : visible(String(name)),
    items,
    megabytes(bytes),
  ])
  return asTable([kind, 'items', 'size'], rows)
}
