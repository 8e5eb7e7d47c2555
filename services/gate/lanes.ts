import { setTimeout as sleep } from 'node:timers/promises'
import type { Producer } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { GATE_GROUP, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { mendGroupMembership } from '../platform/kafka/group-membership.ts'
import { keepHeaderOrder } from '../platform/kafka/header-order.ts'
import { isRefusal, isWithoutCoordinator } from '../platform/kafka/kafka-failure.ts'
import type { Settings } from '../platform/settings.ts'
import { createLane, type Lane, type LaneParts, TRANSACTION_MS, type Waiting } from './lane.ts'
import { endsOf, positionOf } from './position.ts'

export type Lanes = {
  waiting(): Waiting[]
  /** Offset behind what is judged, by partition, for the partitions that are this gate's now. */
  ends(): Map<number, number>
  /** Partitions assigned to this gate that are not ready to judge yet. */
  building(): Array<{ partition: number; trouble: SluiceError | null }>
  /** Whether the group has answered lately. */
  isMember(): boolean
  /** Resolves with what to tell when the consumer has ended by itself: these lanes judge nothing more. With null when they are stopped. */
  ended: Promise<SluiceError | null>
  stop(): Promise<void>
}

const LANES_AT_WORK = 8
const REBUILD_WAIT_MS = 500
const LONGEST_REBUILD_WAIT_MS = 5000
const FAILURES_TO_TELL = 3
/** Without an answer for this long the group has given up this member (session timeout) and a second. */
const SILENCE_MS = 7000

/**
 * Joins the gate's group and runs one lane for each partition that the group assigns. Three client instances, because one shares its
 * map of committed offsets between all that it makes: sending offsets in a transaction would mark them before the commit.
 * @throws {SluiceError} BROKER_UNREACHABLE when the consumer could not begin
 */
export async function startLanes(
  settings: Settings,
  parts: Omit<LaneParts, 'consumer' | 'groupId' | 'prefix' | 'lowWatermark' | 'backlog' | 'onTransactionFailed'>,
): Promise<Lanes> {
  keepHeaderOrder()
  mendGroupMembership()
  const { cluster, topic, log } = parts
  const groupId = prefixed(settings.prefix, GATE_GROUP)
  const names = { verdicts: prefixed(settings.prefix, 'gate.verdicts'), group: groupId }
  // Its first question to a coordinator always fails once, and a lane waits for the answer.
  const admin = createKafka(settings, 'sluice-gate-admin', log, {
    initialRetryTime: 20,
    maxRetryTime: 1000,
    retries: 10,
  }).admin()
  const positions = createKafka(settings, 'sluice-gate-position', log)
  const producers = createKafka(settings, 'sluice-gate-lane', log)
  const consumer = createKafka(settings, 'sluice-gate', log).consumer({
    groupId,
    sessionTimeout: 6000,
    // Always due. The library reckons by the time of day: a clock that is set back would silence this member for as long as that.
    heartbeatInterval: Number.NEGATIVE_INFINITY,
    rebalanceTimeout: 15_000,
    maxWaitTimeInMs: 200,
    // A leader that is gone is not asked after: a fetch that finds nobody there only tries again, until what is known of the cluster is this old.
    metadataMaxAge: 3000,
    // Lanes work on while the next is fetched; memory for more than this at once would be got from the system each time, page by page.
    maxBytes: 16_777_216,
    maxBytesPerPartition: 8_388_608,
    allowAutoTopicCreation: false,
    // Few: only a member that gives up and starts anew asks who coordinates the group now, when it finds nobody where the coordinator was.
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 5 },
  })

  /** Goes up with every assignment; whatever belongs to an earlier one is void. */
  let generation = 0
  let stopping = false
  let stopped = false
  let heartbeats = 0
  /** when the group last answered, performance.now() */
  let answeredAt = Number.NEGATIVE_INFINITY
  /** transactions that failed one after the other, and where, by partition */
  const failures = new Map<number, { times: number; end: number }>()
  const lanes = new Map<number, Lane>()
  const assigned = new Set<number>()
  const troubles = new Map<number, SluiceError>()
  /** Builds of one partition follow each other: a late one would fence the rightful owner. */
  const builds = new Map<number, Promise<void>>()
  const ended = Promise.withResolvers<SluiceError | null>()

  const laneParts: LaneParts = {
    ...parts,
    consumer,
    groupId,
    prefix: settings.prefix,
    onCommitted(routed, partition) {
      failures.delete(partition)
      if (lanes.has(partition)) troubles.delete(partition)
      parts.onCommitted(routed, partition)
    },
    backlog: { bytes: 0 },
    lowWatermark: async (partition) => (await endsOf(admin, topic, partition)).low,
    onTransactionFailed(lane) {
      void discard(lane.producer)
      // A new assignment has already seen to the partition.
      if (lanes.get(lane.partition) !== lane) return
      const failedIn = generation
      lanes.delete(lane.partition)
      const failed = (failures.get(lane.partition)?.times ?? 0) + 1
      failures.set(lane.partition, { times: failed, end: lane.end() })
      if (failed >= FAILURES_TO_TELL) {
        const sentence = `${failed} transactions of partition ${lane.partition} have failed in a row at offset ${lane.end()}`
        troubles.set(lane.partition, new SluiceError('TRANSACTION_FAILING', `${sentence}; see the log for why`))
      }
      void (async () => {
        // The first heartbeat to succeed may have been sent before the failure; the second was not.
        const enough = heartbeats + 2
        while (heartbeats < enough) {
          if (stopped || generation !== failedIn) return
          await sleep(50, undefined, { ref: false })
        }
        await sleep(Math.min(LONGEST_REBUILD_WAIT_MS, 50 * 2 ** failed), undefined, { ref: false })
        queueBuild(lane.partition, failedIn)
      })()
    },
  }

  function queueBuild(partition: number, builtFor: number): void {
    const before = builds.get(partition) ?? Promise.resolve()
    builds.set(
      partition,
      before.then(() => build(partition, builtFor)),
    )
  }

  /** Fences the owner before, learns where it stopped, and goes on from there. Tries for as long as the partition is ours. */
  async function build(partition: number, builtFor: number): Promise<void> {
    const isCurrent = (): boolean => !stopped && generation === builtFor
    while (isCurrent()) {
      const producer = producers.producer({
        transactionalId: `${groupId}-${topic}-${partition}`,
        idempotent: true,
        maxInFlightRequests: 1,
        transactionTimeout: TRANSACTION_MS,
        allowAutoTopicCreation: false,
        retry: { initialRetryTime: 5, maxRetryTime: 200, retries: 25 },
      })
      try {
        await producer.connect()
        if (!isCurrent()) return await discard(producer)
        // The first transaction fences an earlier owner, connecting does not; only then is the committed offset final.
        const fence = await producer.transaction()
        await fence.abort()
        if (!isCurrent()) return await discard(producer)
        const position = await positionOf({ cluster, topic, partition }, names, positions, admin)
        if (!isCurrent()) return await discard(producer)
        const lane = createLane(laneParts, partition, producer, position, isCurrent)
        lanes.set(partition, lane)
        const failed = failures.get(partition)
        // The last one went through and only its answer did not, or another gate has been here since: nothing has to come for all to be well.
        if (failed !== undefined && position > failed.end) failures.delete(partition)
        if ((failures.get(partition)?.times ?? 0) < FAILURES_TO_TELL) troubles.delete(partition)
        lane.resume()
        log.info({ event: 'lane-ready', topic, partition, position })
        return
      } catch (error) {
        // What it is in our words is told once, as a pause.
        log.debug({ event: 'lane-build-failed', topic, partition, err: error })
        const trouble =
          error instanceof SluiceError ? error : new SluiceError('BROKER_UNREACHABLE', undefined, { cause: error })
        troubles.set(partition, trouble)
        await discard(producer)
        await sleep(REBUILD_WAIT_MS, undefined, { ref: false })
      }
    }
  }

  /** Ends a producer that is of no use any more; that it can't say goodbye properly changes nothing. */
  async function discard(producer: Producer): Promise<void> {
    await producer.disconnect().catch((error: unknown) => log.debug({ event: 'discard-failed', err: error }))
  }

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    generation += 1
    answeredAt = performance.now()
    for (const lane of lanes.values()) {
      lane.retire()
      // Not while it commits: the connection that is closed then would be opened once more, by nobody who closes it.
      void lane.finish().then(() => discard(lane.producer))
    }
    lanes.clear()
    assigned.clear()
    const partitions = payload.memberAssignment[topic] ?? []
    for (const partition of partitions) assigned.add(partition)
    // Paused partitions stay paused across leaving and coming back.
    consumer.resume([{ topic }])
    if (partitions.length > 0) consumer.pause([{ topic, partitions }])
    log.info({ event: 'assigned', topic, partitions, generation })
    for (const partition of partitions) queueBuild(partition, generation)
  })
  consumer.on(consumer.events.HEARTBEAT, () => {
    heartbeats += 1
    answeredAt = performance.now()
  })
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    // Without an offset it holds nothing of what was asked for.
    if (payload.batchSize !== 0 || payload.firstOffset === null) return
    lanes.get(payload.partition)?.passedOver(Number(payload.firstOffset), Number(payload.lastOffset))
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (payload.restart) return
    // What is still being built would fence the lanes that come after these, and what is being examined would keep their scanners.
    generation += 1
    for (const lane of lanes.values()) lane.retire()
    ended.resolve(givenUp(payload.error, groupId))
  })

  async function stop(): Promise<void> {
    stopping = true
    ended.resolve(null)
    try {
      // Else it would be handed what lies there over and over.
      consumer.pause([{ topic }])
    } catch (error) {
      log.debug({ event: 'consumer-away', err: error })
    }
    // Before it leaves the group: then others take the partitions over.
    await Promise.all([...lanes.values()].map((lane) => lane.finish()))
    await consumer.disconnect()
    stopped = true
    await Promise.all(builds.values())
    await Promise.all([...lanes.values()].map((lane) => discard(lane.producer)))
    await admin.disconnect()
  }

  try {
    await admin.connect()
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: LANES_AT_WORK,
      async eachBatch(batch) {
        await batch.heartbeat()
        if (!stopping) await lanes.get(batch.batch.partition)?.handle(batch)
      },
    })
    // The library calls it running too when it has just given it up.
    const fault = await Promise.race([ended.promise, null])
    if (fault !== null) throw fault
  } catch (error) {
    // The next try begins with clients of its own.
    await stop().catch((cause: unknown) => log.debug({ event: 'discard-failed', err: cause }))
    throw error instanceof SluiceError ? error : givenUp(error, groupId)
  }

  return {
    waiting: () => [...lanes.values()].flatMap((lane) => lane.waiting() ?? []),
    ends: () => new Map([...lanes.values()].map((lane) => [lane.partition, lane.end()])),
    building: () =>
      [...assigned]
        .filter((partition) => !lanes.has(partition) || troubles.has(partition))
        .map((partition) => ({ partition, trouble: troubles.get(partition) ?? null })),
    isMember: () => performance.now() - answeredAt < SILENCE_MS,
    ended: ended.promise,
    stop,
  }
}

/** What it means for a person that the client library has given up a consumer, or could not begin with one. */
function givenUp(cause: unknown, groupId: string): SluiceError {
  const refused = ['GROUP_AUTHORIZATION_FAILED', 'TOPIC_AUTHORIZATION_FAILED'].some((type) => isRefusal(cause, type))
  const sentence = refused
    ? `the brokers do not let this principal read the door in the consumer group ${groupId}: run \`sluice access apply\``
    : isWithoutCoordinator(cause)
      ? `no broker coordinates the consumer group ${groupId}: brokers are starting, or this principal lacks the right to use it`
      : `the consumer of the group ${groupId} has ended: ${cause instanceof Error ? cause.message : String(cause)}`
  return new SluiceError('BROKER_UNREACHABLE', `${sentence}; another one is started`, { cause })
}
