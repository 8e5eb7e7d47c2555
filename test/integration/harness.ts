import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import kafkajs, { type Admin, type Kafka, type Message, type Producer } from 'kafkajs'
import { applyAccess } from '../../services/cluster/access/access.ts'
import { deleteAcls } from '../../services/cluster/access/cluster-acls.ts'
import { wantedAcls } from '../../services/cluster/access/wanted-acls.ts'
import { newKey } from '../../services/cluster/keys.ts'
import { registerSchemas } from '../../services/cluster/registered-schemas.ts'
import { applyTopics } from '../../services/cluster/topics.ts'
import { parseTopicsFile } from '../../services/cluster/wanted-topics.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { entryFromRow } from '../../services/domain/hash-list.ts'
import { type Policy, parsePolicy } from '../../services/domain/judge/policy.ts'
import { PackedList } from '../../services/domain/packed-entries.ts'
import { prefixed, type Topic, topics } from '../../services/domain/topics.ts'
import { importList } from '../../services/lists/import.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { isPassing, isWithoutCoordinator } from '../../services/platform/kafka/kafka-failure.ts'
import { withPartitionReader } from '../../services/platform/kafka/partition-reader.ts'
import { createRegistry, type Registry } from '../../services/platform/registry.ts'
import type { Settings } from '../../services/platform/settings.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import type { Store, StoreName } from '../../services/platform/stores/store.ts'
import { shippedAccess } from '../cluster/access/shipped-file.ts'
import { createGap, type Gap } from './gap.ts'
import { type GateProcess, type SluiceProcess, startGateProcess, startSluice } from './gate-process.ts'
import type { S3Server } from './s3-server.ts'
import { adminSettings, environmentOf, type SharedStack, sharedStack } from './shared-stack.ts'
import { PATIENCE_SECONDS } from './waiting.ts'

const TOPICS_FILE = join(import.meta.dirname, '../../infra/topics.yaml')
const POLICY_FILE = join(import.meta.dirname, '../../infra/policy.yaml')

/** Hash lists of a test's policy: name to what policy says of it. */
export type PolicyLists = Readonly<
  Record<string, { mode: 'enforce' | 'shadow'; maxAgeHours: number; leastMatchable: number }>
>

export type BenchOptions = {
  /** of the door and all that follow it; default 4 */
  partitions?: number
  /** default: `stand-in`, enforced, a week */
  lists?: PolicyLists
  /** longest payload that policy allows, in bytes; default 8 MiB */
  payloadBytes?: number
  /** most pixels of a frame; default 50 million */
  pixels?: number
  /** longest time for one attempt to inspect an item; default 120: scanners come last, and tests run side by side */
  scanSeconds?: number
  /** what must be known of an item; default: nothing */
  provenance?: Policy['provenance']
  /** how many items a list may hold, and lack; default: any */
  flood?: Policy['flood']
  shrink?: Policy['shrink']
  /** default: the stack that all tests share */
  cluster?: { bootstrap: readonly string[]; registry: string; users?: string | null }
  /** where the stores are buckets; default: they are in a folder */
  s3?: S3Server
}

/** Whose end is the end of the bench: a test's context, or something like it. */
export type Scope = {
  fullName: string
  /** true when it went well; else what the gates wrote is shown */
  passed?: boolean
  after(work: () => Promise<void> | void): void
}

