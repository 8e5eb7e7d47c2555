import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { CsvError, parse } from 'csv-parse'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { checkListHeader, entryFromRow } from '../domain/hash-list.ts'
import type { HashListEntry } from '../domain/records.ts'

const LONGEST_ROW = 65_536
const csvRow = z.object({ record: z.array(z.string()), info: z.object({ lines: z.number() }) })

/** A list file that has been read whole. */
export type HashListFile = {
  /** by entry id, in the order of the file */
  entries: Map<string, HashListEntry>
  /** PDQ hashes that were left out for a quality below 50 */
  lowQuality: number
  /** rows that had nothing but such a hash */
  rowsLeftOut: number
}

/**
 * Reads a hash list from a CSV file with a header line; see `checkListHeader` and `entryFromRow` for the columns.
 * @param list the name that the entries get
 * @throws {SluiceError} LIST_INVALID naming file, line and what was expected: for the first bad row, an id that comes twice, or a file
 *   that can't be read or has no usable entry
 */
export async function readHashListFile(path: string, list: string): Promise<HashListFile> {
  const read: HashListFile = { entries: new Map(), lowQuality: 0, rowsLeftOut: 0 }
  const lines = new Map<string, number>()
  let header: string[] | null = null
  const parser = parse({ info: true, bom: true, trim: true, skip_empty_lines: true, max_record_size: LONGEST_ROW })

  function add(found: unknown): void {
    const { record, info } = csvRow.parse(found)
    const place = { list, file: path, line: info.lines }
    if (header === null) {
      checkListHeader(record, place)
      header = record
      return
    }
    const { entry, lowQuality } = entryFromRow(Object.fromEntries(header.map((name, at) => [name, record[at]])), place)
    if (lowQuality) read.lowQuality += 1
    if (entry === null) {
      read.rowsLeftOut += 1
      return
    }
    const before = lines.get(entry.id)
    if (before !== undefined) {
      throw new SluiceError(
        'LIST_INVALID',
        `${path}, line ${place.line}: the same entry as in line ${before}; keep one of them`,
      )
    }
    lines.set(entry.id, place.line)
    read.entries.set(entry.id, entry)
  }

  try {
    await pipeline(createReadStream(path), parser, async (rows: AsyncIterable<unknown>) => {
      for await (const row of rows) add(row)
    })
  } catch (error) {
    throw listError(error, path)
  }
  if (read.entries.size === 0) {
    throw new SluiceError(
      'LIST_INVALID',
      `${path}: expected a header line and at least one usable entry; there is none`,
    )
  }
  return read
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
  if (error instanceof Error && 'syscall' in error) {
    const code = 'code' in error ? String(error.code) : error.name
    return new SluiceError('LIST_INVALID', `${file}: the file can not be read (${code})`, { cause: error })
  }
  return error
}
