import { setTimeout as wait } from 'node:timers/promises'
import kafkajs, { type Admin, type ITopicMetadata } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { DOOR } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import type { Settings } from '../platform/settings.ts'
import { type TopicsFile, type WantedTopic, wantedTopics } from './wanted-topics.ts'

/** One setting that is not as wanted. */
export type TopicChange = { setting: string; from: string; to: string }

/** A topic as it is, held against what it shall be. */
export type PlannedTopic = {
  /** With the prefix */
  name: string
  /** `impossible`: it differs in what can't be set right, or not without being asked for */
  action: 'create' | 'change' | 'impossible' | 'none'
  /** as it shall have */
  partitions: number
  /** as it has, or will be made with */
  replicationFactor: number
  /** what is not as wanted of a topic that exists */
  changes: TopicChange[]
  /** what stands in the way and what to do; null where nothing does */
  problem: string | null
}

export type AppliedTopic = Pick<PlannedTopic, 'name' | 'partitions' | 'replicationFactor' | 'changes'> & {
  action: 'created' | 'changed' | 'unchanged'
}

export type TopicsOptions = {
  /** instead of the file's; may also add partitions to the door topic and all that follow it */
  doorPartitions?: number | null
}

const OVERRIDDEN_ON_TOPIC = 1
const PARTITIONS = 'partitions'
const PATIENCE_MS = 120_000
const POLL_MS = 100

const newTopicErrors = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'])

/**
 * Holds the topics on the cluster against the file; changes nothing.
 * @throws {SluiceError} BROKER_UNREACHABLE
 */
export function planTopics(settings: Settings, file: TopicsFile, options: TopicsOptions = {}): Promise<PlannedTopic[]> {
  return withAdmin(createKafka(settings, 'sluice-topics'), async (admin) => {
    const { compared } = await compareAll(admin, settings, file, options)
    return compared.map(({ overrides, ...planned }) => planned)
  })
}

/**
 * Makes the topics as the file says. Twice is once: what exists is compared, and set right where Kafka allows.
 * @throws {SluiceError} TOPICS_MISSING when a topic has another number of partitions; BROKER_UNREACHABLE
 */
export function applyTopics(
  settings: Settings,
  file: TopicsFile,
  options: TopicsOptions = {},
): Promise<AppliedTopic[]> {
  return withAdmin(createKafka(settings, 'sluice-topics'), async (admin) => {
    const { wanted, compared } = await compareAll(admin, settings, file, options)
    const problem = compared.find((each) => each.problem !== null)?.problem
    if (problem) throw new SluiceError('TOPICS_MISSING', problem)
    const isTo = (action: PlannedTopic['action']) => (topic: WantedTopic) =>
      compared.some((each) => each.name === topic.name && each.action === action)
    const missing = wanted.filter(isTo('create'))
    await create(admin, missing)
    // Whoever goes on from here finds them.
    if (missing.length > 0) await describe(admin, missing)
    const growing = wanted.filter(({ name }) =>
      compared.some((each) => each.name === name && each.changes.some(({ setting }) => setting === PARTITIONS)),
    )
    // The door grows last: an input partition always has its outputs.
    for (const topic of growing.toSorted((a, b) => Number(a.topic === DOOR) - Number(b.topic === DOOR))) {
      await grow(admin, topic)
    }
    for (const each of compared) await setRight(admin, each)
    const done = { create: 'created', change: 'changed', none: 'unchanged', impossible: 'unchanged' } as const
    return compared.map(({ name, action, partitions, replicationFactor, changes }) => {
      return { name, action: done[action], partitions, replicationFactor, changes }
    })
  })
}

type Compared = PlannedTopic & { /** settings of the topic's own, ours or not */ overrides: Record<string, string> }

/** Each topic of the file, as it is; in the file's order. */
async function compareAll(
  admin: Admin,
  settings: Settings,
  file: TopicsFile,
  { doorPartitions = null }: TopicsOptions,
): Promise<{ wanted: WantedTopic[]; compared: Compared[] }> {
  const { brokers } = await admin.describeCluster()
  const wanted = wantedTopics(file, { brokers: brokers.length, prefix: settings.prefix, doorPartitions })
  const existing = new Set(await admin.listTopics())
  const found = await describe(
    admin,
    wanted.filter(({ name }) => existing.has(name)),
  )
  const compared: Compared[] = []
  for (const topic of wanted) {
    const metadata = found.find(({ name }) => name === topic.name)
    compared.push(
      metadata === undefined ? missingTopic(topic) : await compare(admin, topic, metadata, doorPartitions !== null),
    )
  }
  return { wanted, compared }
}

function missingTopic({ name, partitions, replicationFactor }: WantedTopic): Compared {
  return { name, action: 'create', partitions, replicationFactor, changes: [], problem: null, overrides: {} }
}