/** A scope for what is more or less than one test: `close` does all that was registered, the last one first, whatever fails. */
export function openScope(fullName: string): Scope & { close(): Promise<void> } {
  const works: Array<() => Promise<void> | void> = []
  return {
    fullName,
    after: (work) => void works.push(work),
    async close() {
      const failures: unknown[] = []
      for (const work of works.splice(0).reverse()) {
        try {
          await work()
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, `${fullName} could not be closed`)
    },
  }
}

/** A row of a hash list file: column to text. */
export type ListRow = Readonly<Record<string, string>>

/** A place for one test: its own topics, schemas, stores and policy on the shared stack. All of it is gone after the test. */
export type Bench = {
  settings: Settings
  registry: Registry
  /** settings of this bench for child processes */
  environment: Readonly<Record<string, string>>
  partitions: number
  /** temporary folder of the test; the stores are in `stores` below it */
  folder: string
  group: string
  /** a topic's name on the cluster */
  topic(name: Topic): string
  store(name: StoreName): Store
  /** where that is in a folder */
  storeFolder(name: StoreName): string
  /** Runs a command to its end. @throws {Error} with what it wrote when it ends with another code than expected */
  sluice(words: readonly string[], expectedCode?: number): Promise<SluiceProcess>
  /** Starts a gate on this bench; killed after the test, its stderr shown when the test failed. */
  startGate(options?: {
    words?: readonly string[]
    environment?: Readonly<Record<string, string>>
    preload?: readonly string[]
  }): GateProcess
  /** Ends a gate as an operator would. @throws {Error} when it does not end with code 0 */
  stopGate(gate: GateProcess): Promise<void>
  /** Imports a version of a hash list, whole. */
  importList(list: string, rows: Iterable<ListRow>, checkedAt?: Date): Promise<void>
  /** Produces messages on a topic, by kafkajs. */
  produce(topic: Topic, messages: readonly Message[]): Promise<void>
  /** Asks the brokers as an administrator, again and again while they can't tell. */
  ask<Answer>(work: (admin: Admin) => Promise<Answer>): Promise<Answer>
  /** Sum of the ends of all partitions of these topics, control records included. */
  endOf(...names: Topic[]): Promise<number>
  /** Sum of what the gate's group has committed on the door. */
  committed(): Promise<number>
  /** Whether the gate's committed offsets have reached the end of the door. */
  caughtUp(): Promise<boolean>
  /** A door in front of one of the servers, for gates that are given its address; closed after the test. */
  gapBefore(server: 'broker' | 'registry', state?: 'cut' | 'mended'): Promise<Gap>
}

/** Sets up a {@link Bench} and registers its removal with the test. */
export async function openBench(t: Scope, options: BenchOptions = {}): Promise<Bench> {
  const { partitions = 4 } = options
  const stack: SharedStack =
    options.cluster === undefined
      ? sharedStack()
      : { users: null, ...options.cluster, brokers: [...options.cluster.bootstrap] }
  const { brokers, registry: registryUrl } = stack
  const prefix = `t-${randomBytes(5).toString('hex')}.`
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'))
  const environment = {
    ...environmentOf(stack),
    SLUICE_PREFIX: prefix,
    SLUICE_STORES: options.s3 === undefined ? join(folder, 'stores') : `s3://${prefix.replaceAll('.', '')}`,
    SLUICE_SNAPSHOTS: join(folder, 'snapshots'),
    SLUICE_RECALL: join(folder, 'recall'),
    SLUICE_SIGNING_KEY: join(folder, 'keys', 'signing.pem'),
    SLUICE_KEYRING: join(folder, 'keys', 'keyring.json'),
    SLUICE_POLICY: join(folder, 'policy.yaml'),
    // Whichever is free: several gates run at the same time, and a developer's own has the default.
    SLUICE_LISTEN: '127.0.0.1:0',
    // What a test sends is few items, and a scanner takes as long to start as to look at many.
    SLUICE_SCANNERS: '1',
    ...options.s3?.environment(),
  }
  await mkdir(join(folder, 'stores'))
  await writeFile(environment.SLUICE_POLICY, policyText(options))
  const settings = adminSettings(stack, environment)
  const registry = createRegistry(settings)
  const kafka = createKafka(settings, 'bench')
  const group = prefixed(prefix, 'gate')
  const gates: GateProcess[] = []
  const gaps: Gap[] = []
  const stores = new Map<StoreName, Store>()
  let producer: Promise<Producer> | null = null
  let isClosed = false
  // Of one that is broken meanwhile everything is asked anew.
  const isBreakable = options.cluster !== undefined && 'untilInSync' in options.cluster
  const asking = stack.users === null || isBreakable ? null : createAsking(kafka)
  const ask = <Answer>(work: (admin: Admin) => Promise<Answer>): Promise<Answer> =>
    patiently(async () => {
      assertOpen()
      return await (asking === null ? withAdmin(kafka, work) : asking.ask(work))
    })

  /** What a test does over and over may go on for a moment longer: a connection made then would keep the process for as long as the broker does. */
  function assertOpen(): void {
    if (isClosed) throw new Error('this bench is closed')
  }

  const makeStore = await storeMaker(environment.SLUICE_STORES, options.s3)

  const bench: Bench = {
    settings,
    registry,
    environment,
    partitions,
    folder,
    group,
    topic: (name) => prefixed(prefix, name),
    store(name) {
      // One for each name: a store has threads of its own.
      const store = stores.get(name) ?? makeStore(name)
      stores.set(name, store)
      return store
    },
    storeFolder: (name) => join(environment.SLUICE_STORES, name),

    async sluice(words, expectedCode = 0) {
      const command = startSluice(words, environment)
      const { code } = await command.ended
      if (code !== expectedCode) {
        throw new Error(`sluice ${words.join(' ')} ended with ${code}:\n${command.stderr()}\n${command.stdout()}`)
      }
      return command
    },

    startGate({ words = [], environment: more = {}, preload = [] } = {}) {
      const gate = startGateProcess(words, { ...environment, ...more }, preload)
      gates.push(gate)
      return gate
    },

    async stopGate(gate) {
      gate.kill('SIGTERM')
      const { code } = await gate.ended
      if (code !== 0) throw new Error(`the gate ended with ${code} after SIGTERM:\n${gate.stderr()}`)
    },

    async importList(list, rows, checkedAt = new Date()) {
      const packed = new PackedList(list)
      let line = 0
      for (const row of rows) {
        line += 1
        const { entry } = entryFromRow(row, { list, file: list, line })
        if (entry !== null) packed.put(entry)
      }
      const cause = { act: 'import', who: null, why: null, of: null, accepted: [] }
      const next = { entries: packed.snapshot(), checkedAt: checkedAt.getTime(), cause }
      await importList({ kafka, registry, prefix, store: bench.store('lists'), list, next, now: Date.now() })
    },

    async produce(topic, messages) {
      assertOpen()
      producer ??= connectProducer(kafka)
      const connected = await producer
      // One partition a call: the client leaves out partitions whose leader changes during a call for several.
      const partitions = Map.groupBy(messages, ({ partition }) => partition ?? null)
      for (const part of partitions.values().flatMap(inParts))
        await patiently(() => connected.send({ topic: bench.topic(topic), acks: -1, messages: part }))
    },

    ask,

    endOf: (...names) =>
      ask(async (admin) => {
        let sum = 0
        for (const name of names) {
          for (const { high } of await admin.fetchTopicOffsets(bench.topic(name))) sum += Number(high)
        }
        return sum
      }),

    committed: () =>
      ask(async (admin) => {
        const [door] = await admin.fetchOffsets({ groupId: group, topics: [bench.topic('crawl.items')] })
        return (door?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
      }),

    caughtUp: () =>
      ask(async (admin) => {
        const ends = await admin.fetchTopicOffsets(bench.topic('crawl.items'))
        const [committed] = await admin.fetchOffsets({ groupId: group, topics: [bench.topic('crawl.items')] })
        const behind = ends.filter(({ partition, high }) => high !== '0' && offsetIn(committed, partition) !== high)
        if (behind.length === 0) return true
        // What a replay writes ends with a marker, which is nothing to be judged; more than a few in a row there are not.
        const far = behind.some(({ partition, high }) => !(Number(offsetIn(committed, partition)) > Number(high) - 10))
        if (far) return false
        return await withPartitionReader(createKafka(settings, 'test'), async (reader) => {
          for (const { partition } of behind) {
            const last = await reader.last(bench.topic('crawl.items'), partition)
            if (last !== null && !(Number(offsetIn(committed, partition)) > Number(last.offset))) return false
          }
          return true
        })
      }),

    async gapBefore(server, state) {
      const target = server === 'broker' ? brokers[0] : new URL(registryUrl).host
      const gap = await createGap(target ?? '', state)
      gaps.push(gap)
      return gap
    },
  }

  t.after(async () => {
    isClosed = true
    for (const gate of gates.filter((each) => each.running())) gate.kill('SIGKILL')
    for (const gate of gates) {
      await gate.ended
      if (Reflect.get(t, 'passed') !== true)
        process.stderr.write(`\n--- gate ${gate.pid} of "${t.fullName}" wrote:\n${tail(gate.stderr())}\n`)
    }
    // What a test has opened after this bench is closed after it, and may still be writing.
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
    await Promise.all(gaps.map((gap) => gap.close()))
    await producer?.then((connected) => connected.disconnect())
    await asking?.close()
    // A cluster of the test's own takes its topics with it.
    if (options.cluster === undefined) await sweep(settings)
  })

  const wanted = parseTopicsFile(readFileSync(TOPICS_FILE, 'utf8'), TOPICS_FILE)
  await Promise.all([
    patiently(() => applyTopics(settings, wanted, { doorPartitions: partitions })),
    patiently(() => registerSchemas(settings)),
    stack.users === null ? null : patiently(() => applyAccess(settings, shippedAccess)),
    newKey(settings, Date.now()),
  ])
  await patiently(() => registry.warm(topics))
  if (options.s3 === undefined) await bench.store('intake').make()
  else await options.s3.makeBuckets(environment.SLUICE_STORES.slice('s3://'.length))
  return bench
}

async function connectProducer(kafka: Kafka): Promise<Producer> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  await patiently(() => producer.connect())
  return producer
}

/** Takes the topics of this prefix, and the rights on them, off brokers that others go on using. */
export async function sweep(settings: Settings): Promise<void> {
  const { prefix, sasl } = settings
  await patiently(() =>
    withAdmin(createKafka(settings, 'sweep'), async (admin) => {
      const mine = (await admin.listTopics()).filter((name) => name.startsWith(prefix))
      await Promise.all([
        mine.length === 0 ? null : admin.deleteTopics({ topics: mine }),
        sasl === null ? null : deleteAcls(admin, wantedAcls(shippedAccess, prefix)),
      ])
    }),
  )
}

async function storeMaker(stores: string, server: S3Server | undefined): Promise<(name: StoreName) => Store> {
  if (server === undefined) return (name) => createFileStore(stores, name)
  const { createS3Store } = await import('../../services/platform/stores/s3-store.ts')
  const client = server.client()
  return (name) => createS3Store({ client, bucket: `${stores.slice('s3://'.length)}-${name}`, prefix: '' }, name)
}

const ASK_AGAIN_MS = 200

/** Asks servers until they answer: a broker that has just made a topic may not lead it yet, and a busy one takes its time. */
export async function patiently<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + PATIENCE_SECONDS * 1000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > deadline || !isWorthAnotherTry(error)) throw error
      await wait(ASK_AGAIN_MS)
    }
  }
}

