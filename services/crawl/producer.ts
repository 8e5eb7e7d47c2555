import kafkajs, { type Kafka, type Message, type Producer, type RecordMetadata } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import type { Envelope } from '../domain/records.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import { topicSettings } from '../platform/kafka/topic-settings.ts'
import { createRegistry } from '../platform/registry.ts'
import type { GivenSettings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import {
  type Carriage,
  type Collected,
  carriageOf,
  type DoorMessage,
  doorMessage,
  itemIdOf,
  referringMessage,
} from './door-message.ts'
import { createSendWindow, type WindowLimits } from './send-window.ts'

/** Where a message stands on the door topic. */
export type Written = { partition: number; offset: number }

/** The client by which crawlers write the door topic. */
export type Publisher = {
  /**
   * Publishes one item under its envelope's item id. Resolves when the item is accepted: there was room for it, and a payload
   * that travels by reference is in the intake store. Items of one partition are written in the order of these calls.
   * @returns `written` settles when the brokers have it on all replicas, or can't; `flush` reports such a failure too
   * @throws {SluiceError} ITEM_ID_INVALID, MESSAGE_UNDECODABLE, PAYLOAD_TOO_LARGE, STORE_UNREACHABLE, REGISTRY_UNREACHABLE, USAGE after close
   */
  publish(collected: Collected): Promise<{ carriage: Carriage; written: Promise<Written> }>
  /**
   * Publishes once more, with another envelope, an item whose payload lies in one of the gate's stores under the envelope's reference. As `publish`,
   * but no store is touched.
   * @throws {SluiceError} ITEM_ID_INVALID, REFERENCE_INVALID, MESSAGE_UNDECODABLE, PAYLOAD_TOO_LARGE, REGISTRY_UNREACHABLE, USAGE after close
   */
  publishReferring(envelope: Envelope): Promise<{ written: Promise<Written> }>
  /**
   * Resolves when everything published so far is written.
   * @throws {SluiceError} the first failure since the last flush: BROKER_UNREACHABLE, TOPICS_MISSING or PAYLOAD_TOO_LARGE. What was accepted
   * behind a failed batch has failed too and may be published again
   */
  flush(): Promise<void>
  /** Flushes and disconnects; afterwards nothing can be published. */
  close(): Promise<void>
}

/** Of the settings, those that a producer needs. @property stores null: no payload can travel by reference */
export type ProducerSettings = Required<Omit<GivenSettings, 'stores'>> & { stores: string | null }

export type ProducerOptions = Partial<WindowLimits> & {
  /** `ce_source` of the messages: names the crawler, as a URI reference */
  source?: string
}

/** Some 20 s: what is not there when one begins is told soon. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 3000, retries: 12 }
/** Some 80 s: a broker that is started anew, or a leader that others take over from, is waited for. */
const PATIENT_RETRY = { ...RETRY, retries: 30 }
const MIB = 1024 * 1024
/** Kafka's own default, taken where the topic's setting can't be read. */
const DEFAULT_TOPIC_LIMIT = 1_048_588
/** Left free in each message, so that a replay can add its headers to it. */
const REPLAY_HEADROOM = 65_536

/**
 * Connects to the door topic: an idempotent producer whose messages are on all replicas before they count as written.
 * @throws {SluiceError} ACCESS_DENIED, BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE
 */
export async function createProducer(settings: ProducerSettings, options: ProducerOptions = {}): Promise<Publisher> {
  const { source = '/sluice/crawl', ...limits } = options
  const topic = prefixed(settings.prefix, DOOR)
  const kafka = createKafka(settings, 'sluice-crawl', undefined, RETRY)
  const registry = createRegistry(settings)
  const intake = settings.stores === null ? null : await openStore({ ...settings, stores: settings.stores }, 'intake')
  const { partitions, topicLimit } = await lookAtTopic(kafka, topic)
  await registry.warm([DOOR])
  await intake?.make()
  const sender = createSender(createKafka(settings, 'sluice-crawl', undefined, PATIENT_RETRY), topic)
  await sender.connect()

  const partitionOf = createPartitionOf(topic, partitions)
  const parts = { registry, intake, inlineBytes: settings.inlineBytes, topicLimit, source }
  const window = createSendWindow<Message & { partition: number }, Written>(
    {
      items: 1000,
      bytes: 32 * MIB,
      batchItems: 500,
      lingerMs: 5,
      ...limits,
      batchBytes: Math.min(limits.batchBytes ?? MIB, topicLimit),
    },
    (batch) => sender.send(batch),
  )
  let closed = false

  /** @param weight bytes that the item holds in memory until it is written */
  async function put(
    id: string,
    weight: number,
    make: () => Promise<{ message: DoorMessage; bytes: number }>,
  ): Promise<{ written: Promise<Written> }> {
    if (closed) throw new SluiceError('USAGE', 'the producer is closed and publishes nothing more')
    const partition = partitionOf(id)
    return await window.put(weight, async () => {
      const { message, bytes } = await make()
      return { message: { ...message, partition }, bytes }
    })
  }

  return {
    async publish(collected) {
      const { length } = collected.payload
      const { written } = await put(itemIdOf(collected), length, () => doorMessage(collected, parts))
      return { carriage: carriageOf(collected, settings.inlineBytes), written }
    },
    async publishReferring(envelope) {
      const { length } = JSON.stringify(envelope)
      return await put(itemIdOf({ envelope }), length, () => referringMessage(envelope, parts))
    },
    flush: () => window.flush(),
    async close() {
      closed = true
      try {
        await window.flush()
      } finally {
        await sender.disconnect()
      }
    },
  }
}

/** Writes batches, one at a time. */
function createSender(kafka: Kafka, topic: string) {
  let producer: Producer | null = null

  async function connect(): Promise<Producer> {
    // Several requests under way could be numbered in another order on a retry.
    const fresh = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
    })
    try {
      await fresh.connect()
    } catch (cause) {
      throw new SluiceError('BROKER_UNREACHABLE', undefined, { cause })
    }
    return fresh
  }

  return {
    async connect(): Promise<void> {
      producer ??= await connect()
    },
    async send(messages: (Message & { partition: number })[]): Promise<Written[]> {
      producer ??= await connect()
      try {
        // One partition a call: the client's retry leaves out, or sends twice, partitions whose leader changed during a call for several.
        const answers: RecordMetadata[] = []
        for (const part of Map.groupBy(messages, ({ partition }) => partition).values()) {
          answers.push(...(await producer.send({ topic, messages: part, acks: -1 })))
        }
        return places(messages, answers)
      } catch (cause) {
        // It may or may not have been written, and the numbers that the next batch would reuse could make the brokers
        // take that one for a repetition and drop it. A new producer starts with numbers of its own.
        const spent = producer
        producer = null
        await spent.disconnect().catch(() => undefined)
        throw sendError(cause, topic)
      }
    },
    async disconnect(): Promise<void> {
      await producer?.disconnect()
      producer = null
    },
  }
}

