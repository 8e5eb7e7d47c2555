import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import kafkajs from 'kafkajs'
import { compareTopic } from '../../services/cluster/compare-topic.ts'
import { applyTopics, planTopics } from '../../services/cluster/topics.ts'
import { parseTopicsFile, wantedTopics } from '../../services/cluster/wanted-topics.ts'
import { topics } from '../../services/domain/topics.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import type { Settings } from '../../services/platform/settings.ts'
import { startSluice } from '../integration/gate-process.ts'
import { patiently, sweep } from '../integration/harness.ts'
import { adminSettings, environmentOf, sharedStack } from '../integration/shared-stack.ts'
import { waitFor } from '../integration/waiting.ts'

const text = readFileSync(join(import.meta.dirname, '../../infra/topics.yaml'), 'utf8')
const file = parseTopicsFile(text, 'topics.yaml')

/** Settings with a prefix of their own; the topics are deleted after the test. */
function ownPrefix(t: TestContext): Settings {
  const prefix = `t-${randomBytes(5).toString('hex')}.`
  const settings = adminSettings(sharedStack(), { SLUICE_PREFIX: prefix })
  t.after(() => sweep(settings))
  return settings
}

for (const { fault, change, message } of [
  { fault: 'broken YAML', change: 'topics:\n  x: [', message: /^topics\.yaml, line \d+: not valid YAML/ },
  {
    fault: 'a misspelt field',
    change: text.replace('kept: 7d', 'kepd: 7d'),
    message: /line \d+, topics > crawl\.items > /,
  },
  {
    fault: 'an unknown duration',
    change: text.replace('kept: 7d', 'kept: 7w'),
    message: /crawl\.items > kept: expected days/,
  },
  { fault: 'an unknown topic', change: text.replace('gate.clean:', 'gate.cleen:'), message: /gate\.cleen|gate\.clean/ },
  {
    fault: 'a door with its own number',
    change: text.replace('partitions: door', 'partitions: 3'),
    message: /doorPartitions/,
  },
]) {
  test(`a topics file with ${fault} is refused with file, line and field`, () => {
    assert.throws(() => parseTopicsFile(change, 'topics.yaml'), { code: 'CONFIG_INVALID', message })
  })
}

test('copies and confirmations fit the number of brokers', () => {
  const on = (brokers: number) => wantedTopics(file, { brokers, prefix: '', doorPartitions: null })[0]
  assert.deepEqual(
    [1, 2, 3, 5].map((brokers) => [on(brokers)?.replicationFactor, on(brokers)?.config['min.insync.replicas']]),
    [
      [1, '1'],
      [2, '2'],
      [3, '2'],
      [3, '2'],
    ],
  )
})

for (const { of, brokers, answering, copies, minInsync, promise } of [
  { of: 'as it was made', brokers: 3, answering: 3, copies: 3, minInsync: '2', promise: ['none', [], null] },
  { of: 'with one broker away', brokers: 3, answering: 2, copies: 3, minInsync: '2', promise: ['none', [], null] },
  { of: 'with two brokers away', brokers: 3, answering: 1, copies: 3, minInsync: '2', promise: ['none', [], null] },
  {
    of: 'that was lowered meanwhile',
    brokers: 3,
    answering: 1,
    copies: 3,
    minInsync: '1',
    promise: ['change', ['1 → 2'], null],
  },
  {
    of: 'with fewer copies than there are brokers',
    brokers: 3,
    answering: 3,
    copies: 2,
    minInsync: '2',
    promise: ['impossible', [], /2 instead of 3 copies: .*kafka-reassign-partitions/],
  },
  {
    of: 'with fewer copies than others have, with one broker away',
    brokers: 3,
    answering: 2,
    copies: 2,
    minInsync: '2',
    promise: ['impossible', [], /2 instead of 3 copies/],
  },
  {
    of: 'with fewer copies than a write shall have',
    brokers: 2,
    answering: 2,
    copies: 1,
    minInsync: '2',
    promise: ['impossible', ['2 → 1'], /1 instead of 2 copies/],
  },
  { of: 'on one broker', brokers: 1, answering: 1, copies: 1, minInsync: '1', promise: ['none', [], null] },
  {
    of: 'that is missing',
    brokers: 3,
    answering: 3,
    copies: null,
    minInsync: '',
    promise: ['create', [], null],
  },
  {
    of: 'that is missing, with a broker away',
    brokers: 3,
    answering: 2,
    copies: null,
    minInsync: '',
    promise: ['impossible', [], /2 instead of the 3 copies that other topics have: start .*\(3\)/],
  },
] as const) {
  test(`what is to do for a topic ${of} follows from its own copies, and not from who answers`, () => {
    const wanted = wantedTopics(file, { brokers, prefix: '', doorPartitions: null })[0]
    assert.ok(wanted)
    const overrides = { ...wanted.config, 'min.insync.replicas': minInsync }
    const found = copies === null ? null : { partitions: wanted.partitions, copies, overrides }
    const away = [1, 2, 3].slice(answering, brokers)
    const { action, changes, problem } = compareTopic(wanted, found, { answering, away, mayGrow: false })
    const [wantedAction, wantedChanges, sentence] = promise
    assert.deepEqual([action, changes.map(({ from, to }) => `${from} → ${to}`)], [wantedAction, wantedChanges])
    if (sentence === null) assert.equal(problem, null)
    else assert.match(problem ?? '', sentence)
  })
}

