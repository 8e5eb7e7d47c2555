import { createHash } from 'node:crypto'
import { z } from 'zod'
import { SluiceError } from './errors.ts'
import type { HashListEntry, KnownHash, Opinion } from './records.ts'
import { opinions as opinionWords } from './standing.ts'

/** What a list may be called: it is a part of record keys, metrics and messages. */
export const LIST_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/
export const ENTRY_ID = /^[A-Za-z0-9._:-]{1,128}$/
/** A PDQ hash below this quality says little about its picture and would match too much. */
const LEAST_PDQ_QUALITY = 50

/** The hash columns of a list file, each with its length in bytes. */
export const hashColumns: Readonly<Record<string, number>> = { md5: 16, sha1: 20, sha256: 32, pdq: 32 }
const columns: readonly string[] = [
  'id',
  ...Object.keys(hashColumns),
  'quality',
  'classification',
  'opinions',
  'withdrawn',
]
/** A column with hashes of some other kind, of any length: they are kept and counted, not matched. */
const OTHER_SIGNAL = /^signal:([a-z0-9][a-z0-9-]{0,31})$/
/** Shown where a list file tells a member: no semicolon, nothing that is not seen. */
const MEMBER = /^[^\p{C};]{1,128}$/u

/** Among the shadowed entries of a version: all of them. No entry can have this id. */
export const ALL_ENTRIES = '*'

/** Key of an entry's record on gate.hash-entries: `LIST/entry/ID`. */
export function entryKey(list: string, id: string): string {
  return `${list}/entry/${id}`
}

/** Key of a manifest's record on gate.hash-entries: `LIST/version/VERSION`; one key a version, so older ones stay readable. */
export function manifestKey(list: string, version: string): string {
  return `${list}/version/${version}`
}

/** What a key on gate.hash-entries says; null for a key of neither form. */
export function parseHashListKey(key: string): { list: string; kind: 'entry' | 'version'; name: string } | null {
  const [list, kind, name, ...rest] = key.split('/')
  if (list === undefined || !LIST_NAME.test(list) || !name || rest.length > 0) return null
  return kind === 'entry' || kind === 'version' ? { list, kind, name } : null
}

/** Where a row stands, for messages and for the entry's list. */
export type RowPlace = { list: string; file: string; line: number }

/**
 * Checks the header of a list file. Columns: `id` (optional), `md5`, `sha1`, `sha256`, `pdq`, `signal:NAME` for a hash that is only kept and counted (at
 * least one of them), `quality` (of the PDQ hash), `classification`, `opinions` (`MEMBER:OPINION; ...`), `withdrawn` (true or false; these all optional);
 * in any order.
 * @throws {SluiceError} LIST_INVALID naming file, line and column
 */
export function checkListHeader(header: readonly string[], place: RowPlace): void {
  checkColumns(header, place)
  const double = header.find((name, at) => header.indexOf(name) !== at)
  if (double !== undefined) throw invalid(place, `the column ${double} is there twice; keep one`)
  if (!header.some(isHashColumn)) {
    throw invalid(place, `expected a header line with at least one of the columns ${Object.keys(hashColumns)}`)
  }
}

function checkColumns(names: readonly string[], place: RowPlace): void {
  const unknown = names.find((name) => !columns.includes(name) && !isHashColumn(name))
  if (unknown === undefined) return
  throw invalid(place, `unknown column ${JSON.stringify(unknown)}; known are ${columns},signal:NAME`)
}

function isHashColumn(name: string): boolean {
  const other = OTHER_SIGNAL.exec(name)?.[1]
  return Object.hasOwn(hashColumns, other ?? name) === (other === undefined)
}

/** What became of a row: `entry`: null when it has no usable hash left; `lowQuality`: a PDQ hash of quality below 50 was left out. */
export type ReadRow = { entry: HashListEntry | null; lowQuality: boolean }
type Row = Readonly<Record<string, string | undefined>>

/**
 * Makes an entry of one row of a list file, whose header {@link checkListHeader} has passed.
 * @param row column name to text; hashes are hex of either case; what is unknown is empty or not there
 * @throws {SluiceError} LIST_INVALID naming file, line, column and what was expected
 */
