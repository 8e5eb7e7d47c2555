import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { principals } from '../services/domain/principals.ts'
import { topics } from '../services/domain/topics.ts'
import { shippedAccess } from './cluster/access/shipped-file.ts'

const services = join(import.meta.dirname, '../services')
const sources = readdirSync(services, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(join(services, file), 'utf8') }))

/** Every file that makes a producer. */
const producers = [
  'crawl/producer.ts',
  'gate/lanes.ts',
  'lists/import.ts',
  'recall/run.ts',
  'replay/lane.ts',
  'replay/runs-topic.ts',
  'replay/worker.ts',
]
const houseOf = (file: string): string => file.split('/')[0] ?? file

function filesWith(text: string | RegExp): string[] {
  return sources.filter((source) => source.text.search(text) >= 0).map(({ file }) => file)
}

test('producers are made in few places, and nothing is sent but by what they make', () => {
  assert.deepEqual(filesWith(/\.producer\(/).sort(), producers)
  // Below the client library's producer, nothing speaks Kafka's protocol for producing.
  assert.deepEqual(filesWith(/\.(produce|initProducerId|addPartitionsToTxn)\(/), [])
})

/** Every file that sends, and the topics that it sends to; a gate's lane's are in what the route step hands it. */
const senders: Readonly<Record<string, readonly string[]>> = {
  'crawl/producer.ts': ['DOOR'],
  'gate/lane.ts': [],
  'lists/import.ts': ['HASH_ENTRIES'],
  'recall/recalls.ts': ['RECALLS'],
  'replay/audit-topic.ts': ['AUDIT'],
  'replay/lane.ts': ['DOOR', 'RUNS'],
  'replay/runs-topic.ts': ['RUNS'],
  'replay/worker.ts': ['RUNS'],
}

test('each sends to the topics that are named beside it, and only a lane of the gate to others', () => {
  assert.deepEqual(filesWith(/\b(producer|transaction)\.(send|sendBatch)\(/).sort(), Object.keys(senders))
  for (const [sender, constants] of Object.entries(senders)) {
    const text = sources.find(({ file }) => file === sender)?.text ?? ''
    const named = [...text.matchAll(/\btopic(?:: | = )prefixed\([^,]+, ([A-Z_]+)\)/g)].map(([, name]) => name)
    assert.deepEqual([...new Set(named)].sort(), constants, `what ${sender} sends to`)
  }
})

test('the clean topic is named by the route step, which alone writes it, and by readers, whose folders make no producer', () => {
  const named = filesWith(/'gate\.clean'/).filter((file) => file !== 'domain/topics.ts')
  const writing = producers.map(houseOf)
  const both = named.filter((file) => writing.includes(houseOf(file)))
  assert.deepEqual(both, ['gate/route.ts'])
  const route = sources.find(({ file }) => file === 'gate/route.ts')?.text ?? ''
  assert.equal(
    [...route.matchAll(/'gate\.clean'/g)].length,
    2,
    'in the list of what a lane writes, and where it is sent',
  )
  assert.match(
    route,
    /if \(judgement\.outcome === 'clean'\) \{\s+await send\('gate\.clean', clear\(examined, objects\)\)/,
  )
})

test('nobody who sends makes up the name of a topic', () => {
  const makers = producers.map((file) => `${houseOf(file)}/`)
  const literal = /'(?:gate|crawl|replay)\.'|`\$\{[^}]+\}(?:gate|crawl|replay)\./
  const wrong = sources.filter(({ file, text }) => makers.some((maker) => file.startsWith(maker)) && literal.test(text))
  assert.deepEqual(
    wrong.map(({ file }) => file),
    [],
  )
  assert.ok(topics.includes('gate.clean'))
})

test('on the brokers nobody but the gate has the right to write it, and nobody is above rights but admin', () => {
  const { principals: all } = shippedAccess
  assert.deepEqual(
    principals.filter((principal) => all[principal].write.includes('gate.clean')),
    ['gate'],
  )
  assert.deepEqual(
    principals.filter((principal) => all[principal].super),
    ['admin'],
  )
})