test('of a topic that keeps more copies than the file wants, a write needs as many as before', () => {
  const [wanted] = wantedTopics({ ...file, replicationFactor: 1 }, { brokers: 3, prefix: '', doorPartitions: null })
  assert.ok(wanted)
  const overrides = { ...wanted.config, 'min.insync.replicas': '2' }
  const found = { partitions: wanted.partitions, copies: 3, overrides }
  assert.equal(compareTopic(wanted, found, { answering: 3, away: [], mayGrow: false }).action, 'none')
})

test('every output of the gate has as many partitions as the door', () => {
  const wanted = wantedTopics(file, { brokers: 1, prefix: '', doorPartitions: 7 })
  const following = wanted.filter(({ partitions }) => partitions === 7).map(({ topic }) => topic)
  assert.deepEqual(following, [
    'crawl.items',
    'gate.clean',
    'gate.quarantine',
    'gate.review',
    'gate.verdicts',
    'gate.envelopes',
    'replay.runs',
  ])
})

test('applying twice creates once and then changes nothing', async (t) => {
  const settings = ownPrefix(t)
  const actions = (applied: Array<{ action: string }>) => [...new Set(applied.map(({ action }) => action))]
  assert.deepEqual(actions(await applyTopics(settings, file)), ['created'])
  const again = await applyTopics(settings, file)
  assert.deepEqual(actions(again), ['unchanged'])
  assert.deepEqual(
    again.map(({ name }) => name),
    topics.map((topic) => settings.prefix + topic),
  )
})

test('the plan says by its exit code whether there is something to do', async (t) => {
  const settings = ownPrefix(t)
  const environment = { ...environmentOf(sharedStack()), SLUICE_PREFIX: settings.prefix }
  const plan = async () => {
    const command = startSluice(['topics', 'plan', '--json'], environment)
    const { code } = await command.ended
    return { code, actions: new Set(JSON.parse(command.stdout()).map(({ action }: { action: string }) => action)) }
  }
  assert.deepEqual(await plan(), { code: 1, actions: new Set(['create']) })
  await patiently(() => applyTopics(settings, file))
  assert.deepEqual(await plan(), { code: 0, actions: new Set(['none']) })
})

test('a setting that differs is set right, and settings of others are left alone', async (t) => {
  const settings = ownPrefix(t)
  await patiently(() => applyTopics(settings, file))
  const name = `${settings.prefix}crawl.items`
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name }
  await withAdmin(createKafka(settings, 'test'), async (admin) => {
    const configEntries = [
      { name: 'compression.type', value: 'gzip' },
      { name: 'segment.ms', value: '1234567' },
    ]
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] })
    // Brokers hear of a change only after the controller has taken it.
    const untilCompressedAs = async (wanted: string) => {
      return await waitFor(`compression.type becomes ${wanted}`, async () => {
        const configNames = ['compression.type', 'segment.ms', 'message.timestamp.type', 'retention.ms']
        const answer = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ ...resource, configNames }],
        })
        const entries = answer.resources[0]?.configEntries ?? []
        const values = Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]))
        return values['compression.type'] === wanted && values
      })
    }
    await untilCompressedAs('gzip')
    const door = (await applyTopics(settings, file)).find((topic) => topic.name === name)
    assert.equal(door?.action, 'changed')
    assert.deepEqual(
      door?.changes.find(({ setting }) => setting === 'compression.type'),
      { setting: 'compression.type', from: 'gzip', to: 'uncompressed' },
    )
    assert.deepEqual(await untilCompressedAs('uncompressed'), {
      'compression.type': 'uncompressed',
      'segment.ms': '1234567',
      'message.timestamp.type': 'LogAppendTime',
      'retention.ms': '604800000',
    })
  })
})

test('another number of partitions is an error; more of them are made only when asked for, fewer never', async (t) => {
  const settings = ownPrefix(t)
  await patiently(() => applyTopics(settings, file, { doorPartitions: 2 }))
  await assert.rejects(applyTopics(settings, file), { code: 'TOPICS_MISSING', message: /2 partitions instead of 4/ })
  await assert.rejects(applyTopics(settings, file, { doorPartitions: 1 }), { code: 'TOPICS_MISSING' })
  const grown = await applyTopics(settings, file, { doorPartitions: 3 })
  assert.deepEqual([...new Set(grown.map(({ partitions }) => partitions))], [3, 1])
})

test('a plan tells what apply would do, changes nothing, and has nothing to tell afterwards', async (t) => {
  const settings = ownPrefix(t)
  const actions = async (options = {}) => [
    ...new Set((await planTopics(settings, file, options)).map(({ action }) => action)),
  ]
  assert.deepEqual(await actions(), ['create'])
  assert.deepEqual(await actions(), ['create'], 'nothing was made')
  await patiently(() => applyTopics(settings, file, { doorPartitions: 2 }))
  assert.deepEqual(await actions({ doorPartitions: 2 }), ['none'])
  const [door] = await planTopics(settings, file, { doorPartitions: 3 })
  assert.deepEqual(door?.changes, [{ setting: 'partitions', from: '2', to: '3' }])
  assert.equal(door?.action, 'change')
  const [asFile] = await planTopics(settings, file)
  assert.equal(asFile?.action, 'impossible')
  assert.match(asFile?.problem ?? '', /2 partitions instead of 4/)
  const strict = { ...file, topics: { ...file.topics, 'gate.recalls': { ...file.topics['gate.recalls'], kept: '3d' } } }
  const recalls = (await planTopics(settings, strict)).find(({ name }) => name.endsWith('gate.recalls'))
  assert.deepEqual(
    recalls?.changes.map(({ setting }) => setting),
    ['cleanup.policy', 'retention.ms'],
  )
})