export function entryFromRow(row: Row, place: RowPlace): ReadRow {
  const withdrawn = row.withdrawn || 'false'
  if (withdrawn !== 'true' && withdrawn !== 'false') throw invalid(place, 'withdrawn: expected true, false or nothing')
  const told = Object.entries(row).filter(([, text]) => text !== '')
  return makeEntry(Object.fromEntries(told), opinionsFromText(row.opinions ?? ''), withdrawn === 'true', place)
}

function opinionsFromText(text: string): Opinion[] {
  const parts = text.trim() === '' ? [] : text.split(';')
  return parts.map((part) => {
    const colon = part.lastIndexOf(':')
    return { member: part.slice(0, Math.max(0, colon)).trim(), opinion: part.slice(colon + 1).trim() }
  })
}

const jsonEntry = z
  .object({
    quality: z.number().nullish(),
    opinions: z.array(z.strictObject({ member: z.string(), opinion: z.string() })).nullish(),
    withdrawn: z.boolean().nullish(),
  })
  .catchall(z.string().nullish())

/**
 * Makes an entry of one line of a list file of JSON lines: an object with the columns' names as {@link checkListHeader} has them; `quality` is a number,
 * `withdrawn` true or false, and `opinions` a list of `{"member": ..., "opinion": ...}`.
 * @throws {SluiceError} as {@link entryFromRow}
 */
export function entryFromJson(line: string, place: RowPlace): ReadRow {
  const parsed = jsonEntry.safeParse(jsonOf(line))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const what = issue?.path.length ? `${issue.path.join('.')}: ` : ''
    throw invalid(place, `${what}${issue?.message.replace(/^Invalid input: /, '')}`)
  }
  const { quality, opinions, withdrawn, ...texts } = parsed.data
  const told = Object.entries(texts).filter(([, text]) => text !== null)
  checkColumns(
    told.map(([name]) => name),
    place,
  )
  const row: Row = { ...Object.fromEntries(told), quality: quality?.toString() }
  return makeEntry(row, opinions ?? [], withdrawn ?? false, place)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function makeEntry(row: Row, opinions: Opinion[], withdrawn: boolean, place: RowPlace): ReadRow {
  const found = hashesOf(row, place)
  if (found.length === 0) throw invalid(place, 'the row has no hash; expected at least one, or no row')
  const quality = row.quality ?? ''
  if (quality !== '' && !(/^\d{1,3}$/.test(quality) && Number(quality) <= 100)) {
    throw invalid(place, 'quality: expected a whole number from 0 to 100, or nothing')
  }
  const poor = quality !== '' && Number(quality) < LEAST_PDQ_QUALITY
  const signals = found.filter(({ signal }) => !(poor && signal === 'pdq'))
  const lowQuality = signals.length < found.length
  const given = row.id ?? ''
  if (given !== '' && !ENTRY_ID.test(given)) {
    throw invalid(place, 'id: expected 1 to 128 of the characters A-Z a-z 0-9 . _ : -')
  }
  for (const { member, opinion } of opinions) {
    if (MEMBER.test(member) && opinionWords.some((word) => word === opinion)) continue
    throw invalid(place, `opinions: expected a member's name and one of ${opinionWords.join(', ')}`)
  }
  const classification = row.classification || null
  // What JSON can write and UTF-8 can not: the digest would be of something else than what arrives.
  if (classification?.isWellFormed() === false) throw invalid(place, 'classification: expected Unicode text')
  if (signals.length === 0) return { entry: null, lowQuality }
  const id = given || derivedId(signals)
  return { entry: { list: place.list, id, signals, classification, opinions, withdrawn }, lowQuality }
}

function hashesOf(row: Row, place: RowPlace): KnownHash[] {
  const found: KnownHash[] = []
  for (const [name, text] of Object.entries(row)) {
    const other = OTHER_SIGNAL.exec(name)?.[1]
    const bytes = Object.hasOwn(hashColumns, name) ? hashColumns[name] : undefined
    const isHash = other !== undefined || bytes !== undefined
    // Of a hash that can not be matched there may be no more to say than that it is there.
    if (!isHash || text === undefined || (text === '' && other === undefined)) continue
    const isRight = bytes === undefined ? text.length % 2 === 0 : text.length === 2 * bytes
    if (!isRight || !/^[0-9a-fA-F]*$/.test(text)) {
      throw invalid(place, `${name}: expected ${bytes === undefined ? 'pairs of' : 2 * bytes} hex digits`)
    }
    found.push({ signal: other ?? name, value: Buffer.from(text, 'hex') })
  }
  return found
}

