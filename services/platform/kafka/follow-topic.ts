import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import type { Admin, Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import { isRefusal } from './kafka-failure.ts'
import { unreadable } from './record-batches.ts'

const PAUSE_AFTER_TROUBLE_MS = 1000
const LOOK_EVERY_MS = 5000
const STOP_PATIENCE_MS = 5000
const RECORDS_PER_HEARTBEAT = 500
/** Eight times what the client asks for by itself: what is read may be long, and each question has its price. */
const FETCH_BYTES = 8_388_608
/** What is done with a record may take this long. Nobody waits for a member that is gone: it has its group to itself. */
const SESSION_MS = 300_000

/** A record of the followed topic. Key and value are parts of all that came with them: whoever keeps much of it keeps copies. */
export type FollowedRecord = {
  partition: number
  offset: number
  /** milliseconds since the epoch */
  timestamp: number
  key: Buffer | null
  value: Buffer | null
}

/** What tells later whether the beginning of a topic of one partition is still the one that was read. */
export type ReadMark = {
  /** the first offset there was */
  low: number
  /** of the last record that was handed over */
  offset: number
  /** sha256 over that record and its timestamp, lower-case hex */
  digest: string
}

export type FollowTopicOptions = {
  kafka: Kafka
  /** full name, with prefix */
  topic: string
  /**
   * Where another follower stood: what it was handed is not read again. Only where that is still the last of it, and not one offset
   * behind it is without its record up to the end: compaction may have taken away what takes back something that was read.
   */
  after?: ReadMark | undefined
  /** Where to begin, by partition; default: at the beginning. POSITION_JUMPED where the topic is not as long as that. */
  from?: ReadonlyMap<number, number> | undefined
  /** Only this one is read; default: all of them. Where a record is handled for long, only that one waits. */
  partition?: number | undefined
  /** What counts as the end, by partition, where it is not beyond that; default: the end of the topic at the start. */
  to?: ReadonlyMap<number, number> | undefined
  /**
   * Called for one record after the other, in order within a partition; when it throws, the record comes again. Where it returns nothing
   * the next one follows at once: of millions, each wait would count.
   */
  onRecord: (record: FollowedRecord) => Promise<void> | void
  /**
   * Called with every failure; the follower tries again by itself, about once a second. POSITION_JUMPED: what is there is not what
   * was read; trying again does not help, only another follower, from the beginning.
   */
  onTrouble?: (error: unknown) => void
}

export type TopicFollower = {
  /** Resolves when everything that was on the topic at the start has been handed over; never rejects, stays open after `stop`. */
  reachedEnd: Promise<void>
  /** Milliseconds since the cluster last said that the topic is there and as long as it was. */
  silence(): number
  /** Where it stands, once the end was reached; null where nothing has been read, or the topic has several partitions. */
  mark(): ReadMark | null
  stop(): Promise<void>
}

/**
 * Reads all partitions of a topic from the beginning, committed records only, and goes on with what is added. Each record is handed over once, also
 * across broker restarts. It keeps trying while the cluster is away. Its group is made for this one reading and commits nothing.
 */
export function followTopic(options: FollowTopicOptions): TopicFollower {
  const { kafka, topic, after, from, to, partition: only, onRecord, onTrouble } = options
  /** next offset, by partition */
  const positions = new Map<number, number>(after ? [[0, after.offset]] : from)
  /** where the current consumer began, by partition */
  const soughtTo = new Map<number, number>()
  /** where the first end is, by partition; null until the cluster has told */
  let ends: Map<number, number> | null = null
  /** the first offset there was, by partition */
  let begins = new Map<number, number>()
  let lastRecord: KafkaMessage | null = null
  const end = Promise.withResolvers<void>()
  let isAtEnd = false
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => undefined)
  const stopping = new AbortController()
  let lastBatch: Promise<void> = Promise.resolve()
  let seenAt = performance.now()

  function moveTo(partition: number, position: number): void {
    const before = positions.get(partition) ?? 0
    if (after !== undefined && !isAtEnd && position > before) throw lose('lacks records behind those that were read')
    positions.set(partition, Math.max(position, before))
    checkEnd()
  }

  function checkEnd(): void {
    if (ends === null) return
    if (![...ends].every(([partition, offset]) => (positions.get(partition) ?? 0) >= offset)) return
    isAtEnd = true
    end.resolve()
  }

  async function handBatch({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
    let handed = 0
    let last: string | null = null
    // Nothing comes between two records that are handed over at once.
    let hasWaited = true
    try {
      for (const message of batch.messages) {
        if (hasWaited && (!isRunning() || isStale())) return
        hasWaited = false
        const fault = unreadable(message)
        if (fault !== null) throw fault
        const offset = Number(message.offset)
        // The client goes back to the beginning by itself where its position is out of range.
        if (offset < (soughtTo.get(batch.partition) ?? 0)) throw lose()
        const position = positions.get(batch.partition) ?? 0
        if (offset > position) moveTo(batch.partition, offset)
        if (offset >= position) {
          const handling =
            offset === after?.offset
              ? checkSame(message, after)
              : onRecord({
                  partition: batch.partition,
                  offset,
                  timestamp: Number(message.timestamp),
                  key: message.key,
                  value: message.value,
                })
          if (handling !== undefined) {
            await handling
            hasWaited = true
          }
          positions.set(batch.partition, offset + 1)
          lastRecord = message
        }
        last = message.offset
        handed += 1
        if (handed % RECORDS_PER_HEARTBEAT === 0) {
          await heartbeat()
          hasWaited = true
        }
      }
    } finally {
      if (last !== null) resolveOffset(last)
      checkEnd()
    }
    // Control records at the end of a batch are not among its messages.
    moveTo(batch.partition, Number(batch.lastOffset()) + 1)
  }

  /** A consumer that was given up may still be at its last batch when the next one begins: records keep their order. */
  function handInTurn(payload: EachBatchPayload): Promise<void> {
    const handed = lastBatch.then(() => handBatch(payload))
    lastBatch = handed.catch(() => undefined)
    return handed
  }

  function checkSame(message: KafkaMessage, { digest }: ReadMark): void {
    if (digestOf(message) !== digest) throw lose()
  }

  /** What is there is not what was read. The client library tries again what fails in its hands: whoever follows with it hears at once. */
  function lose(
    sentence = 'is not the topic that was read: was it deleted or made anew?',
    cause?: unknown,
  ): SluiceError {
    const error = new SluiceError('POSITION_JUMPED', `${topic} ${sentence}`, { cause })
    lost.reject(error)
    return error
  }

  /** An answer that does not come is not waited for once the follower is stopped. */
  async function findEnds(): Promise<void> {
    const admin = kafka.admin({ retry: { retries: 1 } })
    const stopped = Promise.withResolvers<never>()
    stopped.promise.catch(() => undefined)
    const stop = (): void => stopped.reject(stopping.signal.reason)
    stopping.signal.addEventListener('abort', stop)
    const look = lookWith(admin)
    // Not before: the client library connects anew for what is still under way, and would never let go.
    const closed = look.catch(() => undefined).then(() => admin.disconnect())
    closed.catch(() => undefined)
    try {
      await Promise.race([look, stopped.promise])
      seenAt = performance.now()
    } catch (error) {
      throw isRefusal(error, 'UNKNOWN_TOPIC_OR_PARTITION') && ends !== null ? lose(undefined, error) : error
    } finally {
      stopping.signal.removeEventListener('abort', stop)
      await within(STOP_PATIENCE_MS, closed)
    }
  }

  async function lookWith(admin: Admin): Promise<void> {
    await admin.connect()
    // Where the topic grows, records are read that are newer than an answer that is on its way.
    const before = new Map(positions)
    const all = await admin.fetchTopicOffsets(topic)
    const found = all.filter(({ partition }) => only === undefined || partition === only)
    if (ends === null && after !== undefined) checkBounds(found, after)
    for (const { partition, low, high } of found) {
      if (Number(high) < (before.get(partition) ?? 0)) throw lose()
      positions.set(partition, Math.max(Number(low), positions.get(partition) ?? 0))
    }
    if (ends === null) {
      begins = new Map(found.map(({ partition, low }) => [partition, Number(low)]))
      ends = new Map(
        found.map(({ partition, high }) => [partition, Math.min(Number(high), to?.get(partition) ?? Number(high))]),
      )
    }
    checkEnd()
  }

  function checkBounds(found: readonly { low: string; high: string }[], { low, offset }: ReadMark): void {
    const [only] = found
    if (found.length > 1 || Number(only?.low) !== low || Number(only?.high) <= offset) throw lose()
  }

  /** Sees from time to time that the topic is still the one that is followed. @throws when it is not, or nobody answers */
  async function keepLooking(signal: AbortSignal): Promise<never> {
    for (;;) {
      await wait(LOOK_EVERY_MS, undefined, { signal })
      await findEnds()
    }
  }

  /** Follows until the consumer fails or the follower is stopped. */
  async function followWith(consumer: Consumer): Promise<void> {
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => undefined)
    consumer.on(consumer.events.CRASH, ({ payload }) => failed.reject(payload.error))
    // Runs before the first fetch of an assignment.
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      const assigned = payload.memberAssignment[topic] ?? []
      const unwanted = assigned.filter((partition) => only !== undefined && partition !== only)
      if (unwanted.length > 0) consumer.pause([{ topic, partitions: unwanted }])
      for (const partition of assigned) {
        const position = positions.get(partition) ?? 0
        soughtTo.set(partition, position)
        consumer.seek({ topic, partition, offset: String(position) })
      }
    })
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      // Only control or aborted records: the batch was not handed to anyone.
      if (payload.batchSize > 0) return
      try {
        moveTo(payload.partition, Number(payload.lastOffset) + 1)
      } catch (error) {
        failed.reject(error)
      }
    })
    const stopped = stopping.signal.aborted ? Promise.resolve() : once(stopping.signal, 'abort')
    const over = new AbortController()
    const started = start(consumer, over.signal)
    const looking = keepLooking(AbortSignal.any([stopping.signal, over.signal]))
    looking.catch(() => undefined)
    try {
      await Promise.race([stopped, lost.promise, failed.promise, looking, started.then(() => failed.promise)])
    } finally {
      over.abort()
      started.catch(() => undefined)
      // What is half started can not be stopped; a consumer whose broker is gone may never answer.
      await within(
        STOP_PATIENCE_MS,
        started.catch(() => undefined),
      )
      await within(
        STOP_PATIENCE_MS,
        consumer.disconnect().catch(() => undefined),
      )
    }
  }

  /** @param over when what is started is of no use any more, which may be long before it is */
  async function start(consumer: Consumer, over: AbortSignal): Promise<void> {
    await consumer.connect()
    if (!over.aborted) await consumer.subscribe({ topic, fromBeginning: true })
    if (!over.aborted) await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: handInTurn })
    if (over.aborted) await consumer.disconnect()
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      const consumer = kafka.consumer({
        groupId: `${topic}-follow-${randomUUID()}`,
        maxWaitTimeInMs: 200,
        maxBytesPerPartition: FETCH_BYTES,
        sessionTimeout: SESSION_MS,
        allowAutoTopicCreation: false,
        retry: {
          initialRetryTime: 100,
          maxRetryTime: 1000,
          retries: 5,
          restartOnFailure: () => Promise.resolve(false),
        },
      })
      try {
        await findEnds()
        if (!stopping.signal.aborted) await followWith(consumer)
      } catch (error) {
        if (!stopping.signal.aborted) onTrouble?.(error)
      }
      await wait(PAUSE_AFTER_TROUBLE_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  const done = follow()
  return {
    reachedEnd: end.promise,
    silence: () => performance.now() - seenAt,
    mark() {
      const low = begins.get(0)
      if (!isAtEnd || lastRecord === null || low === undefined || begins.size > 1) return null
      return { low, offset: Number(lastRecord.offset), digest: digestOf(lastRecord) }
    },
    async stop() {
      stopping.abort()
      await done
    },
  }
}

function digestOf({ offset, timestamp, key, value }: KafkaMessage): string {
  const texts = [key, value].map((bytes) => bytes?.toString('base64') ?? null)
  return createHash('sha256')
    .update(JSON.stringify([offset, timestamp, ...texts]))
    .digest('hex')
}

/** Waits for the work, but no longer than this. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, wait(milliseconds, undefined, { signal: done.signal }).catch(() => undefined)])
  done.abort()
}
