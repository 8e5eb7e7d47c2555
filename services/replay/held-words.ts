import { createReadStream } from 'node:fs'
import type { Command } from 'commander'
import { isItemId } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import { LIST_NAME } from '../domain/hash-list.ts'
import { type HeldFilter, MOST_ITEM_IDS } from '../domain/held-filter.ts'
import { supplyKinds } from '../domain/judge/provenance.ts'
import { outcomes, reasons } from '../domain/reasons.ts'
import { parseTime } from '../domain/time-text.ts'
import { codeOf } from '../platform/error-code.ts'
import { readLines } from '../platform/read-lines.ts'

const LONGEST_LINE_BYTES = 1000
const heldOutcomes = outcomes.filter((outcome) => outcome !== 'clean')

/** The options of {@link addHeldWords}, as commander hands them over. */
export type HeldWords = {
  outcome?: string[]
  partition?: string[]
  since?: string
  until?: string
  reason?: string[]
  list?: string[]
  entry?: string[]
  listVersion?: string[]
  policy?: string[]
  supplier?: string[]
  dataset?: string[]
  supplyKind?: string[]
  attempts?: string
  items?: string
  withdrawn?: true
}

/** How the options are to be read, for a command's help. */
export const heldHelp = `
Which items are meant: options combine, and of one that is given several times any may hold. Lists and entries are those that hold an item, not those that only
mark it in shadow. TIME is ISO 8601 with its zone (2026-03-01T10:00Z; a day alone is its midnight UTC) or an age (90m, 2h, 3d, 1w). What a replay has put through
the gate again is not told any more; its new verdict is, where it is held again. With --withdrawn it is about what the gate had cleared and a later list version
recalled, where that recall was withdrawn: its bytes are in the held store, lists and entries are those that had recalled it, and times are those at which it
was cleared.`

const words = [
  ['--outcome <outcome>', `${heldOutcomes.join(' or ')}`],
  ['--partition <range>', 'of the door: 2, or with offsets, first and last: 2:1000-2000; 2:1000- for all from there'],
  ['--reason <code>', 'reason code, as KNOWN_NEAR'],
  ['--list <name>', 'held by this hash list'],
  ['--entry <list/entry>', 'held by this entry'],
  ['--list-version <list/version>', 'judged by this version of a list, or another with the same entries'],
  ['--policy <sha256>', 'judged by this policy'],
  ['--supplier <name>', 'of this supplier'],
  ['--dataset <name>', 'of this dataset'],
  ['--supply-kind <kind>', supplyKinds.join(', ')],
] as const

/** Gives a command the words that say which held items are meant. */
export function addHeldWords(command: Command): Command {
  for (const [flags, meaning] of words) command.option(flags, `${meaning}; repeatable`, collect)
  return command
    .option('--since <time>', 'judged then or later')
    .option('--until <time>', 'judged before then')
    .option('--attempts <n>', 'replayed at least so often')
    .option('--items <file>', 'only the item ids in this file, one a line')
    .option('--withdrawn', 'instead of what is held: what was cleared, recalled, and had its recall withdrawn')
}

function collect(word: string, before: string[] = []): string[] {
  return [...before, word]
}

/**
 * What the words mean.
 * @param now milliseconds since the epoch, from which ages count
 * @throws {SluiceError} USAGE
 */
export async function readHeldWords(given: HeldWords, now: number): Promise<HeldFilter> {
  const filter: HeldFilter = {
    ...kind('outcomes', given.outcome, oneOf('--outcome', heldOutcomes)),
    ...kind('partitions', given.partition, rangeOf),
    ...time('since', given.since, now),
    ...time('until', given.until, now),
    ...kind('reasons', given.reason, oneOf('--reason', Object.keys(reasons))),
    ...kind('lists', given.list, listName),
    ...kind('entries', given.entry, (word) => {
      const [list, entry] = listAnd('--entry', 'LIST/ENTRY', word)
      return { list, entry }
    }),
    ...kind('listVersions', given.listVersion, (word) => {
      const [list, version] = listAnd('--list-version', 'LIST/VERSION, as `sluice lists versions` tells it', word)
      return { list, version }
    }),
    ...kind('policyHashes', given.policy, sha256Of),
    ...kind('suppliers', given.supplier, (word) => word),
    ...kind('datasets', given.dataset, (word) => word),
    ...kind('supplyKinds', given.supplyKind, oneOf('--supply-kind', supplyKinds)),
    ...(given.attempts === undefined ? {} : { attempts: countOf(given.attempts) }),
    ...(given.items === undefined ? {} : { itemIds: await readItemIds(given.items) }),
    ...(given.withdrawn === undefined ? {} : { withdrawn: true }),
  }
  if (given.withdrawn && (given.outcome ?? given.reason ?? given.listVersion) !== undefined) {
    throw new SluiceError(
      'USAGE',
      '--withdrawn is about what was cleared: it goes with none of --outcome, --reason and --list-version',
    )
  }
  const { since, until } = filter
  if (since !== undefined && until !== undefined && since >= until) {
    throw wrong('--since', 'a time before that of --until', given.since ?? '')
  }
  return filter
}

