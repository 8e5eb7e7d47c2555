import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { SluiceError } from '../../domain/errors.ts'
import { unpackError } from '../../platform/thread-error.ts'
import { isOfSystem, unreadable } from '../read-failure.ts'
import { SidecarError } from '../sidecar.ts'
import type { ParquetAnswer, ParquetCall } from './parquet-thread.ts'
import type { Row } from './row.ts'

/** Bytes of a row group, unpacked: one is held in memory. */
const LONGEST_ROW_GROUP = 256 * 1024 * 1024
/** Many times what decoding the longest row group takes. */
const PATIENCE_MS = 120_000
/** What a thread's objects may take, in MiB: what a row group unpacks to is only a claim. */
const MOST_HEAP = 4096

/** A Parquet file, read one row group at a time. */
export type Parquet = {
  /** in the file's order; nested ones are one column */
  columns: readonly string[]
  /** rows of each row group, from 0: `start` is in it, `end` is not */
  groups: readonly { start: number; end: number }[]
  /**
   * The rows of a row group, made one by one from its columns.
   * @param columns those to read; all when left out
   * @throws {SidecarError} when it is damaged, or longer than what is held in memory; {SluiceError} when it can't be read
   */
  read(group: number, columns?: readonly string[]): Promise<(at: number) => Row>
}

/**
 * Opens a Parquet file. Texts are texts and bytes bytes: a byte array that the schema does not call text, or that is none, comes as Uint8Array. Times
 * come as Date; those that are finer than that as ISO 8601 text with all their digits.
 * @param patienceMs how long decoding a row group may take
 * @throws {SidecarError} when it is none, or damaged, with an {UnansweredError} as its cause where decoding has not ended; {SluiceError} when it can't be read
 */
export async function openParquet(path: string, patienceMs = PATIENCE_MS): Promise<Parquet> {
  const found = await decode({ path, wanted: null }, patienceMs).catch((cause: unknown) => {
    throw failureOf(path, 'expected a Parquet file that is whole', cause)
  })
  if (!('columns' in found)) throw new TypeError('a thread has answered something else')
  const { columns } = found
  if (new Set(columns).size < columns.length) throw new SidecarError('', 'expected every column once')
  let start = 0
  const groups = found.groups.map(({ rows, bytes }) => {
    const group = { start, end: start + rows, bytes }
    start = group.end
    return group
  })
  return {
    columns,
    groups,
    async read(at, wanted = columns) {
      const group = groups[at]
      if (group === undefined) throw new RangeError(`there is no row group ${at}`)
      if (group.bytes > LONGEST_ROW_GROUP)
        throw new SidecarError('', `expected row groups of at most ${LONGEST_ROW_GROUP} bytes: write smaller ones`)
      const range = { rowStart: group.start, rowEnd: group.end }
      const values = await decode({ path, wanted: { ...range, columns: [...wanted] } }, patienceMs)
        .then((answer) => ('values' in answer ? answer.values : []))
        .catch((cause: unknown) => {
          throw failureOf(path, `expected rows ${group.start} to ${group.end - 1} undamaged`, cause)
        })
      if (wanted.some((_, column) => values[column]?.length !== group.end - group.start))
        throw new SidecarError('', `expected rows ${group.start} to ${group.end - 1} undamaged, as many in each column`)
      return (row) => new Map(wanted.map((column, index) => [column, values[index]?.[row - group.start]]))
    },
  }
}

/** Why a file was not decoded: its thread was not done in time, or has ended. Whether the file is damaged, or the machine or its disks are slow, nobody knows. */
export class UnansweredError extends Error {}

function failureOf(path: string, expected: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause
  if (isOfSystem(cause)) return unreadable(path, cause)
  return new SidecarError('', expected, { cause })
}

/** Waits for the next file, and keeps no process running. */
let idle: Worker | null = null

/**
 * Has a thread decode: the library takes the lengths in a file for true, and with one byte changed can go round for ever, or ask for more memory than
 * there is.
 * @throws {Error} what is wrong with the file; {UnansweredError}
 */
async function decode(call: ParquetCall, patienceMs: number): Promise<Exclude<ParquetAnswer, { error: unknown }>> {
  const thread = idle ?? startThread()
  idle = null
  thread.ref()
  const settled = new AbortController()
  const signal = AbortSignal.any([settled.signal, AbortSignal.timeout(patienceMs)])
  try {
    const answered = Promise.race([
      once(thread, 'message', { signal }),
      once(thread, 'exit', { signal }).then(([code]) => {
        throw new Error(`a thread for Parquet has ended with code ${code}`)
      }),
    ])
    thread.postMessage(call)
    const [answer]: ParquetAnswer[] = await answered.catch((cause: unknown) => {
      throw new UnansweredError('a thread for Parquet has not answered', { cause })
    })
    thread.unref()
    if (idle === null) idle = thread
    else await thread.terminate()
    if (answer === undefined) throw new TypeError('a thread has answered nothing')
    if ('error' in answer) throw unpackError(answer.error)
    return answer
  } catch (error) {
    if (idle !== thread) await thread.terminate()
    throw error
  } finally {
    settled.abort()
  }
}

function startThread(): Worker {
  const thread = new Worker(new URL(`parquet-thread${extname(import.meta.filename)}`, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP },
  })
  // Whoever waits for it hears of it as well.
  thread.on('error', () => undefined)
  thread.on('exit', () => {
    if (idle === thread) idle = null
  })
  return thread
}
