import type { ReplayRunRecord } from '../domain/records.ts'
import { createReplayRuns, type ReplayRuns } from '../domain/replay/replay-runs.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { connectProducer, createKafka } from '../platform/kafka/client.ts'
import { followTopic } from '../platform/kafka/follow-topic.ts'
import { topicFailure } from '../platform/kafka/kafka-failure.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

export const RUNS = 'replay.runs' satisfies Topic

/** A record of replay.runs and where it belongs. */
export type RunRecord = { partition: number; key: string; record: ReplayRunRecord }

/** A record that says nothing but what it must. */
export function runRecord(record: Pick<ReplayRunRecord, 'run' | 'plan' | 'state' | 'partition'>): ReplayRunRecord {
  return {
    nextOffset: null,
    counts: {},
    updatedAt: Date.now(),
    who: null,
    why: null,
    request: null,
    worker: null,
    taken: 0,
    heeded: null,
    produced: null,
    left: null,
    ...record,
  }
}

/**
 * All that replay.runs tells by now.
 * @param partition only this one; default: all
 * @throws {SluiceError} as `readTopic`
 */
export async function readReplayRuns(settings: Settings, registry: Registry, partition?: number): Promise<ReplayRuns> {
  const runs = createReplayRuns()
  await readTopic<ReplayRunRecord>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: RUNS,
    ...(partition === undefined ? {} : { partition }),
    isWanted: ({ key }) => key !== null,
    onValue: (record, { partition, key }) => void runs.add(partition, key?.toString('utf8') ?? '', record),
  })
  return runs
}

/**
 * Writes what on-call says; when it resolves, the brokers have it.
 * @throws {SluiceError} ACCESS_DENIED, TOPICS_MISSING, BROKER_UNREACHABLE
 */
export async function writeRunRecords(
  settings: Settings,
  registry: Registry,
  records: readonly RunRecord[],
): Promise<void> {
  const topic = prefixed(settings.prefix, RUNS)
  const kafka = createKafka(settings, 'sluice-replay')
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  await connectProducer(producer)
  try {
    for (const { partition, key, record } of records) {
      const value = await registry.encode(RUNS, record)
      await producer.send({ topic, acks: -1, messages: [{ key, value, partition }] })
    }
  } catch (cause) {
    throw topicFailure(cause, topic)
  } finally {
    await producer.disconnect()
  }
}

/**
 * All that replay.runs tells, and what comes; `reachedEnd` resolves when what was there at the beginning is known.
 * @throws {SluiceError} REGISTRY_UNREACHABLE
 */
export async function followReplayRuns(
  settings: Settings,
  registry: Registry,
): Promise<{ runs: ReplayRuns; reachedEnd: Promise<void>; stop(): Promise<void> }> {
  const runs = createReplayRuns()
  await registry.learn(RUNS)
  const follower = followTopic({
    kafka: createKafka(settings, 'sluice-replay'),
    topic: prefixed(settings.prefix, RUNS),
    async onRecord({ partition, key, value }) {
      if (key === null || value === null) return
      runs.add(partition, key.toString('utf8'), (await registry.decode<ReplayRunRecord>(RUNS, value)).value)
    },
  })
  return { runs, reachedEnd: follower.reachedEnd, stop: () => follower.stop() }
}
