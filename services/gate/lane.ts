import { setTimeout as sleep } from 'node:timers/promises'
import type { Consumer, EachBatchPayload, KafkaMessage, Producer } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { prefixed } from '../domain/topics.ts'
import { inTime } from '../platform/in-time.ts'
import { headersLength } from '../platform/kafka/header-order.ts'
import { unreadable } from '../platform/kafka/record-batches.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { type DoorRecord, doorRecord } from './door.ts'
import type { Routed } from './route.ts'

/** Why a lane does not go on, for readiness, metrics and people. */
export type Waiting = { partition: number; code: string; sentence: string; since: string }

/** What every lane of a gate shares. */
export type LaneParts = {
  consumer: Consumer
  groupId: string
  prefix: string
  cluster: string
  /** the door's name on the cluster */
  topic: string
  chunkItems: number
  chunkBytes: number
  /**
   * From records to what they lead to, for as many of the first records as it sees fit, at least one; throws a fault of the
   * surroundings when it can't be done now.
   */
  process: (records: readonly DoorRecord[], signal: AbortSignal) => Promise<Routed[]>
  /** Writes into the stores what a transaction will speak of; throws a fault of the surroundings when it can't be done now. */
  keep: (routed: readonly Routed[]) => Promise<void>
  /** First offset that the broker still has. */
  lowWatermark: (partition: number) => Promise<number>
  /** What all lanes have read and not committed; each keeps its share up to date. */
  backlog: { bytes: number }
  /** Called when a transaction failed: the lane must be built anew before it goes on. */
  onTransactionFailed: (lane: Lane) => void
  onCommitted: (routed: readonly Routed[], partition: number) => void
  log: Log
  metrics: Metrics
}

export type Lane = ReturnType<typeof createLane>

/**
 * Items of a lane's first chunk; each one after it may have twice as many. A lane that takes over has scanners that are not warm yet, and what it
 * has to catch up with: the sooner it commits something, the sooner others see that it judges.
 */
const FIRST_CHUNK_ITEMS = 4
/** Bytes of one topic's messages in one transaction: well below what the brokers take as one batch. */
const TRANSACTION_BYTES = 4_000_000
/** Then its coordinator ends a transaction of its own accord. */
export const TRANSACTION_MS = 20_000
/** With more than this read and not committed, by all lanes, one that is still at work has nothing more fetched. */
const BACKLOG_BYTES = 67_108_864
/**
 * Records of one fetch. The client library fetches nothing more from a broker, for no lane, before all of the last is taken up: of records of a few bytes that
 * would be hundreds of thousands. The rest is fetched once more.
 */
const MOST_TAKEN_IN = 10_000
const HEARTBEAT_MS = 1000
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 5000

/** A chunk that is taken up, and what it leads to. */
type Taken = { chunk: readonly KafkaMessage[]; examined: Promise<Routed[] | SluiceError> }

/**
 * One input partition's exactly-once loop, from the moment its producer has fenced the owner before it. What is read waits in the lane, which works
 * on while the next is fetched.
 * @param position first offset to judge: the one that was committed, asked for after fencing
 * @param isCurrent false as soon as the partition may be somebody else's
 */
