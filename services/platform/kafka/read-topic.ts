import type { Kafka } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import { prefixed, type Topic } from '../../domain/topics.ts'
import type { Registry } from '../registry.ts'
import { type FollowedRecord, followTopic } from './follow-topic.ts'
import { isPassing, isRefusal, isWithoutCoordinator } from './kafka-failure.ts'

/** How long brokers may fail to answer, counted from when they last did, before a command gives up. */
const PATIENCE_MS = 20_000

export type ReadTopicOptions<Value> = {
  /** an instance of its own */
  kafka: Kafka
  registry: Pick<Registry, 'decode' | 'decodeKnown' | 'learn'>
  prefix: string
  topic: Topic
  /** where to begin, by partition; default: at the beginning */
  from?: ReadonlyMap<number, number>
  /** where to end, by partition: the first offset that is not read any more; default: what is the end when this is called */
  to?: ReadonlyMap<number, number>
  /** only this one; default: all */
  partition?: number
  /** ends the reading, with its reason thrown */
  signal?: AbortSignal
  /** ends the reading as if it had come to its end */
  enough?: AbortSignal
  /** Whether a record is worth being decoded, by what can be seen of it without; told of every record there is. */
  isWanted: (record: FollowedRecord) => boolean
  /** Decodes a value at once, or null when the registry is to be asked first: then it is decoded whole; default: always whole. */
  decode?: (value: Buffer) => Value | null
  /** Called with one wanted record after the other, in order within a partition. What it throws ends the reading. */
  onValue: (value: Value, record: FollowedRecord) => Promise<void> | void
}

/**
 * Reads a topic once, for a command: all partitions, committed records only, from the beginning or where it is told to what was its end when this was called, or where it is told. Keeps
 * nothing. Where a gate would wait for its surroundings, this gives up.
 * @throws {SluiceError} ACCESS_DENIED, BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE; MESSAGE_UNDECODABLE for a wanted record that is
 *   not what this topic holds; POSITION_JUMPED where the topic is not as long as the place to begin at
 */
export async function readTopic<Value>(options: ReadTopicOptions<Value>): Promise<void> {
  const { kafka, registry, topic, isWanted, onValue } = options
  const decode = options.decode ?? ((value) => registry.decodeKnown<Value>(topic, value)?.value ?? null)
  const name = prefixed(options.prefix, topic)
  await registry.learn(topic)
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  let answeredAt = performance.now()
  let isOver = false

  function fail(error: unknown): void {
    isOver = true
    failed.reject(error)
  }

  function handle(record: FollowedRecord): Promise<void> | void {
    answeredAt = performance.now()
    // What is thrown here would have the record come again.
    if (isOver || record.offset >= (options.to?.get(record.partition) ?? Number.POSITIVE_INFINITY)) return
    try {
      if (!isWanted(record) || record.value === null) return
      const known = decode(record.value)
      const handled = known === null ? decodeLater(record, record.value) : onValue(known, record)
      return handled?.catch((error: unknown) => fail(told(error, record)))
    } catch (error) {
      fail(told(error, record))
    }
  }

  async function decodeLater(record: FollowedRecord, value: Buffer): Promise<void> {
    await onValue((await registry.decode<Value>(topic, value)).value, record)
  }

  function told(error: unknown, { partition, offset }: FollowedRecord): unknown {
    if (!(error instanceof SluiceError) || error.fault !== 'item') return error
    const sentence = `${name}, partition ${partition}, offset ${offset}: expected a record as the gate writes it`
    return new SluiceError('MESSAGE_UNDECODABLE', sentence, { cause: error })
  }

  const follower = followTopic({
    kafka,
    topic: name,
    from: options.from,
    to: options.to,
    partition: options.partition,
    onRecord: handle,
    onTrouble(cause) {
      const refusal = refusalOf(cause, name)
      if (refusal !== null) return fail(refusal)
      const mayPass = isPassing(cause) || isWithoutCoordinator(cause)
      if (mayPass && performance.now() - answeredAt < PATIENCE_MS) return
      fail(
        cause instanceof SluiceError ? cause : new SluiceError('BROKER_UNREACHABLE', silence(cause, name), { cause }),
      )
    },
  })
  const satisfied = Promise.withResolvers<void>()
  const satisfy = (): void => {
    isOver = true
    satisfied.resolve()
  }
  const abort = (): void => fail(options.signal?.reason)
  options.signal?.addEventListener('abort', abort)
  options.enough?.addEventListener('abort', satisfy)
  try {
    options.signal?.throwIfAborted()
    await Promise.race([follower.reachedEnd, satisfied.promise, failed.promise])
  } finally {
    isOver = true
    options.signal?.removeEventListener('abort', abort)
    options.enough?.removeEventListener('abort', satisfy)
    await follower.stop()
  }
}

/** @returns undefined where there is no more to say than that nobody answers */
function silence(cause: unknown, name: string): string | undefined {
  if (!isWithoutCoordinator(cause)) return undefined
  return `no broker coordinates the consumer groups ${name}-follow-*, by which ${name} is read: has this principal the right to use them?`
}

/** What the brokers refuse, and would refuse again. */
function refusalOf(cause: unknown, name: string): SluiceError | null {
  if (isRefusal(cause, 'UNKNOWN_TOPIC_OR_PARTITION')) {
    return new SluiceError('TOPICS_MISSING', `there is no topic ${name}: make it with \`sluice topics apply\``, {
      cause,
    })
  }
  if (isRefusal(cause, 'TOPIC_AUTHORIZATION_FAILED')) {
    return new SluiceError('ACCESS_DENIED', `the brokers do not let this principal read ${name}`, { cause })
  }
  if (isRefusal(cause, 'GROUP_AUTHORIZATION_FAILED')) {
    const sentence = `the brokers do not let this principal use the consumer groups ${name}-follow-*, by which ${name} is read`
    return new SluiceError('ACCESS_DENIED', sentence, { cause })
  }
  return null
}
