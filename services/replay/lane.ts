import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka, Producer, Transaction } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import type { HeldOriginal } from '../domain/records.ts'
import { packNumbers } from '../domain/replay/packed-numbers.ts'
import {
  type Fate,
  type Run,
  type RunPart,
  type RunProgress,
  type RunState,
  runKeys,
} from '../domain/replay/replay-runs.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { inTime } from '../platform/in-time.ts'
import { headersInOrder } from '../platform/kafka/header-order.ts'
import { isRefusal } from '../platform/kafka/kafka-failure.ts'
import type { Log } from '../platform/log.ts'
import type { Registry } from '../platform/registry.ts'
import { RUNS, runRecord } from './runs-topic.ts'

/** Crawlers' items on a partition wait no longer for a worker that is dead, but for how often brokers look. */
const TRANSACTION_MS = 10_000
/** Of one request: the door takes a batch of little more than one message of the greatest length. */
const REQUEST_BYTES = 3_000_000
const AGAIN_MS = 1000

/** What is written of an item: the original, and the headers that it is given. */
export type Outgoing = Pick<HeldOriginal, 'input' | 'key' | 'value' | 'headers'>

/** A step of a run on one partition: what is written, and what the run is then. */
export type Step = {
  items: readonly Outgoing[]
  /** offsets of the sequence that are passed over, and why */
  left: ReadonlyArray<{ offset: number; fate: Fate }>
  state: RunState
  why: string | null
  heeded: number | null
  /** when it was; milliseconds since the epoch */
  at: number
}

export type LaneParts = {
  kafka: Kafka
  registry: Registry
  prefix: string
  /** who writes */
  worker: string
  log: Log
  /** what replay.runs says of the run on a partition now; @throws where it says nothing */
  read: (run: string, partition: number) => Promise<RunPart>
  /** Told before it is committed where items will stand. */
  onPlaced: (partition: number, first: number, items: readonly Outgoing[]) => void
  /** @throws {SluiceError} where another worker is in charge by now */
  assertInCharge: () => void
}

/** The exactly-once writer of a run on one partition. */
export type ReplayLane = {
  partition: number
  part(): RunPart
  /**
   * Writes a step's items, and how far the run is, in one transaction. Tries until it is done: then each of the items stands on the door once. Where
   * the run is further than it was when this was called, nothing more is written: `part` tells how far.
   * @throws {SluiceError} where another worker is in charge by now; PAYLOAD_TOO_LARGE where the door does not take a message of that length
   */
  take(step: Step): Promise<void>
  close(): Promise<void>
}

/**
 * A partition's producer. One transactional id a partition: whoever begins fences whoever was at it before, and what that one had begun is settled
 * when this resolves.
 */
export async function fencedProducer(kafka: Kafka, prefix: string, partition: number): Promise<Producer> {
  const producer = kafka.producer({
    transactionalId: prefixed(prefix, `replay-${partition}`),
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: TRANSACTION_MS,
    allowAutoTopicCreation: false,
    retry: { initialRetryTime: 5, maxRetryTime: 200, retries: 25 },
  })
  try {
    await producer.connect()
    // The first transaction fences, connecting does not.
    const fence = await producer.transaction()
    await fence.abort()
    return producer
  } catch (error) {
    await producer.disconnect().catch(() => undefined)
    throw error
  }
}

/**
 * Takes a partition over, and learns from the topic how far the run came there.
 * @throws {SluiceError} where another worker is in charge by now
 */
