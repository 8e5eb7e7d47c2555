import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import type { Counter } from 'prom-client'
import { SluiceError } from '../domain/errors.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { DOOR, GATE_GROUP, prefixed } from '../domain/topics.ts'
import { inTime } from '../platform/in-time.ts'
import { createKafka } from '../platform/kafka/client.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import { createExamine } from './examine.ts'
import { type FloodWatch, watchFloods } from './flood-watch.ts'
import type { Scanners } from './inspect/scanners.ts'
import type { KnownLists } from './known-lists.ts'
import type { LaneParts } from './lane.ts'
import { type Lanes, startLanes } from './lanes.ts'
import { type Readiness, startOperations } from './operations.ts'
import { createPauses, type Pause } from './pauses.ts'
import { createKeep, createRoute, laneTopics } from './route.ts'
import type { Signer } from './signer.ts'
import { type GateStatus, laneStatuses, listStatuses } from './status.ts'
import { createTally, type Tally } from './tally.ts'
import { createWatch } from './watch.ts'

export type Gate = {
  /** port of /healthz, /readyz, /status and /metrics */
  port: number
  readiness(): Readiness
  tally(): Tally
  /** Resolves when everything that is on the door has an outcome, from this gate or another of its group. */
  caughtUp(): Promise<void>
  /** Rejects when the gate can't go on by itself. */
  failed: Promise<never>
  /** Finishes the current chunks, commits and leaves the group. */
  stop(): Promise<void>
}

export type GateParts = {
  settings: Settings
  policy: Policy
  policyHash: string
  /** the caller's, who also closes them */
  scanners: Scanners
  /** the caller's, who also stops them */
  lists: KnownLists
  /** the caller's, who also stops it */
  signer: Signer
  log: Log
  metrics: Metrics
}

const RETRY_MS = 500
const LISTS_MS = 50
const LOOK_MS = 250
const WATCH_MS = 5000
const PAUSES_MS = 1000
const LEAVE_MS = 10_000
const LONG_LIFE_MS = 60_000
const LONGEST_RETRY_MS = 30_000

/**
 * Starts the gate. It serves its operations port at once, joins the group when registry, topics and lists are there, and is ready
 * when its lanes are.
 * @throws {SluiceError} CONFIG_INVALID when the port can't be had
 */
