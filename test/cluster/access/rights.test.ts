import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import kafkajs, { type Kafka } from 'kafkajs'
import pLimit from 'p-limit'
import { applyAccess } from '../../../services/cluster/access/access.ts'
import { applyTopics } from '../../../services/cluster/topics.ts'
import { type Principal, principals } from '../../../services/domain/principals.ts'
import { type Topic, topics } from '../../../services/domain/topics.ts'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { followTopic } from '../../../services/platform/kafka/follow-topic.ts'
import { isRefusal, isWithoutCoordinator } from '../../../services/platform/kafka/kafka-failure.ts'
import { withPartitionReader } from '../../../services/platform/kafka/partition-reader.ts'
import { topicSettings } from '../../../services/platform/kafka/topic-settings.ts'
import type { Settings } from '../../../services/platform/settings.ts'
import { openScope } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'
import { shippedTopics } from '../shipped-topics.ts'
import { openSecuredBroker, type SecuredBroker } from './secured-broker.ts'
import { shippedAccess } from './shipped-file.ts'

/**
 * Who may write and read each topic, said once more beside `infra/access.yaml`: everybody who is not here is refused. A new topic is missing here until
 * somebody has thought about it; the super user may do everything.
 */
const mayWrite: Record<Topic, Principal[]> = {
  'crawl.items': ['crawler', 'replay'],
  'gate.clean': ['gate'],
  'gate.quarantine': ['gate'],
  'gate.review': ['gate'],
  'gate.verdicts': ['gate'],
  'gate.envelopes': ['gate'],
  'gate.hash-entries': ['lists'],
  'gate.decisions': ['review'],
  'gate.recalls': ['recall'],
  'replay.runs': ['replay', 'on-call'],
  'replay.audit': ['replay'],
}
const mayRead: Record<Topic, Principal[]> = {
  'crawl.items': ['gate'],
  'gate.clean': ['trainer', 'reports'],
  'gate.quarantine': ['gate', 'lists', 'replay', 'review'],
  'gate.review': ['gate', 'lists', 'replay', 'review'],
  'gate.verdicts': ['gate', 'lists', 'replay', 'review', 'recall', 'on-call', 'reports'],
  'gate.envelopes': ['replay', 'review', 'recall', 'reports'],
  'gate.hash-entries': ['gate', 'lists', 'recall', 'on-call'],
  'gate.decisions': ['gate', 'review'],
  'gate.recalls': ['trainer', 'recall', 'on-call', 'reports'],
  'replay.runs': ['replay', 'on-call'],
  'replay.audit': ['replay', 'on-call', 'reports'],
}
/** Groups and transactional ids, by how one of them is named. */
const mayBeGroup: Record<string, Principal[]> = { gate: ['gate'], 'replay-1': [], 'trainer-1': ['trainer'] }
const mayBeTransaction = (id: string): Principal[] => {
  if (id.startsWith('replay-')) return ['replay']
  return id.startsWith('gate-') ? ['gate'] : []
}
const mayReadSettings: Principal[] = ['crawler', 'gate', 'replay']

const PREFIX = 'p.'
const forgetful = {
  type: kafkajs.ConfigResourceTypes.TOPIC,
  name: `${PREFIX}gate.clean`,
  configEntries: [{ name: 'retention.ms', value: '1' }],
}
const ONE_COORDINATOR = 'offsets.topic.num.partitions=1\ntransaction.state.log.num.partitions=1'
const scope = openScope('rights')
let broker: SecuredBroker

before(async () => {
  broker = await openSecuredBroker(scope, { lines: ONE_COORDINATOR })
  const admin = broker.settingsOf('admin', PREFIX)
  await applyTopics(admin, shippedTopics, { doorPartitions: 1 })
  await applyAccess(admin, shippedAccess)
  // A new broker's coordinators are not there at once, which a client can't tell from being refused.
  await waitFor('the coordinators are there', () =>
    Promise.all([beGroup(clientOf('admin'), 'any'), beTransaction(clientOf('admin'), 'any')]).then(
      () => true,
      () => false,
    ),
  )
})
after(() => scope.close())

function clientOf(who: Principal): Kafka {
  return createKafka(broker.settingsOf(who, PREFIX), who, undefined, { retries: 3, initialRetryTime: 50 })
}

/**
 * Whether the brokers let it happen; what fails for another reason is tried again.
 * @param wanted whether they should: a coordinator that is not found is then one that is slow to answer
 * @throws what goes on failing
 */
async function isAllowed(act: () => Promise<unknown>, wanted: boolean): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      await act()
      return true
    } catch (error) {
      if (isRefused(error) && !(wanted && isWithoutCoordinator(error) && attempt < 20)) return false
      if (attempt === 20) throw error
    }
    await wait(100)
  }
}

function isRefused(error: unknown): boolean {
  if (error instanceof kafkajs.KafkaJSAggregateError) return error.errors.every(isRefused)
  const what = ['TOPIC', 'GROUP', 'TRANSACTIONAL_ID', 'CLUSTER']
  return what.some((each) => isRefusal(error, `${each}_AUTHORIZATION_FAILED`)) || isWithoutCoordinator(error)
}