export async function openReplayLane(
  parts: LaneParts,
  run: Pick<Run, 'id' | 'plan'>,
  partition: number,
): Promise<ReplayLane> {
  const { registry, prefix, worker, log } = parts
  let { producer, part } = await takeOver()

  async function takeOver(): Promise<{ producer: Producer; part: RunPart }> {
    for (;;) {
      parts.assertInCharge()
      let fresh: Producer | null = null
      try {
        fresh = await fencedProducer(parts.kafka, prefix, partition)
        return { producer: fresh, part: await parts.read(run.id, partition) }
      } catch (error) {
        log.warn({ event: 'replay-waits', run: run.id, partition, err: error })
        await fresh?.disconnect().catch(() => undefined)
        await sleep(AGAIN_MS)
      }
    }
  }

  async function write(step: Step): Promise<RunProgress> {
    const transaction = await producer.transaction()
    const produced = [...(part.progress?.produced ?? [])]
    for (const items of inRequests(step.items)) {
      const first = await send(transaction, items)
      parts.onPlaced(partition, first, items)
      addPlaces(produced, first, items.length)
    }
    const progress = advanced(part.progress, step, produced, worker)
    const value = await registry.encode(RUNS, recordOf(run, partition, progress))
    const topic = prefixed(prefix, RUNS)
    await transaction.send({ topic, acks: -1, messages: [{ key: runKeys.progress(run.id), value, partition }] })
    await transaction.commit()
    return progress
  }

  /** @returns the first one's offset */
  async function send(transaction: Transaction, items: readonly Outgoing[]): Promise<number> {
    const messages = items.map(({ key, value, headers }) => ({
      key,
      value,
      headers: headersInOrder(headers),
      partition,
    }))
    const [answer] = await transaction.send({ topic: prefixed(prefix, DOOR), acks: -1, messages })
    const first = Number(answer?.baseOffset)
    if (!Number.isSafeInteger(first)) throw new TypeError('the brokers do not say where they have put the items')
    return first
  }

  return {
    partition,
    part: () => part,
    async take(step) {
      let tooLarge = false
      const from = part.progress?.taken ?? 0
      for (;;) {
        parts.assertInCharge()
        try {
          const progress = await inTime(write(step), TRANSACTION_MS, late)
          part = { ...part, progress }
          return
        } catch (error) {
          log.warn({ event: 'transaction-failed', run: run.id, partition, err: error })
          if (isRefusal(error, 'MESSAGE_TOO_LARGE')) tooLarge = true
        }
        await producer.disconnect().catch(() => undefined)
        // Time to hear that another one is in charge: who was fenced must not fence back.
        await sleep(AGAIN_MS)
        ;({ producer, part } = await takeOver())
        // What was given up may have gone through, or another worker has been at it: what comes next is another step.
        if ((part.progress?.taken ?? 0) !== from) return
        if (tooLarge) throw new SluiceError('PAYLOAD_TOO_LARGE', tooLargeSentence(partition, from))
      }
    },
    async close() {
      await producer.disconnect().catch(() => undefined)
    },
  }
}

function tooLargeSentence(partition: number, taken: number): string {
  return `behind item ${taken} of partition ${partition} there is a message that the door does not take any more because of its length: raise its limit, then go on`
}

function late(): SluiceError {
  return new SluiceError('BROKER_UNREACHABLE', `a transaction did not end within ${TRANSACTION_MS / 1000} s`)
}

function advanced(before: RunProgress | null, step: Step, produced: number[], worker: string): RunProgress {
  const counts: Record<string, number> = { ...before?.counts }
  const count = (fate: Fate, items: number): void => {
    if (items > 0) counts[fate] = (counts[fate] ?? 0) + items
  }
  count('replayed', step.items.length)
  for (const { fate } of step.left) count(fate, 1)
  const left = [...(before?.left ?? []), ...step.left.map(({ offset }) => offset)].sort((a, b) => a - b)
  const taken = (before?.taken ?? 0) + step.items.length + step.left.length
  const { state, why, heeded, at } = step
  return { state, taken, counts, why, worker, heeded, produced, left, updatedAt: at }
}

function recordOf(run: Pick<Run, 'id' | 'plan'>, partition: number, progress: RunProgress) {
  const { state, taken, counts, why, worker, heeded, produced, left, updatedAt } = progress
  return {
    ...runRecord({ run: run.id, plan: run.plan, state, partition }),
    taken,
    counts,
    why,
    worker,
    heeded,
    produced: packNumbers(produced),
    left: packNumbers(left),
    updatedAt,
  }
}

/** Adds places behind those that are there, as pairs of first offset and number. */
function addPlaces(produced: number[], first: number, items: number): void {
  const [last = 0, lastItems = 0] = produced.slice(-2)
  if (lastItems > 0 && last + lastItems === first) produced[produced.length - 1] = lastItems + items
  else produced.push(first, items)
}

/** Cuts items so that a request is not longer than it may be; a single item may be. */
function inRequests(items: readonly Outgoing[]): Outgoing[][] {
  const requests: Outgoing[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const item of items) {
    const size = bytesOf(item)
    if (bytes + size > REQUEST_BYTES) {
      requests.push([])
      bytes = 0
    }
    requests.at(-1)?.push(item)
    bytes += size
  }
  return requests
}

/** About what an item takes in a request. */
export function bytesOf({ key, value, headers }: Outgoing): number {
  const inHeaders = headers.reduce((sum, { name, value: text }) => sum + name.length + (text?.length ?? 0) + 10, 0)
  return (key?.length ?? 0) + (value?.length ?? 0) + inHeaders + 100
}