export async function startGate({
  settings,
  policy,
  policyHash,
  scanners,
  lists,
  signer,
  log,
  metrics,
}: GateParts): Promise<Gate> {
  const registry = createRegistry(settings)
  const admin = createKafka(settings, 'sluice-gate-watch', log, { retries: 2, initialRetryTime: 100 }).admin()
  const door = prefixed(settings.prefix, DOOR)
  const groupId = prefixed(settings.prefix, GATE_GROUP)
  const watch = createWatch({ admin, door, groupId, ends: () => lanes?.ends() ?? new Map(), metrics })
  const stopping = new AbortController()
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => undefined)
  const tally = createTally(metrics)
  const pauses = createPauses({ log, metrics })
  const startedAt = new Date().toISOString()
  const intake = await openStore(settings, 'intake')
  // A chunk is one call, so one thread keeps pace with many scanners; another one may be copying something large.
  const clean = await openStore(settings, 'clean', { threads: 1 })
  const held = await openStore(settings, 'held', { threads: 2 })
  let lanes: Lanes | null = null
  /** lanes that ended by themselves soon after they had begun, one after the other */
  let shortLives = 0
  let floods: FloodWatch | null = null
  /** what the start is waiting for, by what needs it */
  const unmet = new Map<string, Pause>()

  function findPauses(): Pause[] {
    const problem = problemNow()
    const isAway = lanes !== null && !lanes.isMember()
    const building = lanes?.building() ?? []
    return [
      ...(problem === null ? [] : [{ partition: null, code: problem.code, sentence: problem.message }]),
      ...unmet.values(),
      ...(lanes === null && unmet.size === 0 && problem === null
        ? [{ partition: null, code: 'STARTING' as const, sentence: 'the gate is starting' }]
        : []),
      ...(isAway
        ? [{ partition: null, code: 'BROKER_UNREACHABLE', sentence: 'the consumer group does not answer' }]
        : []),
      ...(lanes?.waiting() ?? []),
      ...building.map(({ partition, trouble }) => ({
        partition,
        code: trouble?.code ?? 'STARTING',
        sentence: trouble?.message ?? `the lane of partition ${partition} is being built`,
        ...(trouble?.cause === undefined ? {} : { cause: trouble.cause }),
      })),
    ]
  }

  /** Why nothing must be judged now, by the lists as they are or without a key to sign with; null where it may be. */
  function problemNow(): SluiceError | null {
    return lists.current().problem ?? floods?.problem() ?? signer.problem()
  }

  function readiness(): Readiness {
    const waiting = pauses.update(findPauses())
    return { ready: lanes !== null && waiting.length === 0, waiting, isolation: scanners.isolation() }
  }

  async function status(): Promise<GateStatus> {
    const { ready, waiting } = readiness()
    const { items, outcomes, reasons } = tally.total
    return {
      at: new Date().toISOString(),
      startedAt,
      ready,
      waiting,
      lanes: laneStatuses(watch.last(), lanes?.ends() ?? new Map(), waiting),
      lists: listStatuses(policy, lists.states(), Date.now()),
      judged: { items, outcomes, reasons, perSecond: tally.perSecond() },
      scanners: {
        running: scanners.pids().length,
        most: scanners.size,
        restarts: await countOf(metrics.scannerRestarts),
        isolation: scanners.isolation(),
      },
      transactionFailures: await countOf(metrics.transactionFailures),
    }
  }

  /** Each need is a fault of the surroundings as long as it is not met; the gate says so and tries again. */
  async function startUp(): Promise<void> {
    const [{ cluster, work }] = await Promise.all([
      persist('topics', async () => {
        const found = await describe(admin, door, settings.prefix)
        return { cluster: found, work: await createWork(await isFirstGate()) }
      }),
      persist('schemas', () => registry.warm([DOOR, ...laneTopics])),
      persist('scanners', async () => {
        const { why } = await scanners.prepare()
        if (why !== null) log.warn({ event: 'scanners-less-isolated', why })
      }),
      untilListsAreThere(),
    ])
    if (stopping.signal.aborted) return
    await persist('lanes', () =>
      liveLanes({
        cluster,
        topic: door,
        chunkItems: settings.chunkItems,
        chunkBytes: settings.chunkBytes,
        ...work,
        onCommitted: (routed) => {
          tally.add(routed)
          // Not before: their starting takes what the first items need.
          scanners.startAll()
          floods ??= watchFloods({
            settings,
            registry,
            policy,
            inForce: () => lists.states().flatMap(({ inForce }) => inForce ?? []),
            onTrouble: (error) => log.debug({ event: 'flood-watch-failed', err: error }),
          })
        },
        log,
        metrics,
      }),
    )
  }

  /**
   * Has lanes run until the gate stops. The client library gives a consumer up for good over all that it doesn't call passing: where it finds no coordinator
   * while brokers die and come back, for one, or where a right is taken and given back. Then others follow, with clients of their own.
   * @throws {SluiceError} what their consumer ended of
   */
  async function liveLanes(parts: Parameters<typeof startLanes>[1]): Promise<void> {
    const mine = await startLanes(settings, parts)
    if (stopping.signal.aborted) return await mine.stop()
    unmet.delete('lanes')
    lanes = mine
    const began = performance.now()
    const fault = await mine.ended
    if (fault === null) return
    log.warn({ event: 'lanes-ended', err: fault })
    lanes = null
    tellUnmet('lanes', fault)
    // What is late is of an earlier generation: at most it fences those that follow once, as they are fenced by another gate.
    await inTime(mine.stop(), LEAVE_MS).catch((error: unknown) => log.debug({ event: 'discard-failed', err: error }))
    shortLives = performance.now() - began < LONG_LIFE_MS ? shortLives + 1 : 0
    // Each joining has all others of the group begin anew.
    await sleep(Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** shortLives), undefined, { signal: stopping.signal })
    throw fault
  }

  /** Why they are not is among the pauses already. */
  async function untilListsAreThere(): Promise<void> {
    while (lists.current().problem !== null) await sleep(LISTS_MS, undefined, { signal: stopping.signal })
  }

  /**
   * Everything between reading and committing.
   * @param first whether the stores may still have to be made; later a store that is not there is a lost disk
   */
  async function createWork(first: boolean): Promise<Pick<LaneParts, 'process' | 'keep'>> {
    if (first) await Promise.all([intake, clean, held].map((store) => store.make()))
    // Its thread is there then, when the first item is; the others start when something needs them.
    else await clean.find()
    const payloads = [intake, held, clean]
    const route = createRoute({ registry, payloads, held, policyHash, signingKey: signer.key, now: Date.now })
    // For each scanner one item that it is at, one that lies ready for it, and one that is matched or found meanwhile.
    const examine = createExamine({ registry, payloads, scanners, policy, metrics, concurrency: 3 * scanners.size })
    return {
      process(records, signal) {
        const current = lists.current()
        const problem = problemNow()
        if (problem !== null) throw problem
        tally.begin()
        return examine(records, current, signal, route)
      },
      keep: createKeep({ clean, held }),
    }
  }

  /** Whether no gate has ever judged anything. Verdicts are kept for ever, committed offsets are not. */
  async function isFirstGate(): Promise<boolean> {
    const ends = await admin.fetchTopicOffsets(prefixed(settings.prefix, 'gate.verdicts'))
    return ends.every(({ high }) => high === '0')
  }

  function tellUnmet(what: string, { code, message, cause }: SluiceError): void {
    unmet.set(what, { partition: null, code, sentence: message, cause })
    pauses.update(findPauses())
  }

  async function persist<Result>(what: string, need: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        const met = await need()
        unmet.delete(what)
        return met
      } catch (error) {
        const fault =
          error instanceof SluiceError ? error : new SluiceError('BROKER_UNREACHABLE', undefined, { cause: error })
        if (fault.fault !== 'surroundings') throw fault
        tellUnmet(what, fault)
        await sleep(RETRY_MS, undefined, { signal: stopping.signal })
      }
    }
  }

  async function keepWatching(): Promise<void> {
    while (!stopping.signal.aborted) {
      await watch.look().catch((error: unknown) => log.debug({ event: 'watch-failed', err: error }))
      await sleep(WATCH_MS, undefined, { signal: stopping.signal, ref: false })
    }
  }

  function beforeScrape(): void {
    readiness()
    for (const { list, inForce } of lists.states()) {
      if (inForce !== null) metrics.listAge.set({ list }, (Date.now() - inForce.checkedAt) / 1000)
    }
  }

  const operations = await startOperations(settings.listen, metrics, { readiness, status, beforeScrape }).catch(
    (cause: unknown) => {
      const { host, port } = settings.listen
      throw new SluiceError('CONFIG_INVALID', `SLUICE_LISTEN: ${host}:${port} can't be had; name a free port`, {
        cause,
      })
    },
  )
  log.info({ event: 'listening', port: operations.port })
  // So that each pause is logged, and its beginning known, when nobody asks.
  const lookForPauses = setInterval(readiness, PAUSES_MS)
  const started = startUp().catch((error: unknown) => {
    if (!stopping.signal.aborted) failure.reject(error instanceof Error ? error : new Error(String(error)))
  })
  keepWatching().catch(() => undefined)

  return {
    port: operations.port,
    readiness,
    tally: () => tally.total,
    failed: failure.promise,
    async caughtUp() {
      while (!stopping.signal.aborted) {
        const door = lanes === null ? null : await watch.look().catch(() => null)
        if (door?.every(({ lag }) => lag === 0)) return
        await sleep(LOOK_MS)
      }
    },
    async stop() {
      stopping.abort()
      clearInterval(lookForPauses)
      // The groups that it reads in are its own: nobody waits for its leave.
      void floods?.stop()
      await lanes?.stop()
      // What is just beginning may be asking brokers that do not answer; it takes its leave by itself.
      await inTime(started, LEAVE_MS).catch(() => undefined)
      await admin.disconnect()
      await operations.stop()
    },
  }
}

