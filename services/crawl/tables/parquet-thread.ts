import { parentPort } from 'node:worker_threads'
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type DecodedArray,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { isInBucket, openFile } from '../../platform/files/files.ts'
import { packError, type ThreadError } from '../../platform/thread-error.ts'

/** What is asked of a thread that decodes: what is in a file; or some columns of one of its row groups. */
export type ParquetCall = { path: string; wanted: { rowStart: number; rowEnd: number; columns: string[] } | null }
/** Names of columns, and rows and bytes of each row group; or the values of each column, in its order. */
export type ParquetAnswer =
  | { columns: string[]; groups: { rows: number; bytes: number }[] }
  | { values: DecodedArray[] }
  | { error: ThreadError }

// A thread that decodes Parquet, see `parquet.ts`: one call at a time, one answer each.

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

async function answerTo({ path, wanted }: ParquetCall): Promise<ParquetAnswer> {
  const file = isInBucket(path) ? await bufferFromBucket(path) : await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file, { parsers, geoparquet: false })
  if (wanted === null) {
    return {
      columns: parquetSchema(metadata).children.map(({ element }) => element.name),
      groups: metadata.row_groups.map(({ num_rows: rows, total_byte_size: bytes }) => {
        return { rows: Number(rows), bytes: Number(bytes) }
      }),
    }
  }
  const { columns, ...range } = wanted
  const scan = await parquetScan({ file, metadata, columns, compressors, utf8: false, parsers })
  const values: DecodedArray[] = []
  for (const column of columns) values.push(await scan.readColumn({ column, ...range }))
  return { values }
}

async function bufferFromBucket(path: string): Promise<AsyncBuffer> {
  const file = await openFile(path)
  return {
    byteLength: file.size,
    async slice(from, to = file.size) {
      const bytes = Buffer.alloc(Math.max(0, Math.min(to, file.size) - from))
      for (let filled = 0; filled < bytes.length; ) {
        filled += (await file.read(bytes, filled, bytes.length - filled, from + filled)).bytesRead
      }
      return bytes.buffer
    },
  }
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

parentPort?.on('message', async (call: ParquetCall) => {
  parentPort?.postMessage(await answerTo(call).catch((error: unknown) => ({ error: packError(error) })))
})