/** The id of an entry whose list has none: the first 32 hex digits of a sha256 over its hashes. */
function derivedId(signals: readonly KnownHash[]): string {
  return createHash('sha256')
    .update(JSON.stringify(signalTexts(signals)))
    .digest('hex')
    .slice(0, 32)
}

function signalTexts(signals: readonly KnownHash[]): string[] {
  return signals.map(({ signal, value }) => `${signal}:${value.toString('hex')}`).sort()
}

/** Opinions by member, then by opinion: the order in which a list's digest has them. */
export function sortedOpinions(opinions: readonly Opinion[]): readonly Opinion[] {
  if (opinions.length < 2) return opinions
  return [...opinions].sort((a, b) => byText(a.member, b.member) || byText(a.opinion, b.opinion))
}

function byText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

/**
 * The text of an entry that its list's digest is made of: a JSON array of the id, the sorted hashes as `signal:hex`, and the
 * classification; where there are opinions or the entry is withdrawn, then the sorted opinions as `[member, opinion]` and whether it is withdrawn.
 * Equal texts, equal entries.
 */
export function entryText({ id, signals, classification, opinions, withdrawn }: HashListEntry): string {
  const text = [id, signalTexts(signals), classification]
  if (opinions.length === 0 && !withdrawn) return JSON.stringify(text)
  const said = sortedOpinions(opinions).map(({ member, opinion }) => [member, opinion])
  return JSON.stringify([...text, said, withdrawn])
}

const textSchema = z.union([
  z.tuple([z.string(), z.array(z.string()), z.string().nullable()]),
  z.tuple([
    z.string(),
    z.array(z.string()),
    z.string().nullable(),
    z.array(z.tuple([z.string(), z.string()])),
    z.boolean(),
  ]),
])

/** The entry that a text of {@link entryText} is of. @throws {RangeError} for any other text */
export function entryFromText(list: string, text: string): HashListEntry {
  const parsed = textSchema.safeParse(jsonOf(text))
  if (!parsed.success) throw new RangeError('expected the text of an entry')
  const [id, hashes, classification, said = [], withdrawn = false] = parsed.data
  const signals = hashes.map((hash): KnownHash => {
    const colon = hash.lastIndexOf(':')
    return { signal: hash.slice(0, colon), value: Buffer.from(hash.slice(colon + 1), 'hex') }
  })
  return {
    list,
    id,
    signals,
    classification,
    opinions: said.map(([member, opinion]) => ({ member, opinion })),
    withdrawn,
  }
}

/**
 * Digest of a list version: sha256 over {@link entryText} of every entry, sorted by id (by UTF-16 code unit), each followed by a
 * line feed; lower-case hex.
 */
export function listDigest(entries: Iterable<HashListEntry>): string {
  const hash = createHash('sha256')
  for (const entry of [...entries].sort((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)))) {
    hash.update(`${entryText(entry)}\n`)
  }
  return hash.digest('hex')
}

/**
 * Names a new version: its time in UTC and the start of its digest, so that names sort by age.
 * @param now milliseconds since the epoch
 * @param previous the newest version so far; the new name sorts after it even when the clock was set back
 */
export function versionName(now: number, digest: string, previous: string | null): string {
  const before = previous === null ? Number.NaN : Date.parse(previous.slice(0, 24))
  const time = Number.isNaN(before) ? now : Math.max(now, before + 1)
  return `${new Date(time).toISOString()}-${digest.slice(0, 12)}`
}

/** What in a version's name its entries alone decide: the same for all versions that have the same entries. */
export function contentOf(version: string): string {
  return version.slice(version.lastIndexOf('-') + 1)
}

function invalid({ file, line }: RowPlace, expectation: string): SluiceError {
  return new SluiceError('LIST_INVALID', `${file}, line ${line}: ${expectation}`)
}
