import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import type { Collected } from '../../services/crawl/door-message.ts'
import {
  createProducer,
  type ProducerOptions,
  type ProducerSettings,
  type Publisher,
  type Written,
} from '../../services/crawl/producer.ts'
import { emptyEnvelope } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import type { CrawlItem } from '../../services/domain/records.ts'
import { DOOR } from '../../services/domain/topics.ts'
import { openBench } from '../integration/harness.ts'
import { readDoor } from './read-door.ts'

function collected(id: string, payload: Uint8Array): Collected {
  const item = { id, mediaTypeClaimed: null, collectedAt: null }
  return { envelope: { ...emptyEnvelope(), item }, payload }
}

async function openPublisher(
  t: TestContext,
  settings: ProducerSettings,
  options?: ProducerOptions,
): Promise<Publisher> {
  const publisher = await createProducer(settings, options)
  t.after(() => publisher.close().catch(() => undefined))
  return publisher
}

const hasCode = (code: string) => (error: unknown) => error instanceof SluiceError && error.code === code

test('items of a partition are written in the order of publish, each once, and close writes what is left', async (t) => {
  const bench = await openBench(t)
  const publisher = await createProducer(bench.settings, { batchItems: 7, items: 50, batchBytes: 2000 })
  const ids = Array.from({ length: 500 }, (_, n) => `item-${n}`)
  const written: Promise<Written>[] = []
  for (const id of ids) written.push((await publisher.publish(collected(id, Buffer.from(id)))).written)
  await publisher.close()

  const records = await readDoor(bench)
  const byPartition = Map.groupBy(records, ({ partition }) => partition)
  assert.deepEqual(records.map(({ key }) => String(key)).sort(), ids.toSorted())
  assert.equal(byPartition.size, bench.partitions)
  for (const part of byPartition.values()) {
    const numbers = part.map(({ key }) => ids.indexOf(String(key)))
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    )
  }
  const places = await Promise.all(written)
  for (const { key, partition, offset } of records) {
    assert.deepEqual(places[ids.indexOf(String(key))], { partition, offset })
  }
  await assert.rejects(publisher.publish(collected('late', Buffer.from('late'))), hasCode('USAGE'))
})

test('a payload travels inline up to the limit and beyond it by reference, described by the digest of its bytes', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const publisher = await openPublisher(t, { ...bench.settings, inlineBytes: 1000 })
  const payloads = [0, 1000, 1001].map((length) => Buffer.alloc(length, 7))
  for (const [at, payload] of payloads.entries()) await publisher.publish(collected(`item-${at}`, payload))
  await publisher.flush()

  const records = await readDoor(bench)
  for (const [at, payload] of payloads.entries()) {
    const sha256 = createHash('sha256').update(payload).digest('hex')
    const { value } = await bench.registry.decode<CrawlItem>(DOOR, records[at]?.value ?? Buffer.alloc(0))
    const reference = payload.length > 1000 ? sha256 : null
    assert.deepEqual({ ...value.envelope.payload }, { reference, size: payload.length, md5: null, sha1: null, sha256 })
    assert.deepEqual(value.inline, reference === null ? payload : null)
    if (reference !== null) assert.deepEqual(await bench.store('intake').read(reference, 2000), payload)
  }
})

test('what the crawler claims about the bytes is passed on for the gate to check', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const publisher = await openPublisher(t, bench.settings)
  const { envelope, payload } = collected('item', Buffer.from('bytes'))
  const claims = { reference: null, size: 4, md5: '0'.repeat(32), sha1: null, sha256: '1'.repeat(64) }
  await publisher.publish({ envelope: { ...envelope, payload: claims }, payload })
  await publisher.flush()
  const [record] = await readDoor(bench)
  const { value } = await bench.registry.decode<CrawlItem>(DOOR, record?.value ?? Buffer.alloc(0))
  assert.deepEqual({ ...value.envelope.payload }, claims)
})

test('an item with a malformed id or a message longer than the topic takes is refused, and the next one is written', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const publisher = await openPublisher(t, { ...bench.settings, inlineBytes: 16_000_000 })
  await assert.rejects(publisher.publish(collected('no/id', Buffer.from('x'))), hasCode('ITEM_ID_INVALID'))
  await assert.rejects(
    publisher.publish({ envelope: emptyEnvelope(), payload: Buffer.from('x') }),
    hasCode('ITEM_ID_INVALID'),
  )
  await assert.rejects(publisher.publish(collected('long', Buffer.alloc(5_000_000))), hasCode('PAYLOAD_TOO_LARGE'))
  await publisher.publish(collected('largest', Buffer.alloc(4_190_000)))
  await publisher.publish(collected('small', Buffer.from('x')))
  await publisher.flush()
  assert.deepEqual(
    (await readDoor(bench)).map(({ key }) => String(key)),
    ['largest', 'small'],
  )
})

test('with no folder of stores, what is too long for a message is refused, and the next item is written', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const publisher = await openPublisher(t, { ...bench.settings, stores: null, inlineBytes: 10 })
  await assert.rejects(publisher.publish(collected('long', Buffer.alloc(11))), hasCode('PAYLOAD_TOO_LARGE'))
  await publisher.publish(collected('short', Buffer.alloc(10)))
  await publisher.flush()
  assert.deepEqual(
    (await readDoor(bench)).map(({ key }) => String(key)),
    ['short'],
  )
})

test('without the topic, createProducer says so', async (t) => {
  const bench = await openBench(t)
  const settings = { ...bench.settings, prefix: `${bench.settings.prefix}other.` }
  await assert.rejects(createProducer(settings), hasCode('TOPICS_MISSING'))
})

test('sluice crawl folder publishes the same ids each time, lists bad sidecars, and ends with code 1 for them', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const folder = join(bench.folder, 'pictures')
  await mkdir(folder)
  await writeFile(join(folder, 'a.jpg'), 'a')
  await writeFile(join(folder, 'a.jpg.json'), '{"origin": {"platform": "somewhere"}, "mood": 1}')
  await writeFile(join(folder, 'b.jpg'), 'b')
  await writeFile(join(folder, 'b.jpg.json'), '{"origin": 1}')
  const summary = z.object({
    published: z.literal(1),
    bytes: z.literal(1),
    inline: z.literal(1),
    byReference: z.literal(0),
    bad: z.literal(1),
    badList: z.tuple([z.object({ file: z.literal('b.jpg.json'), field: z.literal('origin'), expected: z.string() })]),
  })
  for (let time = 0; time < 2; time++) {
    const { stdout } = await bench.sluice(['crawl', 'folder', folder, '--all', '--json'], 1)
    summary.parse(JSON.parse(stdout()))
  }
  const [first, second] = await readDoor(bench)
  assert.deepEqual(first?.key, second?.key)
  const { value } = await bench.registry.decode<CrawlItem>(DOOR, first?.value ?? Buffer.alloc(0))
  assert.equal(value.envelope.item?.id, String(first?.key))
  assert.equal(value.envelope.origin?.platform, 'somewhere')
  assert.deepEqual({ ...value.envelope.extra }, { mood: '1' })
  await bench.sluice(['crawl', 'folder', join(folder, 'nowhere')], 2)
})
