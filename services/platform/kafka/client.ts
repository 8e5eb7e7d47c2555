import kafkajs, { type Admin, type Kafka, type KafkaConfig, type Producer } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import { mendAbortedRecords } from './aborted-records.ts'
import { connectToBroker } from './connection.ts'
import { mendConsumerStop } from './consumer-stop.ts'
import { mendLostLogins } from './lost-logins.ts'
import { guardRecordBatches } from './record-batches.ts'
import { mendRequestQueue } from './request-queue.ts'
import { mendSilentBrokers } from './silent-brokers.ts'
import { mendWholeAnswers } from './whole-answers.ts'

/**
 * A kafkajs instance of its own. Consumers, each lane's producer and admin clients each need one: an instance shares its
 * map of committed offsets between all that it makes.
 * @param name client id, seen in the brokers' logs
 */
export function createKafka(
  settings: Pick<Settings, 'brokers' | 'tls' | 'sasl'>,
  name: string,
  log?: Log,
  retry?: KafkaConfig['retry'],
): Kafka {
  guardRecordBatches()
  mendAbortedRecords()
  mendConsumerStop()
  mendLostLogins()
  mendRequestQueue()
  // Before that: whatever comes is a sign of life, each piece of it.
  mendWholeAnswers()
  mendSilentBrokers()
  return new kafkajs.Kafka({
    clientId: name,
    brokers: byTurns(settings.brokers),
    ssl: settings.tls,
    // kafkajs wants one of three literal shapes; the settings were checked at the door.
    ...(settings.sasl === null ? {} : { sasl: saslOf(settings.sasl) }),
    connectionTimeout: 5000,
    socketFactory: connectToBroker,
    // A broker that stands still must not hold its clients for longer than it takes others to take over.
    requestTimeout: 10_000,
    logLevel: kafkajs.logLevel.WARN,
    ...(retry === undefined ? {} : { retry }),
    logCreator:
      () =>
      ({ label, namespace, log: entry }) => {
        // kafkajs reports each of its own retries as an error; what matters reaches the caller as a thrown one.
        log?.debug({ event: 'kafka-client', level: label, namespace, text: entry.message })
      },
  })
}

/**
 * The broker to ask first, another one each time: a new client asks one alone, and would be stuck where that one stands still. One that tries again
 * goes through all of them.
 */
function byTurns(brokers: readonly string[]): () => string[] {
  let turn = Math.floor(Math.random() * brokers.length)
  return () => {
    turn = (turn + 1) % brokers.length
    return brokers.slice(turn, turn + 1)
  }
}

function saslOf(sasl: NonNullable<Settings['sasl']>): NonNullable<KafkaConfig['sasl']> {
  const { mechanism, username, password } = sasl
  if (mechanism === 'plain') return { mechanism, username, password }
  if (mechanism === 'scram-sha-256') return { mechanism, username, password }
  return { mechanism, username, password }
}

/**
 * Runs `work` with a connected admin client and disconnects it.
 * @throws {SluiceError} BROKER_UNREACHABLE when no broker answers
 */
export async function withAdmin<Result>(kafka: Kafka, work: (admin: Admin) => Promise<Result>): Promise<Result> {
  const admin = kafka.admin()
  try {
    await admin.connect()
  } catch (cause) {
    throw new SluiceError('BROKER_UNREACHABLE', undefined, { cause })
  }
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** @throws {SluiceError} BROKER_UNREACHABLE when no broker answers */
export async function connectProducer(producer: Producer): Promise<void> {
  try {
    await producer.connect()
  } catch (cause) {
    throw new SluiceError('BROKER_UNREACHABLE', undefined, { cause })
  }
}