/** The place of each message, from the first offset that the brokers gave to each partition's part of the batch. */
function places(messages: { partition: number }[], answers: RecordMetadata[]): Written[] {
  const next = new Map(answers.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]))
  return messages.map(({ partition }) => {
    const offset = next.get(partition) ?? Number.NaN
    next.set(partition, offset + 1)
    return { partition, offset }
  })
}

/** Java's default: murmur2 of the key. Chosen once a message, so that a retry finds it where it was first sent. */
function createPartitionOf(topic: string, partitions: number): (key: string) => number {
  const choose = kafkajs.Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 0,
    replicas: [],
    isr: [],
  }))
  return (key) => choose({ topic, partitionMetadata, message: { key, value: null } })
}

async function lookAtTopic(kafka: Kafka, topic: string): Promise<{ partitions: number; topicLimit: number }> {
  return await withAdmin(kafka, async (admin) => {
    const partitions = await admin.fetchTopicMetadata({ topics: [topic] }).then(
      ({ topics }) => topics[0]?.partitions.length ?? 0,
      (cause: unknown) => {
        throw sendError(cause, topic)
      },
    )
    const name = 'max.message.bytes'
    // A crawler may lack the right to read settings; then what is too long is refused by the brokers.
    const settings = await topicSettings(admin, topic, [name]).catch(() => new Map<string, string>())
    return { partitions, topicLimit: Number(settings.get(name) ?? DEFAULT_TOPIC_LIMIT) - REPLAY_HEADROOM }
  })
}

function sendError(cause: unknown, topic: string): SluiceError {
  const type = cause instanceof Error && 'type' in cause ? cause.type : null
  switch (type) {
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return new SluiceError('TOPICS_MISSING', `there is no topic ${topic}: make it with \`sluice topics apply\``, {
        cause,
      })
    case 'TOPIC_AUTHORIZATION_FAILED':
      return new SluiceError('ACCESS_DENIED', `the brokers do not let this principal write ${topic}`, { cause })
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return new SluiceError(
        'PAYLOAD_TOO_LARGE',
        `a message is longer than ${topic} takes: lower SLUICE_INLINE_BYTES`,
        {
          cause,
        },
      )
    default:
      return new SluiceError(
        'BROKER_UNREACHABLE',
        `the Kafka cluster took no messages for ${topic}: are the brokers up? What was not written may be published again`,
        { cause },
      )
  }
}
