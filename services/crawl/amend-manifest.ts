import { createReadStream } from 'node:fs'
import { extname } from 'node:path'
import { createInterface } from 'node:readline'
import { CsvError, parse } from 'csv-parse'
import { z } from 'zod'
import { type NamedCoordinates, parseCoordinates } from '../domain/coordinates.ts'
import { isItemId } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import { groups } from './sidecar.ts'

/** The facts that a row of a manifest adds to one item: dotted field of the envelope to its value. */
export type Answer = {
  /** from 1, the header counted */
  line: number
  item: { id: string } | { coordinates: NamedCoordinates }
  fields: ReadonlyMap<string, unknown>
}
/** A row that can't be used: which field (empty: all of it), and what was expected instead. */
export type BadRow = { line: number; field: string; expected: string }

/** What is known of a payload is the gate's, and the id is what the row is about. */
const types = new Map<string, z.ZodType>(
  Object.entries(groups)
    .filter(([name]) => name !== 'payload')
    .flatMap(([name, { shape }]) =>
      Object.entries(shape).map(([field, type]): [string, z.ZodType] => [`${name}.${field}`, type]),
    ),
)
const naming = ['itemId', 'coordinates']
/** Columns of the list of gaps that a supplier was sent: the answer may have them still. */
const passedOver = ['shard', 'row', 'required', 'wanted']
const LONGEST_ROW = 1_048_576
const csvRow = z.object({ record: z.array(z.string()), info: z.object({ lines: z.number() }) })
const jsonRow = z.record(z.string(), z.unknown())

/**
 * Reads a manifest: CSV with a header line, or (by its name, .jsonl or .ndjson) a JSON object a line. `itemId` or `coordinates` names the item, every other column is a
 * field of the envelope; an empty cell, or null, tells nothing.
 * @throws {SluiceError} USAGE when it can't be read, or has a column that is no field
 */
export async function* readManifest(file: string): AsyncGenerator<Answer | BadRow> {
  const rows = ['.jsonl', '.ndjson'].includes(extname(file).toLowerCase()) ? jsonRows(file) : csvRows(file)
  try {
    yield* rows
  } catch (error) {
    throw manifestError(error, file)
  }
}

async function* csvRows(file: string): AsyncGenerator<Answer | BadRow> {
  const parser = parse({ info: true, bom: true, trim: true, skip_empty_lines: true, max_record_size: LONGEST_ROW })
  const source = createReadStream(file)
  source.on('error', (error) => parser.destroy(error))
  source.pipe(parser)
  let header: string[] | null = null
  for await (const row of parser) {
    const { record, info } = csvRow.parse(row)
    if (header === null) {
      header = record
      checkHeader(header, file)
    } else {
      const cells = header.map((name, at): [string, unknown] => [name, record[at] ?? ''])
      yield answerOf(info.lines, cells, (type, value) => parseText(type, String(value)))
    }
  }
  if (header === null) throw new SluiceError('USAGE', `${file} is empty: expected a header line`)
}

function checkHeader(header: readonly string[], file: string): void {
  const wrong = header.find((name) => !naming.includes(name) && !passedOver.includes(name) && !types.has(name))
  if (wrong !== undefined) {
    const sentence = `${file}: ${JSON.stringify(wrong)} is no field of the envelope that can be added`
    throw new SluiceError('USAGE', `${sentence}; expected dotted names like acquisition.requestedUrl`)
  }
  const twice = header.find((name, at) => header.indexOf(name) !== at)
  if (twice !== undefined) throw new SluiceError('USAGE', `${file}: the column ${twice} is there twice`)
  if (!header.some((name) => naming.includes(name)))
    throw new SluiceError('USAGE', `${file}: expected a column itemId or coordinates`)
}

async function* jsonRows(file: string): AsyncGenerator<Answer | BadRow> {
  const source = createReadStream(file, 'utf8')
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })
  source.on('error', () => lines.close())
  let line = 0
  for await (const text of lines) {
    line += 1
    if (text.trim() === '') continue
    const row = parseJson(text)
    if (row === null) yield { line, field: '', expected: 'expected a JSON object in one line' }
    else yield answerOf(line, Object.entries(row), (type, value) => type.safeParse(value))
  }
  if (source.errored) throw source.errored
}

function parseJson(text: string): Record<string, unknown> | null {
  try {
    return jsonRow.parse(JSON.parse(text))
  } catch {
    return null
  }
}

function answerOf(
  line: number,
  cells: ReadonlyArray<readonly [string, unknown]>,
  read: (type: z.ZodType, value: unknown) => z.ZodSafeParseResult<unknown>,
): Answer | BadRow {
  const told = cells.filter(([, value]) => value !== '' && value !== null)
  const item = itemOf(new Map(told))
  if (item === null) {
    const expected = 'expected either itemId, [A-Za-z0-9._-]{1,64}, or coordinates, TOPIC/PARTITION/OFFSET'
    return { line, field: '', expected }
  }
  const fields = new Map<string, unknown>()
  for (const [name, value] of told) {
    if (naming.includes(name) || passedOver.includes(name)) continue
    const type = types.get(name)
    if (type === undefined) return { line, field: name, expected: 'expected a field of the envelope that can be added' }
    const parsed = read(type, value)
    if (!parsed.success)
      return { line, field: name, expected: parsed.error.issues[0]?.message ?? 'expected another value' }
    if (parsed.data !== null) fields.set(name, parsed.data)
  }
  return fields.size === 0 ? { line, field: '', expected: 'expected at least one field' } : { line, item, fields }
}

function itemOf(told: ReadonlyMap<string, unknown>): Answer['item'] | null {
  const [id, named] = naming.map((name) => told.get(name))
  if (typeof id === 'string' && named === undefined) return isItemId(id) ? { id } : null
  const coordinates = typeof named === 'string' && id === undefined ? parseCoordinates(named) : null
  return coordinates === null ? null : { coordinates }
}

/** A cell is a text, or the JSON of what is none. */
function parseText(type: z.ZodType, text: string): z.ZodSafeParseResult<unknown> {
  const asText = type.safeParse(text)
  if (asText.success) return asText
  try {
    return type.safeParse(JSON.parse(text))
  } catch {
    return asText
  }
}

function manifestError(error: unknown, file: string): unknown {
  if (error instanceof CsvError) {
    const line = typeof error.lines === 'number' ? `, line ${error.lines}` : ''
    return new SluiceError('USAGE', `${file}${line}: expected comma-separated values (${error.code})`, { cause: error })
  }
  if (error instanceof Error && 'syscall' in error)
    return new SluiceError('USAGE', `${file} can't be read: name a manifest that exists`, { cause: error })
  return error
}
