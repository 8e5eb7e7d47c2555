import { EventEmitter, once } from 'node:events'
import type { CleanItem } from '../domain/records.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { CLEAN, type Snapshot } from './snapshot.ts'

/** A record of the clean topic, as it was found there: nothing of it is proven. */
export type CleanRecord = { partition: number; offset: number; key: string | null; item: CleanItem }

/** Records of a partition that wait for whoever reads them; some 3 KB each. */
const MOST_WAITING = 200

/**
 * The records of some ranges, one of each partition in turn, so that the order is the same each time. Each partition is read on its own; the
 * reader sets the pace.
 * @param turn partition whose turn it is first; default: the first range's
 * @throws {SluiceError} as `readTopic`
 */
export async function* cleanRecords(
  parts: { settings: Settings; registry: Registry },
  ranges: Snapshot['ranges'],
  turn: number | null = null,
): AsyncGenerator<CleanRecord> {
  const first = Math.max(
    0,
    ranges.findIndex(({ partition }) => partition === turn),
  )
  const inOrder = [...ranges.slice(first), ...ranges.slice(0, first)]
  const readers = inOrder.filter(({ from, to }) => from < to).map((range) => readRange(parts, range))
  try {
    while (readers.length > 0) {
      for (const reader of [...readers]) {
        const record = await reader.next()
        if (record === null) readers.splice(readers.indexOf(reader), 1)
        else yield record
      }
    }
  } finally {
    await Promise.all(readers.map((reader) => reader.stop()))
  }
}

type RangeReader = {
  /** null at the end */
  next(): Promise<CleanRecord | null>
  stop(): Promise<void>
}

/** Begins to read at once, also while others are read. */
function readRange(
  { settings, registry }: { settings: Settings; registry: Registry },
  { partition, from, to }: Snapshot['ranges'][number],
): RangeReader {
  const waiting: CleanRecord[] = []
  const changes = new EventEmitter()
  const stopping = new AbortController()
  let ending: { error: unknown } | 'done' | null = null

  function end(how: typeof ending): void {
    ending = how
    changes.emit('change')
  }

  const reading = readTopic<CleanItem>({
    kafka: createKafka(settings, 'sluice-train'),
    registry,
    prefix: settings.prefix,
    topic: CLEAN,
    partition,
    from: new Map([[partition, from]]),
    to: new Map([[partition, to]]),
    signal: stopping.signal,
    isWanted: () => true,
    async onValue(item, { offset, key }) {
      waiting.push({ partition, offset, key: key?.toString('utf8') ?? null, item })
      changes.emit('change')
      while (waiting.length >= MOST_WAITING && !stopping.signal.aborted) await once(changes, 'room')
    },
  }).then(
    () => end('done'),
    (error: unknown) => end({ error }),
  )

  return {
    async next() {
      for (;;) {
        const record = waiting.shift()
        if (record !== undefined) {
          changes.emit('room')
          return record
        }
        if (ending === 'done') return null
        if (ending !== null) throw ending.error
        await once(changes, 'change')
      }
    },
    async stop() {
      stopping.abort(new Error('nobody reads any more'))
      changes.emit('room')
      await reading
    },
  }
}