/** A kind of the filter; without it where no word of it was given. */
function kind<Name extends keyof HeldFilter, Meaning>(
  name: Name,
  given: readonly string[] | undefined,
  read: (word: string) => Meaning,
): { [Key in Name]?: Meaning[] } {
  const found: { [Key in Name]?: Meaning[] } = {}
  if (given !== undefined) found[name] = given.map(read)
  return found
}

function time<Name extends 'since' | 'until'>(name: Name, word: string | undefined, now: number) {
  const found: { [Key in Name]?: number } = {}
  if (word === undefined) return found
  const at = parseTime(word, now)
  if (at === null)
    throw wrong(`--${name}`, 'ISO 8601 with its zone (2026-03-01T10:00Z) or an age (90m, 2h, 3d, 1w)', word)
  found[name] = at
  return found
}

function oneOf(option: string, known: readonly string[]): (word: string) => string {
  return (word) => {
    if (!known.includes(word)) throw wrong(option, `one of ${known.join(', ')}`, word)
    return word
  }
}

const range = /^(\d{1,9})(?::(\d{1,15})(-(\d{1,15})?)?)?$/

function rangeOf(word: string): NonNullable<HeldFilter['partitions']>[number] {
  const [whole, partition, from, dash, to] = range.exec(word) ?? []
  const first = Number(from)
  // One offset alone is both.
  const last = dash === undefined ? first : Number(to ?? Number.POSITIVE_INFINITY)
  if (whole === undefined || first > last) {
    throw wrong('--partition', 'PARTITION or PARTITION:FIRST-LAST, offsets of the door, as 2:1000-2000', word)
  }
  const found = { partition: Number(partition) }
  if (from === undefined) return found
  return { ...found, first, ...(Number.isFinite(last) ? { last } : {}) }
}

function listName(word: string): string {
  if (!LIST_NAME.test(word)) throw wrong('--list', "a list's name, as `sluice lists status` tells it", word)
  return word
}

/** Names of lists have no slash. */
function listAnd(option: string, expected: string, word: string): [list: string, other: string] {
  const slash = word.indexOf('/')
  const [list, other] = [word.slice(0, Math.max(0, slash)), word.slice(slash + 1)]
  if (!LIST_NAME.test(list) || other === '') throw wrong(option, expected, word)
  return [list, other]
}

function sha256Of(word: string): string {
  if (!/^[0-9a-f]{64}$/i.test(word)) throw wrong('--policy', "a policy file's sha256, 64 hex digits", word)
  return word.toLowerCase()
}

function countOf(word: string): number {
  if (!/^\d{1,6}$/.test(word)) throw wrong('--attempts', 'a whole number', word)
  return Number(word)
}

function wrong(option: string, expected: string, word: string): SluiceError {
  return new SluiceError('USAGE', `${option} ${word}: expected ${expected}`)
}

/** @throws {SluiceError} USAGE, with the line's number and not what stands there, which may be anything */
async function readItemIds(file: string): Promise<string[]> {
  const ids = new Set<string>()
  try {
    for await (const { bytes, number } of readLines(createReadStream(file), LONGEST_LINE_BYTES)) {
      const id = bytes.toString('utf8').trim()
      if (id === '') continue
      if (!isItemId(id)) {
        throw new SluiceError('USAGE', `${file}, line ${number}: expected an item id, [A-Za-z0-9._-]{1,64}`)
      }
      ids.add(id)
      if (ids.size > MOST_ITEM_IDS) {
        throw new SluiceError('USAGE', `${file}: expected at most ${MOST_ITEM_IDS} item ids; split the file`)
      }
    }
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    if (cause instanceof RangeError) throw new SluiceError('USAGE', `${file}, ${cause.message}`, { cause })
    const sentence = `${file} can not be read (${codeOf(cause)}): expected a file of item ids, one a line`
    throw new SluiceError('USAGE', sentence, { cause })
  }
  if (ids.size === 0) throw new SluiceError('USAGE', `${file}: expected at least one item id, one a line`)
  return [...ids]
}
