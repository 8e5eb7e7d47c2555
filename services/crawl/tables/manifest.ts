import { extname } from 'node:path'
import { pipeline } from 'node:stream'
import { parse } from 'csv-parse'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { codeOf } from '../../platform/error-code.ts'
import { bytesOfFile } from '../../platform/files/files.ts'
import { SidecarError } from '../sidecar.ts'
import { openParquet } from './parquet.ts'
import { type Row, rowFromJson, textOf } from './row.ts'

/** Longest row of a manifest that is text, bytes. */
const LONGEST_ROW = 1024 * 1024

/** What spreadsheets put before UTF-16. */
const UTF16_MARK = Buffer.of(0xff, 0xfe)

/** A row of a manifest, or what was expected instead (of `rows` of them, where it is not one); `at` counts both, from 0, `line` is where it ends in a file of lines, from 1. */
export type ManifestRow = { at: number; line: number | null } & ({ row: Row } | { expected: string; rows?: number })

/** Where a row stands, for a person. */
export function placeOf(file: string, { at, line }: Pick<ManifestRow, 'at' | 'line'>): string {
  return `${file}, row ${at}${line === null ? '' : ` (line ${line})`}`
}

export type Manifest = {
  /** null where rows name their own */
  columns: readonly string[] | null
  rows(): AsyncIterable<ManifestRow>
}

/** Formats of a manifest, by the extension of its file. */
const formats: Readonly<Record<string, (path: string) => Promise<Manifest>>> = {
  '.csv': openCsv,
  '.jsonl': openJsonLines,
  '.ndjson': openJsonLines,
  '.parquet': openParquetManifest,
}

/**
 * Opens a table of rows that is read little by little: CSV with a header line, JSON lines, or Parquet.
 * @throws {SidecarError} when it can't be read, or has no usable header
 */
export async function openManifest(path: string): Promise<Manifest> {
  const format = formats[extname(path).toLowerCase()]
  if (format === undefined) throw new SidecarError('', `expected one of ${Object.keys(formats).join(', ')}`)
  return await format(path)
}

async function openParquetManifest(path: string): Promise<Manifest> {
  const { columns, groups, read } = await openParquet(path)
  return {
    columns,
    async *rows() {
      for (const [group, { start, end }] of groups.entries()) {
        const rowAt = await read(group).catch(expectedOf)
        if (typeof rowAt === 'string') yield { at: start, line: null, expected: rowAt, rows: end - start }
        else for (let at = start; at < end; at++) yield { at, line: null, row: rowAt(at) }
      }
    },
  }
}

async function openJsonLines(path: string): Promise<Manifest> {
  for await (const _ of linesOf(path)) break
  return {
    columns: null,
    async *rows() {
      let [at, line] = [-1, 0]
      for await (const bytes of linesOf(path)) {
        line++
        if (bytes !== null && bytes.length === 0) continue
        at++
        yield { at, line, ...rowOfLine(line === 1 && bytes !== null ? withoutMark(bytes) : bytes) }
      }
    },
  }
}

function rowOfLine(bytes: Buffer | null): { row: Row } | { expected: string } {
  if (bytes === null) return { expected: `expected at most ${LONGEST_ROW} bytes in a line` }
  const text = textOf(bytes)
  if (text === null) return { expected: 'expected UTF-8' }
  try {
    return { row: rowFromJson(text) }
  } catch (error) {
    return { expected: expectedOf(error) }
  }
}

/** Without the mark that some programs put before UTF-8. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes.indexOf('\ufeff') === 0 ? bytes.subarray(3) : bytes
}

/** The lines of a file without their ends; null for one that is longer than what is held in memory. */
async function* linesOf(path: string): AsyncGenerator<Buffer | null> {
  let parts: Buffer[] = []
  let length = 0
  const take = (end: Buffer): Buffer | null => {
    const line = length + end.length > LONGEST_ROW ? null : Buffer.concat([...parts, end])
    parts = []
    length = 0
    return line?.at(-1) === 0x0d ? line.subarray(0, -1) : line
  }
  for await (const chunk of bytesOf(path)) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      yield take(chunk.subarray(start, end))
      start = end + 1
    }
    length += chunk.length - start
    if (length > LONGEST_ROW) parts = []
    else parts.push(chunk.subarray(start))
  }
  if (length > 0) yield take(Buffer.alloc(0))
}