function isWorthAnotherTry(error: unknown): boolean {
  if (error instanceof kafkajs.KafkaJSAggregateError) return error.errors.some(isWorthAnotherTry)
  if (error instanceof SluiceError && error.code === 'REGISTRY_UNREACHABLE') return true
  return isPassing(error) || isWithoutCoordinator(error)
}

/**
 * Asks by one connection for as long as it answers: tests ask often, and proving who one is takes longer than an answer. Only for brokers
 * that are not broken: those are asked anew each time.
 */
function createAsking(kafka: Kafka) {
  let connected: Promise<Admin> | null = null

  async function connect(): Promise<Admin> {
    const admin = kafka.admin()
    await admin.connect()
    return admin
  }

  async function close(): Promise<void> {
    const before = connected
    connected = null
    await before?.then((admin) => admin.disconnect()).catch(() => undefined)
  }

  return {
    async ask<Answer>(work: (admin: Admin) => Promise<Answer>): Promise<Answer> {
      connected ??= connect()
      try {
        return await work(await connected)
      } catch (error) {
        await close()
        throw error
      }
    },
    close,
  }
}

function policyText({
  lists = { 'stand-in': { mode: 'enforce', maxAgeHours: 168, leastMatchable: 0 } },
  payloadBytes = 8_388_608,
  pixels = 50_000_000,
  scanSeconds = 120,
  provenance = askNothing,
  flood = { entryItems: 1_000_000, versionItems: 1_000_000, minutes: 60 },
  shrink = { share: 1 },
}: BenchOptions): string {
  // JSON is YAML.
  return JSON.stringify({
    version: 1,
    limits: { payloadBytes, pixels, frames: 50, scanSeconds },
    pdq: { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } },
    lists,
    standings: { disputed: 'review', seed: 'review', negative: 'shadow', withdrawn: 'shadow' },
    flood,
    shrink,
    provenance,
    rights: { robots: 'off', tdmOptOut: 'off' },
  })
}