async function compare(admin: Admin, wanted: WantedTopic, found: ITopicMetadata, mayGrow: boolean): Promise<Compared> {
  const { name, partitions } = wanted
  const replicationFactor = Math.min(...found.partitions.map(({ replicas }) => replicas.length))
  const config = { ...wanted.config, 'min.insync.replicas': minInsync(wanted, replicationFactor) }
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name }
  const answer = await untilKnown(() => admin.describeConfigs({ includeSynonyms: false, resources: [resource] }))
  const entries = answer.resources[0]?.configEntries ?? []
  const own = entries.filter(({ configSource }) => Number(configSource) === OVERRIDDEN_ON_TOPIC)
  const overrides = Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]))
  const changes = Object.entries(config)
    .filter(([setting, value]) => overrides[setting] !== value)
    .map(([setting, to]) => ({ setting, from: overrides[setting] ?? "the broker's default", to }))
  const has = found.partitions.length
  if (has !== partitions) changes.unshift({ setting: PARTITIONS, from: String(has), to: String(partitions) })
  const problem = has === partitions ? null : problemOf(wanted, has, mayGrow)
  const action = problem !== null ? 'impossible' : changes.length > 0 ? 'change' : 'none'
  return { name, action, partitions, replicationFactor, changes, problem, overrides }
}

/** Why a topic with another number of partitions stays as it is; null where the wanted ones can be added. */
function problemOf({ name, followsDoor, partitions }: WantedTopic, has: number, mayGrow: boolean): string | null {
  if (followsDoor && mayGrow && has < partitions) return null
  const cure = followsDoor
    ? `the door topic and all that follow it have the same number; call with --partitions ${has}, or with a larger number to add some`
    : 'partitions can not be taken away, and adding some would move keys: correct infra/topics.yaml'
  return `${name} has ${has} partitions instead of ${partitions}: ${cure}`
}

async function create(admin: Admin, missing: readonly WantedTopic[]): Promise<void> {
  if (missing.length === 0) return
  await admin.createTopics({
    // The client library's own waiting gives up at once where a broker has not heard of the topic yet.
    waitForLeaders: false,
    topics: missing.map(({ name, partitions, replicationFactor, config }) => ({
      topic: name,
      numPartitions: partitions,
      replicationFactor,
      configEntries: Object.entries(config).map(([setting, value]) => ({ name: setting, value })),
    })),
  })
}

/**
 * Asks again where a broker does not know a topic. Brokers hear of a new one each in their own time, and each question
 * may go to another of them: that one has answered says nothing of the next.
 */
async function untilKnown<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const isNews = error instanceof kafkajs.KafkaJSProtocolError && newTopicErrors.has(error.type)
      if (!isNews || performance.now() > deadline) throw error
    }
    await wait(POLL_MS)
  }
}

async function grow(admin: Admin, topic: WantedTopic): Promise<void> {
  await untilKnown(() => admin.createPartitions({ topicPartitions: [{ topic: topic.name, count: topic.partitions }] }))
  // Brokers hear of it one after the other, and the door must not grow before its outputs have.
  const deadline = performance.now() + PATIENCE_MS
  while (metadataOf(await describe(admin, [topic]), topic).partitions.length !== topic.partitions) {
    if (performance.now() > deadline) {
      throw new SluiceError(
        'TOPICS_MISSING',
        `${topic.name} did not grow to ${topic.partitions} partitions in time: call again`,
      )
    }
    await wait(POLL_MS)
  }
}

async function setRight(admin: Admin, { name, changes, overrides }: Compared): Promise<void> {
  const config = changes.filter(({ setting }) => setting !== PARTITIONS)
  if (config.length === 0) return
  // This call replaces every override, so those that we do not speak of go with it.
  const merged = { ...overrides, ...Object.fromEntries(config.map(({ setting, to }) => [setting, to])) }
  const configEntries = Object.entries(merged).map(([setting, value]) => ({ name: setting, value }))
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name, configEntries }
  await untilKnown(() => admin.alterConfigs({ validateOnly: false, resources: [resource] }))
}

/** More copies than a topic has can't be asked for: every write to it would be refused. */
function minInsync(wanted: WantedTopic, replicationFactor: number): string {
  return String(Math.min(Number(wanted.config['min.insync.replicas']), replicationFactor))
}

async function describe(admin: Admin, wanted: readonly WantedTopic[]): Promise<ITopicMetadata[]> {
  // Asked for none, the client library tells of all.
  if (wanted.length === 0) return []
  const names = wanted.map(({ name }) => name)
  const { topics } = await untilKnown(() => admin.fetchTopicMetadata({ topics: names }))
  return topics
}

function metadataOf(found: readonly ITopicMetadata[], wanted: WantedTopic): ITopicMetadata {
  const metadata = found.find(({ name }) => name === wanted.name)
  if (metadata === undefined)
    throw new SluiceError('TOPICS_MISSING', `${wanted.name} was made, but brokers do not know it yet`)
  return metadata
}
