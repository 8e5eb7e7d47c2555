import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import avro from 'avsc'
import { subjectOf } from '../../services/domain/topics.ts'
import { schemaText } from '../../services/platform/avro.ts'
import { produceForeign, type RawRecord, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { openBench } from '../integration/harness.ts'
import { crawlItem, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

type Field = { name: string; type: unknown; default?: unknown }
type RecordSchema = { name: string; fields: Field[] }

/** The door's schema, changed; `change` is called for each record type in it, by its name. */
function doorSchema(change: (fields: Field[], record: string) => Field[]): string {
  return JSON.stringify(JSON.parse(schemaText('crawl-item')), (_, part: unknown) => {
    if (!isRecordSchema(part)) return part
    return { ...part, fields: change(part.fields, part.name) }
  })
}

function isRecordSchema(part: unknown): part is RecordSchema {
  return typeof part === 'object' && part !== null && 'name' in part && 'fields' in part && Array.isArray(part.fields)
}

const added: Field = {
  name: 'mood',
  type: ['null', { type: 'record', name: 'Mood', fields: [{ name: 'word', type: 'string' }] }],
  default: null,
}

/** Schemas that crawlers of other times and tastes write with; what they lack, or have more, of an item; and what becomes of it. */
const producers = {
  'an older schema': {
    schema: doorSchema((fields, record) =>
      fields.filter(({ name }) => !(record === 'Envelope' && ['liveness', 'synthetic'].includes(name))),
    ),
    more: {},
    reasons: [],
    extra: {},
  },
  'a newer schema': {
    schema: doorSchema((fields, record) => {
      if (record === 'Envelope') return [...fields, added]
      if (record === 'OriginGroup') return [{ name: 'likes', type: 'long', default: 0 }, ...fields]
      if (record === 'CrawlItem') return [...fields, { name: 'priority', type: ['null', 'int'], default: null }]
      return fields
    }),
    more: { priority: 7, envelope: { mood: { word: 'odd' }, origin: { likes: 12 } } },
    reasons: [],
    extra: { mood: '{"sluice.Mood":{"word":"odd"}}', 'origin.likes': '12', priority: '{"int":7}' },
  },
  'a schema without a field that must be there': {
    schema: doorSchema((fields, record) =>
      record === 'ItemGroup' ? fields.filter(({ name }) => name !== 'id') : fields,
    ),
    more: {},
    reasons: ['MESSAGE_UNDECODABLE'],
    extra: {},
  },
  'a schema of quite another shape': {
    schema: JSON.stringify({
      type: 'record',
      name: 'Parcel',
      namespace: 'post',
      fields: [{ name: 'inline', type: 'string' }],
    }),
    more: { inline: 'a parcel' },
    reasons: ['MESSAGE_UNDECODABLE'],
    extra: {},
  },
} as const

test('older and newer schemas are read as designed, what we do not know is kept; what lacks a field or is foreign is held', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const client = new SchemaRegistry({ host: bench.settings.registry })
  const subject = subjectOf(bench.settings.prefix, 'crawl.items')
  const gate = bench.startGate()
  // Whatever comes is new to a gate that knows the subject already.
  await produceForeign(bench.settings, [await record('before', undefined)])
  await waitFor('the first item is judged', () => bench.caughtUp())
  // Somebody in charge let incompatible schemas in.
  const config = await fetch(`${bench.settings.registry}/config/${encodeURIComponent(subject)}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ compatibility: COMPATIBILITY.NONE }),
  })
  assert.ok(config.ok)

  /** One item as this producer writes it. */
  async function record(
    id: string,
    producer: (typeof producers)[keyof typeof producers] | undefined,
  ): Promise<RawRecord> {
    const item = crawlItem(id, { inline: await tinyPicture(1) })
    item.envelope.origin = {
      pageUrl: null,
      pageTitle: 'a page',
      caption: null,
      uploaderId: null,
      uploaderHandle: null,
      uploaderProfileUrl: null,
      uploadedAtClaimed: null,
      platform: null,
    }
    const place = { topic: bench.topic('crawl.items'), partition: 0, key: Buffer.from(id) }
    if (producer === undefined) return { ...place, value: await bench.registry.encode('crawl.items', item) }
    const { id: schemaId } = await client.register(
      { type: SchemaType.AVRO, schema: producer.schema },
      { subject, compatibility: COMPATIBILITY.NONE },
    )
    const type = avro.Type.forSchema(JSON.parse(producer.schema))
    const header = Buffer.alloc(5)
    header.writeInt32BE(schemaId, 1)
    return { ...place, value: Buffer.concat([header, type.toBuffer(merged(item, producer.more))]) }
  }

  const expected = new Map<string, { reasons: readonly string[]; extra: object | null }>()
  const records: RawRecord[] = []
  for (const [what, producer] of Object.entries(producers)) {
    const id = what.replaceAll(' ', '-')
    records.push(await record(id, producer))
    const isRead = producer.reasons.length === 0
    expected.set(id, { reasons: producer.reasons, extra: isRead ? producer.extra : null })
  }
  const foreign = await bench.registry.encode('gate.hash-entries', { entry: null, manifest: null })
  records.push({ topic: bench.topic('crawl.items'), partition: 1, key: Buffer.from('foreign'), value: foreign })
  expected.set('foreign', { reasons: ['SCHEMA_FOREIGN'], extra: null })
  const unknown = Buffer.from(foreign)
  unknown.writeInt32BE(2_000_000_000, 1)
  records.push({ topic: bench.topic('crawl.items'), partition: 1, key: Buffer.from('unknown'), value: unknown })
  expected.set('unknown', { reasons: ['SCHEMA_FOREIGN'], extra: null })
  await produceForeign(bench.settings, records)
  await waitFor('all is judged', () => bench.caughtUp())
  await bench.stopGate(gate)

  const fates = new Map(
    (await audit(bench)).map((fate) => [Buffer.from(String(fate.door.key), 'base64').toString(), fate]),
  )
  for (const [id, { reasons, extra }] of expected) {
    await t.test(id.replaceAll('-', ' '), () => {
      const fate = fates.get(id)
      assert.deepEqual(fate?.reasons, reasons)
      assert.equal(fate?.outcome, reasons.length === 0 ? 'clean' : 'quarantine')
      assert.deepEqual(fate?.envelope.envelope.extra, extra ?? {})
      if (extra === null) return
      const { origin, liveness } = fate?.envelope.envelope ?? {}
      assert.equal(Reflect.get(Object(origin), 'pageTitle'), 'a page')
      assert.equal(liveness, null)
    })
  }
})

/** The item with `more` laid over it. */
function merged(item: object, more: object): object {
  const result: Record<string, unknown> = { ...item }
  for (const [name, value] of Object.entries(more)) {
    const inner: unknown = result[name]
    const isGroup = typeof inner === 'object' && inner !== null && typeof value === 'object' && value !== null
    result[name] = isGroup && !Buffer.isBuffer(inner) ? merged(inner, value) : value
  }
  return result
}
