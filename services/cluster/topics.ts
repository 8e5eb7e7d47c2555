import { setTimeout as wait } from 'node:timers/promises'
import kafkajs, { type Admin, type ITopicMetadata } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { DOOR, prefixed, topics } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import type { Settings } from '../platform/settings.ts'
import { compareTopic, PARTITIONS, type PlannedTopic } from './compare-topic.ts'
import { type TopicsFile, type WantedTopic, wantedTopics } from './wanted-topics.ts'

export type AppliedTopic = Pick<PlannedTopic, 'name' | 'partitions' | 'replicationFactor' | 'changes'> & {
  action: 'created' | 'changed' | 'unchanged'
}

export type TopicsOptions = {
  /** instead of the file's; may also add partitions to the door topic and all that follow it */
  doorPartitions?: number | null
}

const OVERRIDDEN_ON_TOPIC = 1
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
 * @throws {SluiceError} TOPICS_MISSING when a topic has another number of partitions or too few copies, or would be made with too few since
 *   brokers are away; BROKER_UNREACHABLE
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
    await describe(
      admin,
      missing.map(({ name }) => name),
    )
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
  const answering = (await admin.describeCluster()).brokers.map(({ nodeId }) => nodeId)
  const existing = new Set(await admin.listTopics())
  const ours = topics.map((topic) => prefixed(settings.prefix, topic)).filter((name) => existing.has(name))
  const metadata = new Map((await describe(admin, ours)).map((topic) => [topic.name, topic]))
  const mostCopies = Math.max(0, ...metadata.values().map(copiesOf))
  // Brokers that are away for a while belong to the cluster all the same.
  const brokers = Math.max(answering.length, mostCopies)
  const wanted = wantedTopics(file, { brokers, prefix: settings.prefix, doorPartitions })
  const away = brokersOf(metadata.values()).filter((id) => !answering.includes(id))
  const now = { answering: answering.length, away, mayGrow: doorPartitions !== null }
  const compared: Compared[] = []
  for (const topic of wanted) {
    const known = metadata.get(topic.name)
    const overrides = known === undefined ? {} : await overridesOf(admin, topic.name)
    const found =
      known === undefined ? null : { partitions: known.partitions.length, copies: copiesOf(known), overrides }
    compared.push({ ...compareTopic(topic, found, now), overrides })
  }
  return { wanted, compared }
}

/** As many as its partition with the fewest has, in sync or not. */
function copiesOf({ partitions }: ITopicMetadata): number {
  return Math.min(...partitions.map(({ replicas }) => replicas.length))
}

/** The ids of all that have copies, in order. */
function brokersOf(found: Iterable<ITopicMetadata>): number[] {
  const ids = [...found].flatMap(({ partitions }) => partitions.flatMap(({ replicas }) => replicas))
  return [...new Set(ids)].sort((a, b) => a - b)
}

/** Settings of the topic's own, ours or not. */
async function overridesOf(admin: Admin, name: string): Promise<Record<string, string>> {
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name }
  const answer = await untilKnown(() => admin.describeConfigs({ includeSynonyms: false, resources: [resource] }))
  const entries = answer.resources[0]?.configEntries ?? []
  const own = entries.filter(({ configSource }) => Number(configSource) === OVERRIDDEN_ON_TOPIC)
  return Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]))
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
  while (metadataOf(await describe(admin, [topic.name]), topic).partitions.length !== topic.partitions) {
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

async function describe(admin: Admin, names: readonly string[]): Promise<ITopicMetadata[]> {
  // Asked for none, the client library tells of all.
  if (names.length === 0) return []
  return (await untilKnown(() => admin.fetchTopicMetadata({ topics: [...names] }))).topics
}

function metadataOf(found: readonly ITopicMetadata[], wanted: WantedTopic): ITopicMetadata {
  const metadata = found.find(({ name }) => name === wanted.name)
  if (metadata === undefined)
    throw new SluiceError('TOPICS_MISSING', `${wanted.name} was made, but brokers do not know it yet`)
  return metadata
}
