import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { SluiceError } from '../domain/errors.ts'
import type { ReplayRunRecord } from '../domain/records.ts'
import {
  createReplayRuns,
  isWhole,
  openOrder,
  type Run,
  type RunPart,
  stateOf,
  WORKER_KEY,
} from '../domain/replay/replay-runs.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { connectProducer, createKafka } from '../platform/kafka/client.ts'
import { followTopic, type TopicFollower } from '../platform/kafka/follow-topic.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Log } from '../platform/log.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import { openReplayAudit, type ReplayAudit } from './audit-topic.ts'
import { type Bounds, executeRun } from './execute-run.ts'
import { fencedProducer } from './lane.ts'
import { RUNS, readReplayRuns, runRecord } from './runs-topic.ts'

const LOOK_EVERY_MS = 500

export type WorkerOptions = {
  settings: Settings
  log: Log
  bounds: Bounds
  /** tells it to end */
  signal: AbortSignal
  /** ends by itself when there is nothing to do */
  untilIdle: boolean
}

/**
 * Carries out what on-call asks for, one run after the other in the order in which they were asked for; one that waits for a word holds up no other.
 * Of several workers the one that was started last is in charge, and the others end.
 * @throws {SluiceError} REPLAY_TAKEN_OVER where another worker is in charge by now; the faults of the surroundings at the start
 */
export async function runReplayWorker({ settings, log, bounds, signal, untilIdle }: WorkerOptions): Promise<void> {
  const registry = createRegistry(settings)
  const { prefix } = settings
  const worker = randomUUID()
  const topic = prefixed(prefix, RUNS)
  const door = prefixed(prefix, DOOR)
  const { cluster } = await topicBounds(createKafka(settings, 'sluice-replay'), door)
  await registry.warm([RUNS, 'replay.audit'])
  await registry.learn(RUNS)
  const held = await openStore(settings, 'held')
  await held.find()

  const own = createKafka(settings, 'sluice-replay-lane')
  const claim = await claimCharge()
  const runs = createReplayRuns()
  let successor: string | null = null

  /** Says on the topic who is in charge from now on. @returns where that stands */
  async function claimCharge(): Promise<number> {
    const producer = await fencedProducer(own, prefix, 0)
    try {
      const record = { ...runRecord({ run: WORKER_KEY, plan: '', state: 'claim', partition: 0 }), worker }
      const transaction = await producer.transaction()
      const value = await registry.encode(RUNS, record)
      const [answer] = await transaction.send({ topic, acks: -1, messages: [{ key: WORKER_KEY, value, partition: 0 }] })
      await transaction.commit()
      return Number(answer?.baseOffset)
    } finally {
      await producer.disconnect()
    }
  }

  function assertInCharge(): void {
    if (successor === null) return
    throw new SluiceError('REPLAY_TAKEN_OVER', 'another replay worker was started and is in charge now: this one ends')
  }

  function follow(audit: ReplayAudit): TopicFollower {
    return followTopic({
      kafka: createKafka(settings, 'sluice-replay'),
      topic,
      async onRecord({ partition, offset, key, value }) {
        if (key === null || value === null) return
        const { value: record } = await registry.decode<ReplayRunRecord>(RUNS, value)
        const name = key.toString('utf8')
        if (name === WORKER_KEY && offset > claim && record.worker !== worker) successor = record.worker
        const run = runs.add(partition, name, record)
        if (run !== null && isWhole(run)) await audit.settle(run)
      },
      onTrouble: (error) => log.warn({ event: 'replay-waits', err: error }),
    })
  }

  async function readPart(run: string, partition: number): Promise<RunPart> {
    const part = (await readReplayRuns(settings, registry, partition)).run(run)?.parts.get(partition)
    if (part === undefined) throw new SluiceError('RUN_UNKNOWN', `${topic} no longer tells of the run ${run}`)
    return part
  }

  async function workOff(): Promise<void> {
    log.info({ event: 'replay-worker', worker, cluster, topic })
    const parts = { settings, registry, prefix, kafka: own, held, log, cluster, door, runs, bounds, signal, worker }
    while (!signal.aborted) {
      assertInCharge()
      const run = runs.runs().find(isDue)
      if (run !== undefined) {
        await executeRun({ ...parts, assertInCharge, read: readPart }, run)
        await heard(run)
      } else if (untilIdle) return
      else await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** Resolves when what was written of a run has been read, so that it is not begun once more. */
  async function heard({ id }: Run): Promise<void> {
    const isRead = ({ partition, progress }: RunPart): boolean => {
      const known = runs.run(id)?.parts.get(partition)?.progress
      return progress === null || (known?.taken === progress.taken && known.state === progress.state)
    }
    const written = (await readReplayRuns(settings, registry)).run(id)
    if (written === null) return
    // Of each partition: what is not known to be replayed would be replayed by the next run once more.
    while (!signal.aborted && ![...written.parts.values()].every(isRead)) {
      assertInCharge()
      await sleep(LOOK_EVERY_MS / 10)
    }
  }

  const writer = createKafka(settings, 'sluice-replay').producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
  })
  let follower: TopicFollower | null = null
  try {
    await connectProducer(writer)
    follower = follow(await openReplayAudit(settings, registry, writer))
    await Promise.race([follower.reachedEnd, ended(signal)])
    await workOff()
  } finally {
    await follower?.stop()
    await writer.disconnect()
  }
}

/** Whether there is something to be done about a run. */
function isDue(run: Run): boolean {
  if (!isWhole(run)) return false
  const state = stateOf(run)
  if (state === 'stopped' || state === 'waiting') return openOrder(run) !== null
  return state !== 'done'
}

function ended(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}