/**
 * The cluster's id, once every topic that a lane writes is there with as many partitions as the door.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING
 */
async function describe(admin: Admin, door: string, prefix: string): Promise<string> {
  try {
    await admin.connect()
    const { clusterId } = await admin.describeCluster()
    const names = await admin.listTopics()
    const wanted = [door, ...laneTopics.map((topic) => prefixed(prefix, topic))]
    const missing = wanted.filter((name) => !names.includes(name))
    if (missing.length > 0) {
      const sentence = `topics ${missing.join(', ')} are missing, or the gate may not see them`
      throw new SluiceError('TOPICS_MISSING', `${sentence}: run \`sluice topics apply\` and \`sluice access apply\``)
    }
    const { topics } = await admin.fetchTopicMetadata({ topics: wanted })
    const counts = new Map(topics.map(({ name, partitions }) => [name, partitions.length]))
    const uneven = wanted.filter((name) => counts.get(name) !== counts.get(door))
    if (uneven.length > 0) {
      throw new SluiceError('TOPICS_MISSING', `${uneven.join(', ')} must have as many partitions as ${door}`)
    }
    return clusterId
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw new SluiceError('BROKER_UNREACHABLE', undefined, { cause })
  }
}

async function countOf(counter: Counter): Promise<number> {
  return (await counter.get()).values[0]?.value ?? 0
}
