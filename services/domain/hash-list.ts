import { createHash } from 'node:crypto'
import { SluiceError } from './errors.ts'
import type { HashListEntry, KnownHash } from './records.ts'

/** What a list may be called: it is a part of record keys, metrics and messages. */
export const LIST_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/
const ENTRY_ID = /^[A-Za-z0-9._:-]{1,128}$/
/** A PDQ hash below this quality says little about its picture and would match too much. */
const LEAST_PDQ_QUALITY = 50

/** The hash columns of a list file, each with its length in bytes. */
const hashColumns: Readonly<Record<string, number>> = { md5: 16, sha1: 20, sha256: 32, pdq: 32 }
const columns: readonly string[] = ['id', ...Object.keys(hashColumns), 'quality', 'classification']

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
 * Checks the header of a list file. Columns: `id` (optional), `md5`, `sha1`, `sha256`, `pdq` (at least one of them),
 * `quality` (of the PDQ hash, optional), `classification` (optional); in any order.
 * @throws {SluiceError} LIST_INVALID naming file, line and column
 */
export function checkListHeader(header: readonly string[], place: RowPlace): void {
  const unknown = header.find((name) => !columns.includes(name))
  const double = header.find((name, at) => header.indexOf(name) !== at)
  if (unknown !== undefined) throw invalid(place, `unknown column ${JSON.stringify(unknown)}; known are ${columns}`)
  if (double !== undefined) throw invalid(place, `the column ${double} is there twice; keep one`)
  if (!header.some((name) => Object.hasOwn(hashColumns, name))) {
    throw invalid(place, `expected a header line with at least one of the columns ${Object.keys(hashColumns)}`)
  }
}

/**
 * Makes an entry of one row of a list file, whose header {@link checkListHeader} has passed.
 * @param row column name to text; hashes are hex of either case, empty where unknown
 * @returns `entry`: null when the row has no usable hash left; `lowQuality`: a PDQ hash of quality below 50 was left out
 * @throws {SluiceError} LIST_INVALID naming file, line, column and what was expected
 */
export function entryFromRow(
  row: Readonly<Record<string, string | undefined>>,
  place: RowPlace,
): { entry: HashListEntry | null; lowQuality: boolean } {
  const found: KnownHash[] = []
  for (const [signal, bytes] of Object.entries(hashColumns)) {
    const text = row[signal] ?? ''
    if (text === '') continue
    if (text.length !== bytes * 2 || !/^[0-9a-fA-F]+$/.test(text)) {
      throw invalid(place, `${signal}: expected ${bytes * 2} hex digits`)
    }
    found.push({ signal, value: Buffer.from(text, 'hex') })
  }
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
  if (signals.length === 0) return { entry: null, lowQuality }
  const classification = row.classification || null
  return { entry: { list: place.list, id: given || derivedId(signals), signals, classification }, lowQuality }
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

/**
 * The text of an entry that its list's digest is made of: a JSON array of the id, the sorted hashes as `signal:hex`, and the
 * classification. Equal texts, equal entries.
 */
export function entryText({ id, signals, classification }: HashListEntry): string {
  return JSON.stringify([id, signalTexts(signals), classification])
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

function invalid({ file, line }: RowPlace, expectation: string): SluiceError {
  return new SluiceError('LIST_INVALID', `${file}, line ${line}: ${expectation}`)
}
