import { asyncBufferFromFile, type DecodedArray, parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { SidecarError } from '../sidecar.ts'
import type { Row } from './row.ts'

/** Bytes of a row group, unpacked: one is held in memory. */
const LONGEST_ROW_GROUP = 256 * 1024 * 1024

/** A Parquet file, read one row group at a time. */
export type Parquet = {
  /** in the file's order; nested ones are one column */
  columns: readonly string[]
  /** rows of each row group, from 0: `start` is in it, `end` is not */
  groups: readonly { start: number; end: number }[]
  /**
   * The rows of a row group, made one by one from its columns.
   * @param columns those to read; all when left out
   * @throws {SidecarError} when it is damaged, or longer than what is held in memory
   */
  read(group: number, columns?: readonly string[]): Promise<(at: number) => Row>
}

/**
 * Opens a Parquet file. Texts are texts and bytes bytes: a byte array that the schema does not call text, or that is none, comes as Uint8Array. Times
 * come as Date; those that are finer than that as ISO 8601 text with all their digits.
 * @throws {SidecarError} when it is none, or damaged
 */
export async function openParquet(path: string): Promise<Parquet> {
  const { file, metadata, columns } = await open(path).catch((cause: unknown) => {
    throw new SidecarError('', 'expected a Parquet file that is whole', { cause })
  })
  if (new Set(columns).size < columns.length) throw new SidecarError('', 'expected every column once')
  let start = 0
  const groups = metadata.row_groups.map(({ num_rows }) => {
    const group = { start, end: start + Number(num_rows) }
    start = group.end
    return group
  })
  return {
    columns,
    groups,
    async read(at, wanted = columns) {
      const [group, { total_byte_size: bytes = 0n } = {}] = [groups[at], metadata.row_groups[at]]
      if (group === undefined) throw new RangeError(`there is no row group ${at}`)
      if (bytes > LONGEST_ROW_GROUP)
        throw new SidecarError('', `expected row groups of at most ${LONGEST_ROW_GROUP} bytes: write smaller ones`)
      const read = new Map<string, DecodedArray>()
      try {
        const scan = await parquetScan({ file, metadata, columns: [...wanted], compressors, utf8: false, parsers })
        const range = { rowStart: group.start, rowEnd: group.end }
        for (const column of wanted) {
          const values = await scan.readColumn({ column, ...range })
          if (values.length !== group.end - group.start) throw new RangeError('a column has another number of rows')
          read.set(column, values)
        }
      } catch (cause) {
        throw new SidecarError('', `expected rows ${group.start} to ${group.end - 1} undamaged`, { cause })
      }
      return (row) => new Map(Array.from(read, ([column, values]) => [column, values[row - group.start]]))
    },
  }
}

async function open(path: string) {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file, { parsers, geoparquet: false })
  return { file, metadata, columns: parquetSchema(metadata).children.map(({ element }) => element.name) }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What the library would else make less of than there is. */
const parsers = {
  stringFromBytes: textOrBytes,
  jsonFromBytes: textOrBytes,
  geometryFromBytes: textOrBytes,
  geographyFromBytes: textOrBytes,
  timestampFromMicroseconds: (micros: bigint) => timeOf(micros, 1000n),
  timestampFromNanoseconds: (nanos: bigint) => timeOf(nanos, 1_000_000n),
}

function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return bytes && utf8.decode(bytes)
  } catch {
    return bytes
  }
}

function timeOf(ticks: bigint, perMillisecond: bigint): Date | string {
  const rest = ((ticks % perMillisecond) + perMillisecond) % perMillisecond
  const time = new Date(Number((ticks - rest) / perMillisecond))
  if (rest === 0n || Number.isNaN(time.getTime())) return time
  const digits = String(rest).padStart(String(perMillisecond).length - 1, '0')
  return time.toISOString().replace('Z', `${digits}Z`)
}
