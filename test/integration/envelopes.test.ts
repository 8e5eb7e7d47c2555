import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import avro from 'avsc'
import fc from 'fast-check'
import { LONGEST_TEXT } from '../../services/domain/cap-envelope.ts'
import { acquisition, emptyEnvelope, origin, trainingView } from '../../services/domain/envelope.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { subjectOf } from '../../services/domain/topics.ts'
import { schemaText } from '../../services/platform/avro.ts'
import { anyEnvelope } from '../domain/any-envelope.ts'
import { readStore, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from './audit.ts'
import { type Bench, openBench } from './harness.ts'
import { sha256, tinyPicture } from './items.ts'

const RUNS = 120
const SEED = Number(process.env.SEED ?? randomInt(1_000_000_000))

/** A producer that is ahead of the gate: its schema has one more field in the envelope. */
async function newerProducer(bench: Bench): Promise<(envelope: Envelope, inline: Buffer, note: string) => Buffer> {
  const schema = JSON.parse(schemaText('crawl-item'))
  schema.fields[0].type.fields.push({ name: 'note', type: ['null', 'string'], default: null })
  const { id } = await new SchemaRegistry({ host: bench.settings.registry }).register(
    { type: SchemaType.AVRO, schema: JSON.stringify(schema) },
    { subject: subjectOf(bench.settings.prefix, 'crawl.items'), compatibility: COMPATIBILITY.FULL_TRANSITIVE },
  )
  const type = avro.Type.forSchema(schema)
  const header = Buffer.alloc(5)
  header.writeInt32BE(id, 1)
  return (envelope, inline, note) => {
    return Buffer.concat([header, type.toBuffer({ envelope: { ...envelope, note }, inline })])
  }
}

test(`any envelope is the same on gate.envelopes and in the held store, and its training view on gate.clean; SEED=${SEED}`, {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const [clear, known] = [await tinyPicture(1), await tinyPicture(2)]
  await bench.importList('stand-in', [{ sha256: sha256(known) }])
  const newer = await newerProducer(bench)

  const sent = new Map<string, { envelope: Envelope; known: boolean; value: Buffer }>()
  for (let n = 0; n < RUNS; n++) {
    const id = `item-${n}`
    const [envelope] = fc.sample(anyEnvelope(id), { numRuns: 1, seed: SEED + n })
    assert.ok(envelope)
    const isKnown = n % 2 === 0
    const inline = isKnown ? known : clear
    if (n % 3 === 0) {
      const note = envelope.supply?.kind ?? '\u001b[31m'
      const expected = { ...envelope, extra: { ...envelope.extra, note: JSON.stringify({ string: note }) } }
      sent.set(id, { envelope: expected, known: isKnown, value: newer(envelope, inline, note) })
    } else {
      sent.set(id, {
        envelope,
        known: isKnown,
        value: await bench.registry.encode('crawl.items', { envelope, inline }),
      })
    }
  }
  await bench.produce(
    'crawl.items',
    [...sent].map(([id, { value }], n) => ({ key: id, value, partition: n % bench.partitions })),
  )
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)

  const held = new Map((await readStore(bench.storeFolder('held'))).map((object) => [object.name, object]))
  for (const fate of await audit(bench)) {
    const item = sent.get(fate.verdict.itemId ?? '')
    assert.ok(item)
    assert.equal(fate.outcome, item.known ? 'quarantine' : 'clean')
    assert.deepEqual(fate.envelope.envelope, item.envelope)
    if (fate.clean !== null) assert.deepEqual(fate.clean.training, trainingView(item.envelope))
    if (fate.held !== null)
      assert.equal(
        held.get(fate.held.heldReference)?.record?.value?.sha256,
        sha256(item.value),
        'the original, to the byte',
      )
  }
})

test('what is longer than an envelope may be is held, cut where it is shown and whole in the held store', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const caption = 'a caption without end '.repeat(10_000)
  const envelope = {
    ...emptyEnvelope(),
    item: { id: 'long', mediaTypeClaimed: null, collectedAt: null },
    origin: origin({ caption }),
  }
  const value = await bench.registry.encode('crawl.items', { envelope, inline: await tinyPicture(1) })
  await bench.produce('crawl.items', [{ key: 'long', value }])
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)
  const [fate] = await audit(bench)
  assert.deepEqual([fate?.outcome, fate?.reasons], ['quarantine', ['ENVELOPE_TOO_LONG']])
  assert.deepEqual(
    fate?.envelope.envelope.origin,
    origin({
      caption: `${caption.slice(0, LONGEST_TEXT)}[cut: ${caption.length} characters]`,
    }),
  )
  const original = (await readStore(bench.storeFolder('held'))).find(({ name }) => name === fate?.held?.heldReference)
  assert.equal(original?.record?.value?.sha256, sha256(value))
})

test('a picture whose fetched bytes are known is held, though what is stored of it is not', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const fetched = sha256(Buffer.from('what was fetched, before a tool shrunk it'))
  await bench.importList('stand-in', [{ id: 'known', sha256: fetched }])
  const inline = await tinyPicture(1)
  const messages = [fetched, sha256(inline)].map(async (fetchedSha256, n) => {
    const envelope = {
      ...emptyEnvelope(),
      item: { id: `item-${n}`, mediaTypeClaimed: null, collectedAt: null },
      acquisition: acquisition({ fetchedSha256 }),
    }
    return { key: `item-${n}`, value: await bench.registry.encode('crawl.items', { envelope, inline }) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)
  const fates = new Map((await audit(bench)).map((fate) => [fate.verdict.itemId, fate]))
  const held = fates.get('item-0')
  assert.deepEqual([held?.outcome, held?.reasons], ['quarantine', ['KNOWN_EXACT']])
  assert.deepEqual(
    held?.verdict.matches.map(({ entry, transform }) => [entry, transform]),
    [['known', 'as-fetched']],
  )
  assert.equal(fates.get('item-1')?.outcome, 'clean')
})