/** Provenance rules under which any item passes. */
export const askNothing: Policy['provenance'] = {
  supplyKind: 'count',
  kinds: { 'web-crawl': {}, licensed: {}, purchased: {}, partner: {}, synthetic: {} },
}

/** The provenance rules that are shipped. */
export function shippedProvenance(): Policy['provenance'] {
  return parsePolicy(readFileSync(POLICY_FILE, 'utf8'), POLICY_FILE).policy.provenance
}

/** Few and small enough for one request each. */
function inParts(messages: readonly Message[]): Message[][] {
  const parts: Message[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const message of messages) {
    const size = message.value?.length ?? 0
    if (bytes + size > 2_000_000 || parts.at(-1)?.length === 500) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(message)
    bytes += size
  }
  return parts
}

function tail(text: string): string {
  return text.split('\n').slice(-60).join('\n')
}

/** A producer of transactions on this bench, disconnected after the test. */
export async function openWriter(t: Pick<Scope, 'after'>, bench: Bench): Promise<Producer> {
  const producer = createKafka(bench.settings, 'writer').producer({
    transactionalId: `${bench.settings.prefix}writer`,
    maxInFlightRequests: 1,
    idempotent: true,
  })
  t.after(() => producer.disconnect())
  await producer.connect()
  return producer
}

type GroupOffsets = Awaited<ReturnType<Admin['fetchOffsets']>>[number]

function offsetIn(committed: GroupOffsets | undefined, partition: number): string | undefined {
  return committed?.partitions.find((each) => each.partition === partition)?.offset
}