export function createLane(
  parts: LaneParts,
  partition: number,
  producer: Producer,
  start: number,
  isCurrent: () => boolean,
) {
  const { consumer, topic, log, metrics, backlog } = parts
  const place = { topic, partition }
  /** first offset that is not committed */
  let position = start
  /** first offset that is not read; what lies between is waiting, or under way */
  let read = start
  /** end of what has been committed, control records included; never before `position` */
  let seen = start
  /** the last batch that was read: where it ends without control records and with them */
  let batchEnd = { position: start, seen: start }
  /** control records alone that the client library has passed over, before it was known that they follow what is seen */
  let passed = { first: start, end: start }
  let usable = true
  let waiting: Waiting | null = null
  let waitMs = FIRST_WAIT_MS
  /** nothing is taken from the client library until it has been told where to read on */
  let isPaused = false
  let isFinishing = false
  /** batches that were handed to this lane */
  let handled = 0
  let chunkItems = Math.min(FIRST_CHUNK_ITEMS, parts.chunkItems)
  /** a jump from `read` to here has been explained: the low watermark is not beyond the position */
  let explained: number | null = null
  /** read, and not taken up */
  let queue: readonly KafkaMessage[] = []
  /** what this lane has of the backlog */
  let bytes = 0
  /** ends what is read and not committed, when it has to be read anew or is somebody else's */
  let course = new AbortController()
  /** the loop that examines, keeps and commits, and what abandons it; null when there is nothing left to do */
  let working: { ended: Promise<void>; signal: AbortSignal } | null = null
  /** told whenever the loop has got on, or ends */
  let progress = Promise.withResolvers<void>()

  async function handle(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, isStale, resolveOffset } = payload
    const isVoid = (): boolean => isPaused || !mayTakeUp() || isStale()
    if (isVoid()) return
    handled += 1
    // Rejects with what the group answered: then its members wait for this one, which must not finish its chunk first.
    const membership = Promise.withResolvers<never>()
    membership.promise.catch(() => undefined)
    const beat = setInterval(() => heartbeat().catch(membership.reject), HEARTBEAT_MS)
    try {
      const first = batch.messages.find(({ offset }) => Number(offset) >= read)
      // Whatever is not simply the next is looked at when nothing is under way. What was abandoned may still be committed.
      if (Number(first?.offset) !== read || (first && unreadable(first) !== null) || working?.signal.aborted) {
        while (working !== null && !isVoid()) await Promise.race([progress.promise, membership.promise])
        if (isVoid()) return
      }
      const taken = takeIn(batch)
      if (taken === null) return
      while (mustWait()) await Promise.race([progress.promise, membership.promise])
      if (!isVoid()) resolveOffset(taken)
    } catch (error) {
      abandon()
      // It may have been told before that all was read.
      tellConsumer(() => consumer.seek({ topic, partition, offset: String(position) }))
      throw error
    } finally {
      clearInterval(beat)
    }
  }

  /** Looks at what the client library hands out, and has the lane work on it. @returns the last offset of it; null where there is no going on */
  function takeIn(batch: EachBatchPayload['batch']): string | null {
    const high = Number(batch.highWatermark)
    if (high < read) {
      halt(`the partition ends at ${high}, before the lane's position ${read}`)
      return null
    }
    const ahead = batch.messages.filter(({ offset }) => Number(offset) >= read)
    const damaged = ahead.findIndex((message) => unreadable(message) !== null)
    const messages = ahead.slice(0, damaged < 0 ? MOST_TAKEN_IN : Math.min(damaged, MOST_TAKEN_IN))
    const [first] = messages
    if (first === undefined) {
      const fault = ahead[0] && unreadable(ahead[0])
      if (fault) {
        waitForSurroundings(fault)
        return null
      }
      seen = Math.max(seen, Number(batch.lastOffset()) + 1)
      return batch.lastOffset()
    }
    const from = Number(first.offset)
    if (from !== read && from !== explained) {
      explainJump(from)
      return null
    }
    const last = messages.at(-1)?.offset ?? first.offset
    read = Number(last) + 1
    batchEnd = { position: read, seen: messages.length === ahead.length ? Number(batch.lastOffset()) + 1 : read }
    queue = [...queue, ...messages]
    weigh(messages, 1)
    if (working === null) setToWork()
    return last
  }

  function setToWork(): void {
    const { signal } = course
    const ended = work(signal)
      .catch((error: unknown) => {
        // What was under way is not known to be committed: it is read anew, and nothing goes on behind it.
        if (!signal.aborted) waitForSurroundings(ofSurroundings(error))
      })
      .finally(() => {
        working = null
        if (queue.length > 0 && !isPaused && mayTakeUp()) setToWork()
        moveOn()
      })
    working = { ended, signal }
  }

  /** Whether the client library is to fetch nothing more yet: what a chunk takes lies ready, or all lanes together have too much. */
  function mustWait(): boolean {
    if (working === null || isPaused || !mayTakeUp()) return false
    return queue.length >= chunkItems || backlog.bytes > BACKLOG_BYTES
  }

  function moveOn(): void {
    const before = progress
    progress = Promise.withResolvers()
    before.resolve()
  }

  function weigh(messages: readonly KafkaMessage[], sign: 1 | -1): void {
    const change = sign * messages.reduce((sum, message) => sum + lengthOf(message), 0)
    bytes += change
    backlog.bytes += change
  }

  /** Lets go of what was read and is not committed. */
  function abandon(): void {
    course.abort()
    course = new AbortController()
    queue = []
    read = position
    backlog.bytes -= bytes
    bytes = 0
    moveOn()
  }

  /**
   * Works until nothing is left: while one chunk is kept and committed, the next is examined. Told to stop, the lane still finishes the chunk that it is at.
   * @param signal given when what is under way is abandoned
   */
  async function work(signal: AbortSignal): Promise<void> {
    let next: Taken | null = null
    for (;;) {
      const current: Taken | null = next ?? takeUp(signal)
      if (current === null) return
      const routed = await current.examined
      if (signal.aborted) return
      if (routed instanceof SluiceError) return waitForSurroundings(routed)
      queue = [...current.chunk.slice(routed.length), ...queue]
      chunkItems = Math.min(2 * chunkItems, parts.chunkItems)
      next = takeUp(signal)
      const fault = await keepChunk(routed)
      if (signal.aborted) return
      if (fault !== null) return waitForSurroundings(fault)
      recovered()
      for (const group of grouped(routed, TRANSACTION_BYTES)) {
        if (signal.aborted || !isCurrent() || !(await commit(group))) return
      }
      if (signal.aborted) return
      weigh(current.chunk.slice(0, routed.length), -1)
      moveOn()
    }
  }

  function mayTakeUp(): boolean {
    return usable && !isFinishing && isCurrent()
  }

  function takeUp(signal: AbortSignal): Taken | null {
    if (!mayTakeUp()) return null
    const chunk = queue.slice(0, leading(queue, chunkItems, parts.chunkBytes, lengthOf))
    if (chunk.length === 0) return null
    queue = queue.slice(chunk.length)
    moveOn()
    return { chunk, examined: examineChunk(chunk, signal) }
  }

  /** A fault of the surroundings is an answer: what to do about it is decided in the order of the chunks. */
  async function examineChunk(messages: readonly KafkaMessage[], signal: AbortSignal): Promise<Routed[] | SluiceError> {
    const { cluster } = parts
    try {
      const routed = await parts.process(
        messages.map((message) => doorRecord({ cluster, topic, partition, offset: Number(message.offset) }, message)),
        signal,
      )
      // The last place where it would be seen that an item is missing, or is there twice.
      if (routed.length === 0 || routed.some(({ offset }, index) => offset !== Number(messages[index]?.offset))) {
        return new SluiceError(
          'INTERNAL_FAULT',
          `what was examined at offset ${messages[0]?.offset} is not what was read`,
        )
      }
      return routed
    } catch (error) {
      return ofSurroundings(error)
    }
  }

  async function keepChunk(routed: readonly Routed[]): Promise<SluiceError | null> {
    const end = metrics.stage.startTimer({ stage: 'store' })
    try {
      await parts.keep(routed)
      return null
    } catch (error) {
      return ofSurroundings(error)
    } finally {
      end()
    }
  }

  /** Outcomes, verdicts, envelopes and offset, all or nothing. @returns false when the lane must be built anew */
  async function commit(routed: readonly Routed[]): Promise<boolean> {
    const last = routed.at(-1)
    if (last === undefined) return true
    const end = metrics.stage.startTimer({ stage: 'commit' })
    try {
      // The client library asks a broker that stands still with its connections open again and again, for minutes, although others have
      // taken over. What was given up may still go through: whoever fences it learns from the offsets.
      await inTime(transact(routed, last.offset + 1), TRANSACTION_MS, late)
    } catch (error) {
      pause()
      usable = false
      abandon()
      // Whoever has taken over has fenced it, which is no failure.
      if (!isCurrent()) return false
      metrics.transactionFailures.inc()
      log.warn({ event: 'transaction-failed', ...place, position, err: error })
      parts.onTransactionFailed(lane)
      return false
    } finally {
      end()
    }
    position = last.offset + 1
    read = Math.max(read, position)
    seen = position === batchEnd.position ? batchEnd.seen : position
    if (passed.first <= seen) seen = Math.max(seen, passed.end)
    explained = null
    parts.onCommitted(routed, partition)
    return true
  }

  async function transact(routed: readonly Routed[], end: number): Promise<void> {
    const transaction = await producer.transaction()
    // One partition a call: where some partitions of a call fail, the client's retry sends those of brokers that were still about to
    // answer, or that have changed their leader, once more under new sequence numbers, and leaves out those whose new leader has answered.
    for (const one of topicMessages(routed)) await transaction.sendBatch({ acks: -1, topicMessages: [one] })
    await transaction.sendOffsets({
      consumerGroupId: parts.groupId,
      topics: [{ topic, partitions: [{ partition, offset: String(end) }] }],
    })
    await transaction.commit()
  }

  function topicMessages(routed: readonly Routed[]) {
    const byTopic = Map.groupBy(
      routed.flatMap(({ messages }) => messages),
      (message) => message.topic,
    )
    return [...byTopic].map(([name, messages]) => ({
      topic: prefixed(parts.prefix, name),
      messages: messages.map(({ key, value, headers }) => ({ key, value, headers, partition })),
    }))
  }

  function waitForSurroundings(fault: SluiceError): void {
    if (!usable || !isCurrent()) return
    note(fault)
    abandon()
    pause()
    void resumeAfter(waitMs)
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
  }

  /**
   * Goes on after a time, and looks on until the lane is at work again: while it waits, retention may go past it, and where nothing is left no
   * fetch would ever show that.
   */
  async function resumeAfter(milliseconds: number): Promise<void> {
    const handledBefore = handled
    for (let looked = 0; ; looked++) {
      await sleep(looked === 0 ? milliseconds : LONGEST_WAIT_MS, undefined, { ref: false })
      if (!usable || !isCurrent() || handled !== handledBefore) return
      const low = waiting === null ? position : await parts.lowWatermark(partition).catch(() => position)
      if (handled !== handledBefore) return
      if (low > position) return halt(`the partition begins at ${low}, beyond the lane's position ${position}`)
      if (looked === 0) resume()
      if (waiting === null) return
    }
  }

  function pause(): void {
    isPaused = true
    tellConsumer(() => consumer.pause([{ topic, partitions: [partition] }]))
  }

  function resume(): void {
    isPaused = false
    tellConsumer(() => {
      consumer.seek({ topic, partition, offset: String(position) })
      consumer.resume([{ topic, partitions: [partition] }])
    })
  }

  /** Between two lives of the client library's consumer there is nobody to tell; its next assignment sees to the partition anew. */
  function tellConsumer(tell: () => void): void {
    if (!usable || !isCurrent()) return
    try {
      tell()
    } catch (error) {
      log.debug({ event: 'consumer-away', ...place, err: error })
    }
  }

  function note({ code, message, cause }: SluiceError): void {
    if (waiting?.code === code) {
      waiting.sentence = message
      return
    }
    recovered()
    waiting = { partition, code, sentence: message, since: new Date().toISOString() }
    log.warn({ event: 'lane-waits', ...place, position, code, sentence: message, err: cause })
  }

  function recovered(): void {
    if (waiting === null) return
    log.info({ event: 'lane-goes-on', ...place, position, code: waiting.code })
    waiting = null
    waitMs = FIRST_WAIT_MS
  }

  /**
   * The fetch begins beyond the position. That is explained when the broker still has what is at the position and a second fetch from
   * there begins at the same offset: what lies between are control and aborted records. Else records are missing.
   */
  function explainJump(to: number): void {
    pause()
    parts.lowWatermark(partition).then(
      (low) => {
        if (!usable || !isCurrent()) return
        if (low > position) return halt(`the partition begins at ${low}, beyond the lane's position ${position}`)
        explained = to
        void resumeAfter(0)
      },
      (cause: unknown) => waitForSurroundings(new SluiceError('BROKER_UNREACHABLE', undefined, { cause })),
    )
  }

  /** Looks again from time to time, so that a broker that has just taken over may catch up, but never moves the position. */
  function halt(sentence: string): void {
    waitForSurroundings(
      new SluiceError('POSITION_JUMPED', `${sentence}; items may be lost, so the lane halts until somebody decides`),
    )
  }

  const lane = {
    partition,
    producer,
    handle,
    resume,
    /** Offset behind the last committed item, or behind the control records that follow it. */
    end: (): number => seen,
    /** What the lane is waiting for; null when it is not. */
    waiting: (): Waiting | null => waiting,
    /** A batch of nothing but control records was passed over by the client library. */
    passedOver: (first: number, last: number): void => {
      if (first <= seen) seen = Math.max(seen, last + 1)
      else passed = { first: passed.end === first ? passed.first : first, end: last + 1 }
    },
    /** Takes up nothing more; settles when the chunk that the lane is at is committed. */
    finish: async (): Promise<void> => {
      isFinishing = true
      moveOn()
      await working?.ended
    },
    retire: (): void => {
      usable = false
      abandon()
      recovered()
    },
  }
  return lane
}

