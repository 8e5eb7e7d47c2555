import { pipeline } from 'node:stream/promises'
import { CsvError, parse } from 'csv-parse'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { checkListHeader, entryFromJson, entryFromRow, type ReadRow } from '../domain/hash-list.ts'
import { type PackedEntries, PackedList } from '../domain/packed-entries.ts'
import { bytesOfFile, fileStatus } from './files/files.ts'
import { readLines } from './read-lines.ts'

const LONGEST_ROW = 65_536
/** Before the first line of a file of JSON lines there may be a mark, and space. */
const JSON_BEGINS = /^\uFEFF?\s*\{/
const csvRow = z.object({ record: z.array(z.string()), info: z.object({ lines: z.number() }) })

/** A list file that has been read whole. */
export type HashListFile = {
  entries: PackedEntries
  /** PDQ hashes that were left out for a quality below 50 */
  lowQuality: number
  /** rows that had nothing but such a hash */
  rowsLeftOut: number
}

/**
 * Reads a hash list from a CSV file with a header line, or from a file of JSON lines: see `checkListHeader`, `entryFromRow` and `entryFromJson`.
 * @param list the name that the entries get
 * @throws {SluiceError} LIST_INVALID naming file, line and what was expected: for the first bad row, an id that comes twice, or a file
 *   that can't be read, is a pipe or a device, or has no usable entry; STORE_UNREACHABLE
 */
export async function readHashListFile(path: string, list: string): Promise<HashListFile> {
  if ((await fileStatus(path))?.kind === 'other') {
    const sentence = `${path}: expected a regular file, not a pipe or a device, since it is read more than once`
    throw new SluiceError('LIST_INVALID', `${sentence}; write it to a file first`)
  }
  const packed = new PackedList(list)
  let [lowQuality, rowsLeftOut] = [0, 0]
  let last = ''
  const second = await readUntil(path, list, (row) => {
    if (row.lowQuality) lowQuality += 1
    if (row.entry === null) {
      rowsLeftOut += 1
      return false
    }
    last = row.entry.id
    const isTwice = packed.has(last)
    if (!isTwice) packed.put(row.entry)
    return isTwice
  })
  if (second !== null) {
    const first = await readUntil(path, list, ({ entry }) => entry?.id === last)
    throw new SluiceError(
      'LIST_INVALID',
      `${path}, line ${second}: the same entry as in line ${first}; keep one of them`,
    )
  }
  if (packed.size === 0) {
    throw new SluiceError(
      'LIST_INVALID',
      `${path}: expected a header line (or lines of JSON) and at least one usable entry; there is none`,
    )
  }
  return { entries: packed.snapshot(), lowQuality, rowsLeftOut }
}

type IsWanted = (row: ReadRow) => boolean

/** @returns the line of the first row that is the wanted one; null when none is */
async function readUntil(path: string, list: string, isWanted: IsWanted): Promise<number | null> {
  try {
    return await ((await isJsonLines(path)) ? readJsonUntil : readCsvUntil)(path, list, isWanted)
  } catch (error) {
    throw listError(error, path)
  }
}

async function isJsonLines(path: string): Promise<boolean> {
  for await (const bytes of bytesOfFile(path)) return JSON_BEGINS.test(bytes.toString('utf8', 0, 1024))
  return false
}

async function readJsonUntil(path: string, list: string, isWanted: IsWanted): Promise<number | null> {
  for await (const { bytes, number } of readLines(bytesOfFile(path), LONGEST_ROW)) {
    const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
    if (text.trim() !== '' && isWanted(entryFromJson(text, { list, file: path, line: number }))) return number
  }
  return null
}

async function readCsvUntil(path: string, list: string, isWanted: IsWanted): Promise<number | null> {
  let header: string[] | null = null
  let found: number | null = null
  const parser = parse({ info: true, bom: true, trim: true, skip_empty_lines: true, max_record_size: LONGEST_ROW })
  try {
    await pipeline(bytesOfFile(path), parser, async (rows: AsyncIterable<unknown>) => {
      for await (const row of rows) {
        const { record, info } = csvRow.parse(row)
        const place = { list, file: path, line: info.lines }
        if (header === null) {
          checkListHeader(record, place)
          header = record
        } else if (isWanted(entryFromRow(Object.fromEntries(header.map((name, at) => [name, record[at]])), place))) {
          found = info.lines
          throw new Error('found')
        }
      }
    })
  } catch (error) {
    if (found === null) throw error
  }
  return found
}

function listError(error: unknown, file: string): unknown {
  if (error instanceof CsvError) {
    const line = typeof error.lines === 'number' ? `, line ${error.lines}` : ''
    const expectation =
      error.code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH'
        ? 'expected as many fields as the header line has'
        : `expected comma-separated values (${error.code})`
    return new SluiceError('LIST_INVALID', `${file}${line}: ${expectation}`, { cause: error })
  }
  if (error instanceof RangeError) return new SluiceError('LIST_INVALID', `${file}, ${error.message}`, { cause: error })
  if (error instanceof Error && 'syscall' in error) {
    const code = 'code' in error ? String(error.code) : error.name
    return new SluiceError('LIST_INVALID', `${file}: the file can not be read (${code})`, { cause: error })
  }
  return error
}
