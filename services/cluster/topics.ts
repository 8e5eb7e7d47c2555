import { setTimeout as wait } from 'node:timers/promises'
import kafkajs, { type Admin, type ITopicMetadata } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { DOOR } from '../domain/topics.ts'
import { createKafka, withAdmin } from '../platform/kafka/client.ts'
import type { Settings } from '../platform/settings.ts'
import { type TopicsFile, type WantedTopic, wantedTopics } from './wanted-topics.ts'

/** One setting that was not as wanted and now is. */
export type TopicChange = { setting: string; from: string; to: string }

export type AppliedTopic = {
  /** With the prefix */
  name: string
  action: 'created' | 'changed' | 'unchanged'
  partitions: number
  replicationFactor: number
  changes: TopicChange[]
}

const OVERRIDDEN_ON_TOPIC = 1
const PATIENCE_MS = 120_000
const POLL_MS = 100

const newTopicErrors = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'])

/**
 * Makes the topics as the file says. Twice is once: what exists is compared, and set right where Kafka allows.
 * @param doorPartitions instead of the file's; may also add partitions to the door topic and all that follow it
 * @throws {SluiceError} TOPICS_MISSING when a topic has another number of partitions; BROKER_UNREACHABLE
 */
export function applyTopics(
  settings: Settings,
  file: TopicsFile,
  { doorPartitions = null }: { doorPartitions?: number | null } = {},
): Promise<AppliedTopic[]> {
  return withAdmin(createKafka(settings, 'sluice-topics'), async (admin) => {
    const { brokers } = await admin.describeCluster()
    const wanted = wantedTopics(file, { brokers: brokers.length, prefix: settings.prefix, doorPartitions })
    const created = await createMissing(admin, wanted)
    await agreeOnPartitions(admin, wanted, doorPartitions !== null)
    const found = await describe(admin, wanted)
    const applied: AppliedTopic[] = []
    for (const topic of wanted) applied.push(await setRight(admin, topic, found, created.has(topic.name)))
    return applied
  })
}

async function createMissing(admin: Admin, wanted: WantedTopic[]): Promise<Set<string>> {
  const existing = new Set(await admin.listTopics())
  const missing = wanted.filter((topic) => !existing.has(topic.name))
  if (missing.length === 0) return new Set()
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
  return new Set(missing.map(({ name }) => name))
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

/** Adds partitions where that was asked for. The door grows last: an input partition always has its outputs. */
async function agreeOnPartitions(admin: Admin, wanted: WantedTopic[], mayGrow: boolean): Promise<void> {
  const found = await describe(admin, wanted)
  const doorLast = wanted.toSorted((a, b) => Number(a.topic === DOOR) - Number(b.topic === DOOR))
  const differing = doorLast.filter((topic) => metadataOf(found, topic).partitions.length !== topic.partitions)
  for (const topic of differing) {
    const has = metadataOf(found, topic).partitions.length
    if (topic.followsDoor && mayGrow && has < topic.partitions) continue
    const cure = topic.followsDoor
      ? `the door topic and all that follow it have the same number; call with --partitions ${has}, or with a larger number to add some`
      : 'partitions can not be taken away, and adding some would move keys: correct infra/topics.yaml'
    throw new SluiceError(
      'TOPICS_MISSING',
      `${topic.name} has ${has} partitions instead of ${topic.partitions}: ${cure}`,
    )
  }
  for (const topic of differing) {
    await untilKnown(() =>
      admin.createPartitions({ topicPartitions: [{ topic: topic.name, count: topic.partitions }] }),
    )
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
}

async function setRight(
  admin: Admin,
  wanted: WantedTopic,
  found: ITopicMetadata[],
  created: boolean,
): Promise<AppliedTopic> {
  const { partitions } = metadataOf(found, wanted)
  const replicationFactor = Math.min(...partitions.map(({ replicas }) => replicas.length))
  const config = { ...wanted.config, 'min.insync.replicas': minInsync(wanted, replicationFactor) }
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: wanted.name }
  const answer = await untilKnown(() => admin.describeConfigs({ includeSynonyms: false, resources: [resource] }))
  const entries = answer.resources[0]?.configEntries ?? []
  const overrides = entries.filter(({ configSource }) => Number(configSource) === OVERRIDDEN_ON_TOPIC)
  const values = new Map(overrides.map(({ configName, configValue }) => [configName, configValue]))
  const changes = Object.entries(config)
    .filter(([setting, value]) => values.get(setting) !== value)
    .map(([setting, to]) => ({ setting, from: values.get(setting) ?? "the broker's default", to }))
  if (changes.length > 0) {
    // This call replaces every override, so those that we do not speak of go with it.
    const merged = { ...Object.fromEntries(values), ...config }
    const configEntries = Object.entries(merged).map(([name, value]) => ({ name, value }))
    await untilKnown(() => admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] }))
  }
  const action = created ? 'created' : changes.length > 0 ? 'changed' : 'unchanged'
  return {
    name: wanted.name,
    action,
    partitions: partitions.length,
    replicationFactor,
    changes: created ? [] : changes,
  }
}

/** More copies than a topic has can't be asked for: every write to it would be refused. */
function minInsync(wanted: WantedTopic, replicationFactor: number): string {
  return String(Math.min(Number(wanted.config['min.insync.replicas']), replicationFactor))
}

async function describe(admin: Admin, wanted: WantedTopic[]): Promise<ITopicMetadata[]> {
  const names = wanted.map(({ name }) => name)
  const { topics } = await untilKnown(() => admin.fetchTopicMetadata({ topics: names }))
  return topics
}

function metadataOf(found: ITopicMetadata[], wanted: WantedTopic): ITopicMetadata {
  const metadata = found.find(({ name }) => name === wanted.name)
  if (metadata === undefined)
    throw new SluiceError('TOPICS_MISSING', `${wanted.name} was made, but brokers do not know it yet`)
  return metadata
}