/** What a lane waits for: an item's faults never come this far. */
function ofSurroundings(error: unknown): SluiceError {
  if (error instanceof SluiceError && error.fault === 'surroundings') return error
  return new SluiceError('INTERNAL_FAULT', undefined, { cause: error })
}

function late(): SluiceError {
  return new SluiceError('BROKER_UNREACHABLE', `a transaction did not end within ${TRANSACTION_MS / 1000} s`)
}

function lengthOf({ key, value, headers = {} }: KafkaMessage): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + headersLength(headers)
}

/** Cuts routed items so that no topic's share is more than so many bytes; a single item may be. */
function grouped(routed: readonly Routed[], bytes: number): Routed[][] {
  const largest = ({ messages }: Routed): number => Math.max(...messages.map(({ value }) => value.length))
  const groups: Routed[][] = []
  for (let rest = [...routed]; rest.length > 0; ) {
    groups.push(rest.splice(0, leading(rest, Number.POSITIVE_INFINITY, bytes, largest)))
  }
  return groups
}

/** How many of the first parts are together within both limits; one at least, where there is any. */
function leading<Part>(parts: readonly Part[], most: number, bytes: number, sizeOf: (part: Part) => number): number {
  let size = 0
  for (const [count, part] of parts.entries()) {
    size += sizeOf(part)
    if (count > 0 && (count >= most || size > bytes)) return count
  }
  return parts.length
}