async function write(kafka: Kafka, topic: Topic, idempotent: boolean): Promise<void> {
  const producer = kafka.producer({ idempotent, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  await producer.connect()
  try {
    await producer.send({ topic: PREFIX + topic, acks: -1, messages: [{ key: 'a', value: null }] })
  } finally {
    await producer.disconnect()
  }
}

async function beGroup(kafka: Kafka, groupId: string): Promise<void> {
  const consumer = kafka.consumer({
    groupId: PREFIX + groupId,
    maxWaitTimeInMs: 20,
    retry: { retries: 0 },
    allowAutoTopicCreation: false,
  })
  const joined = Promise.withResolvers<void>()
  consumer.on(consumer.events.GROUP_JOIN, () => joined.resolve())
  consumer.on(consumer.events.CRASH, ({ payload }) => joined.reject(payload.error))
  try {
    await consumer.connect()
    // Of no topic: the group alone is asked for.
    await consumer.run({ eachMessage: async () => undefined })
    await joined.promise
  } finally {
    await consumer.disconnect()
  }
}

async function beTransaction(kafka: Kafka, id: string): Promise<void> {
  const producer = kafka.producer({ transactionalId: PREFIX + id, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    const transaction = await producer.transaction()
    await transaction.abort()
  } finally {
    await producer.disconnect()
  }
}

/** By the same way as the commands read: to the end, with a group for this one reading. */
async function follow(kafka: Kafka, topic: Topic): Promise<void> {
  const failed = Promise.withResolvers<never>()
  const follower = followTopic({ kafka, topic: PREFIX + topic, onRecord: () => undefined, onTrouble: failed.reject })
  try {
    await Promise.race([follower.reachedEnd, failed.promise])
  } finally {
    await follower.stop()
  }
}

test('the table names every topic and every principal, and nobody else', () => {
  for (const table of [mayWrite, mayRead]) assert.deepEqual(Object.keys(table), topics)
  const named = new Set<string>([mayWrite, mayRead].flatMap((table) => Object.values(table).flat()))
  assert.deepEqual([...named, 'admin'].sort(), principals.toSorted())
})

for (const who of principals) {
  test(`as ${who}: what is allowed works, and all else is refused by the broker`, async () => {
    const kafka = clientOf(who)
    const allowed = (list: readonly Principal[]): boolean => who === 'admin' || list.includes(who)
    type Act = { act: string; work: () => Promise<unknown>; wanted: boolean }
    const acts: Act[] = [
      ...topics.flatMap((topic): Act[] => {
        const [writes, reads] = [allowed(mayWrite[topic]), allowed(mayRead[topic])]
        const peek = () => withPartitionReader(kafka, (reader) => reader.at(PREFIX + topic, 0, 0))
        return [
          // What is allowed as the commands do it, what is refused in the simplest way there is.
          { act: `write ${topic}`, work: () => write(kafka, topic, writes), wanted: writes },
          { act: `read ${topic}`, work: reads ? () => follow(kafka, topic) : peek, wanted: reads },
          {
            act: `look at the settings of ${topic}`,
            work: () => withAdmin(kafka, (admin) => topicSettings(admin, PREFIX + topic, ['retention.ms'])),
            wanted: who === 'admin' || (topic === 'crawl.items' && mayReadSettings.includes(who)),
          },
        ]
      }),
      ...Object.entries(mayBeGroup).map(([name, list]) => {
        return { act: `be group ${name}`, work: () => beGroup(clientOf(who), name), wanted: allowed(list) }
      }),
      ...['gate-p.crawl.items-0', `${who}-1`].map((id) => {
        const work = () => beTransaction(clientOf(who), id)
        return { act: `be transactional id ${id}`, work, wanted: allowed(mayBeTransaction(id)) }
      }),
      {
        act: 'make a topic',
        work: () => withAdmin(kafka, (admin) => admin.createTopics({ topics: [{ topic: `${PREFIX}${who}` }] })),
        wanted: who === 'admin',
      },
      {
        act: 'change how long a topic is kept',
        work: () => withAdmin(kafka, (admin) => admin.alterConfigs({ validateOnly: true, resources: [forgetful] })),
        wanted: who === 'admin',
      },
    ]
    const limit = pLimit(8)
    const found = await Promise.all(
      acts.map(({ act, work, wanted }) =>
        limit(async () =>
          (await isAllowed(work, wanted)) === wanted ? [] : [`${wanted ? 'refused' : 'allowed'}: ${act}`],
        ),
      ),
    )
    const wrong = found.flat()
    assert.deepEqual(wrong, [])
  })
}

test('nobody is anonymous, or somebody else: without a password, or with a wrong one, all is refused', async () => {
  const isTurnedAway = (settings: Settings): Promise<void> =>
    assert.rejects(
      withAdmin(createKafka(settings, 'stranger', undefined, { retries: 0 }), (admin) => admin.listTopics()),
      ({ message, cause }: Error) => /Closed connection|SASL|authentication/i.test(`${message} ${String(cause)}`),
    )
  await isTurnedAway(broker.settingsOf(null))
  const settings = broker.settingsOf('gate')
  for (const sasl of [
    { mechanism: 'scram-sha-512', username: 'admin', password: settings.sasl?.password ?? '' },
    { mechanism: 'scram-sha-512', username: 'nobody', password: 'none' },
    { mechanism: 'plain', username: 'admin', password: 'none' },
  ] as const) {
    await isTurnedAway({ ...settings, sasl })
  }
})
