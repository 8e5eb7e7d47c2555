import assert from 'node:assert/strict'
import test from 'node:test'
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import avro from 'avsc'
import { emptyEnvelope } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import type { CrawlItem, VerdictRecord } from '../../services/domain/records.ts'
import { subjectOf } from '../../services/domain/topics.ts'
import { schemaText } from '../../services/platform/avro.ts'
import { createRegistry } from '../../services/platform/registry.ts'
import { heldVerdict, nearMatch } from '../replay/held.ts'
import { openBench } from './harness.ts'
import { crawlItem } from './items.ts'

type Fields = Array<{ name: string; type: unknown; default?: unknown }>

const door = 'crawl.items'
const code = (expected: string) => (error: unknown) => error instanceof SluiceError && error.code === expected

/** A changed version of the door's schema: fields taken away from, or added to, the envelope. */
function changed(change: (fields: Fields) => Fields): string {
  const schema: { fields: [{ type: { fields: Fields } }] } = JSON.parse(schemaText('crawl-item'))
  schema.fields[0].type.fields = change(schema.fields[0].type.fields)
  return JSON.stringify(schema)
}

function message(id: number, schema: string, value: unknown): Buffer {
  const header = Buffer.alloc(5)
  header.writeInt32BE(id, 1)
  return Buffer.concat([header, avro.Type.forSchema(JSON.parse(schema)).toBuffer(value)])
}

test('a message is read by its writer`s schema: what we do not know is kept, what it lacks is null', async (t) => {
  const { settings, registry } = await openBench(t)
  const client = new SchemaRegistry({ host: settings.registry })
  const subject = subjectOf(settings.prefix, door)
  const register = async (schema: string): Promise<number> =>
    (
      await client.register(
        { type: SchemaType.AVRO, schema },
        { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
      )
    ).id

  const mood = {
    name: 'mood',
    type: ['null', { type: 'record', name: 'Mood', fields: [{ name: 'word', type: 'string' }] }],
    default: null,
  }
  const newer = changed((fields) => [...fields, mood])
  const newerId = await register(newer)
  const envelope = { ...emptyEnvelope(), item: { id: 'a', mediaTypeClaimed: null, collectedAt: null } }
  const read = await registry.decode<CrawlItem>(
    door,
    message(newerId, newer, { envelope: { ...envelope, mood: { word: 'odd' } }, inline: Buffer.from('x') }),
  )
  assert.equal(read.value.envelope.item?.id, 'a')
  assert.deepEqual(read.unknownFields, { 'envelope.mood': '{"sluice.Mood":{"word":"odd"}}' })

  const older = changed((fields) => fields.filter(({ name }) => name !== 'liveness'))
  const olderId = await register(older)
  const old = await registry.decode<CrawlItem>(door, message(olderId, older, { envelope, inline: null }))
  assert.equal(old.value.envelope.liveness, null)
  assert.deepEqual(old.unknownFields, {})
})

test('an id of another subject, or of none, is the fault of the message', async (t) => {
  const { registry } = await openBench(t)
  const item = crawlItem('a', {})
  const foreign = await registry.encode('gate.envelopes', {
    input: { cluster: 'c', topic: 't', partition: 0, offset: 0 },
    envelope: item.envelope,
  })
  await assert.rejects(registry.decode(door, foreign), code('SCHEMA_FOREIGN'))
  const unknown = await registry.encode(door, item)
  unknown.writeInt32BE(2_000_000_000, 1)
  await assert.rejects(registry.decode(door, unknown), code('SCHEMA_FOREIGN'))
})

test('with the registry down, known ids go on, and an unknown one is nobody`s fault but the registry`s', async (t) => {
  const bench = await openBench(t)
  const gap = await bench.gapBefore('registry')
  const registry = createRegistry({
    ...bench.settings,
    registry: bench.settings.registry.replace(/:\d+/, `:${gap.port}`),
  })
  const value = await registry.encode(door, crawlItem('a', {}))
  await registry.decode(door, value)
  gap.cut()
  assert.equal((await registry.decode<CrawlItem>(door, value)).value.envelope.item?.id, 'a')
  const unknown = Buffer.from(value)
  unknown.writeInt32BE(2_000_000_000, 1)
  await assert.rejects(registry.decode(door, unknown), code('REGISTRY_UNREACHABLE'))
  await assert.rejects(registry.encode('gate.recalls', {}), code('REGISTRY_UNREACHABLE'))
  gap.mend()
  await assert.rejects(registry.decode(door, unknown), code('SCHEMA_FOREIGN'))
})

test('some fields of a value are what they are in all of it, whoever wrote it, and what stands behind them is not looked at', async (t) => {
  const bench = await openBench(t)
  const { settings, registry } = bench
  const topic = 'gate.verdicts'
  const verdict = heldVerdict(bench, 1, { matches: [nearMatch('stand-in', 'a')], supplier: 'Example Agency' })
  const ours = await registry.encode(topic, verdict)
  const decode = registry.fieldsDecoder<VerdictRecord, 'input' | 'matches' | 'supplier'>(topic, [
    'supplier',
    'input',
    'matches',
  ])
  // The library's records have classes of their own.
  const plain = (found: unknown): unknown => JSON.parse(JSON.stringify(found))
  assert.equal(decode(ours), null, 'the registry has not been asked')
  await registry.learn(topic)
  const { input, matches, supplier } = verdict
  assert.deepEqual(plain(decode(ours)), { input, matches, supplier })

  const older: { fields: Fields } = JSON.parse(schemaText('verdict'))
  older.fields = older.fields.filter(({ name }) => name !== 'supplier')
  const schema = JSON.stringify(older)
  const client = new SchemaRegistry({ host: settings.registry })
  const subject = subjectOf(settings.prefix, topic)
  const { id } = await client.register(
    { type: SchemaType.AVRO, schema },
    { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
  )
  await registry.learn(topic)
  assert.deepEqual(plain(decode(message(id, schema, verdict))), { input, matches, supplier: null })

  // The fingerprint is behind, the matches are not.
  const cut = (bytes: number): Buffer => ours.subarray(0, bytes)
  assert.deepEqual(plain(decode(cut(ours.length - 100))), { input, matches, supplier })
  assert.throws(() => decode(cut(100)), code('MESSAGE_UNDECODABLE'))
  assert.throws(() => decode(Buffer.of(1, 2)), code('MESSAGE_UNDECODABLE'))
})