/** @throws {SidecarError} when the file can't be read */
async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  try {
    yield* bytesOfFile(path)
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw new SidecarError('', `expected a file that can be read (${codeOf(cause) ?? 'unknown'})`, { cause })
  }
}

async function openCsv(path: string): Promise<Manifest> {
  let header: readonly string[] | null = null
  for await (const record of csvRecords(path)) {
    if ('fields' in record) header = record.fields
    break
  }
  if (header === null) throw new SidecarError('', 'expected comma-separated values in UTF-8 with a header line')
  if (new Set(header).size < header.length) throw new SidecarError('', 'expected every column once in the header line')
  const columns = header
  return {
    columns,
    async *rows() {
      let at = -2
      for await (const record of csvRecords(path)) {
        at++
        if (at < 0) continue
        const { line } = record
        if ('expected' in record) yield { at, line, expected: record.expected }
        else if (record.fields.length === columns.length)
          yield { at, line, row: new Map(columns.map((name, n) => [name, record.fields[n]])) }
        else
          yield {
            at,
            line,
            expected: `expected ${columns.length} values, as the header line has; there are ${record.fields.length}`,
          }
      }
    },
  }
}

type CsvRecord = { line: number } & ({ fields: string[] } | { expected: string })
const csvRecord = z.object({
  record: z.array(z.string()),
  info: z.object({ lines: z.number(), records: z.number() }),
})
const csvError = z.object({ code: z.string(), lines: z.number(), records: z.number() })

/** The records of a CSV file; behind one that is no CSV no other can be told apart, so it is the last. */
async function* csvRecords(path: string): AsyncGenerator<CsvRecord> {
  const bytes = bytesOf(path)
  const { value: start = Buffer.alloc(0) } = await bytes.next()
  const isUtf16 = start.indexOf(UTF16_MARK) === 0
  // The parser puts U+FFFD where UTF-8 is wrong; as Latin-1 the bytes come through as they are.
  const encoding = isUtf16 ? 'utf16le' : 'latin1'
  const parser = parse({
    info: true,
    encoding,
    // What it finds out by itself are the ends of the first line, and other lines may end otherwise.
    record_delimiter: isEndedByReturn(start.toString(encoding)) ? ['\r\n', '\n', '\r'] : ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_ROW,
    // An error would take with it the good records that were not fetched yet.
    skip_records_with_error: true,
  })
  const broken: z.infer<typeof csvError>[] = []
  parser.on('skip', (error: unknown) => broken.push(csvError.parse(error)))
  // What goes wrong in reading comes out of the iteration.
  const unmarked = isUtf16 ? start.subarray(UTF16_MARK.length) : withoutMark(start)
  pipeline(startingWith(unmarked, bytes), parser, () => undefined)
  for await (const one of parser) {
    const { record, info } = csvRecord.parse(one)
    if (info.records > (broken[0]?.records ?? Number.POSITIVE_INFINITY)) break
    const fields = isUtf16 ? record : record.map((field) => textOf(Buffer.from(field, encoding)))
    if (areTexts(fields)) yield { line: info.lines, fields }
    else yield { line: info.lines, expected: isUtf16 ? 'expected UTF-16' : 'expected UTF-8' }
  }
  const [first] = broken
  if (first === undefined) return
  const expected = `expected comma-separated values (${first.code}); from here on nothing was read`
  yield { line: first.lines, expected }
}

function areTexts(fields: readonly (string | null)[]): fields is string[] {
  return fields.every((field) => field?.isWellFormed())
}

/** Whether the first line ends by a carriage return alone, as on old Macs. Elsewhere one may stand in a field. */
function isEndedByReturn(text: string): boolean {
  const [, end] = /^(?:"[^"]*"|[^"\r\n])*(\r\n?|\n)/.exec(text) ?? []
  return end === '\r'
}

async function* startingWith(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    yield* rest
  } finally {
    // Where nobody wants more than the first: else the file would stay open.
    await rest.return(undefined)
  }
}

/** What was expected, of an error that says it. */
function expectedOf(error: unknown): string {
  if (error instanceof SidecarError) return error.expected
  throw error
}
