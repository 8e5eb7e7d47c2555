import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { TooLong, unpackers } from '../../services/platform/kafka/codecs.ts'
import { guardRecordBatches, unreadable } from '../../services/platform/kafka/record-batches.ts'
import { produceForeign, type RawRecord, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, photograph, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { lanesWaiting } from './door.ts'

const MIB = 1_048_576
/** What the process of a gate may take, whatever is on the door; an idle one takes about 150 MiB. */
const MOST_MEMORY = 600 * MIB
const compressions = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const skip = skipWithoutPython()

/** As Java clients write it. */
function xerial(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = [Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0, 0, 0, 0, 1, 0, 0, 0, 1])]
  for (let at = 0; at < bytes.length; at += 32_768) {
    const block = snappy.compressSync(bytes.subarray(at, at + 32_768))
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

const packers: ReadonlyArray<[string, keyof typeof unpackers, (bytes: Buffer) => Buffer]> = [
  ['gzip', 'gzip', (bytes) => gzipSync(bytes)],
  [
    'gzip in two members',
    'gzip',
    (bytes) => Buffer.concat([gzipSync(bytes.subarray(0, 9)), gzipSync(bytes.subarray(9))]),
  ],
  ['snappy in one block', 'snappy', (bytes) => snappy.compressSync(bytes)],
  ['snappy as Java clients frame it', 'snappy', xerial],
  ['lz4', 'lz4', (bytes) => lz4.compressFrameSync(bytes)],
  [
    'lz4 with checksums',
    'lz4',
    (bytes) => lz4.compressFrameSync(bytes, { contentChecksum: true, blockChecksums: true }),
  ],
  ['zstd', 'zstd', (bytes) => zstdCompressSync(bytes)],
]
const photo = photograph('nagasaki-boats')
const contents = [Buffer.alloc(0), Buffer.from('a'), Buffer.from('text '.repeat(100_000)), photo, Buffer.alloc(3 * MIB)]

for (const [what, codec, pack] of packers) {
  test(`${what} is unpacked as it was packed, up to its limit, and damage is an error`, async () => {
    for (const content of contents) {
      const packed = pack(content)
      assert.ok(content.equals(await unpackers[codec](packed, Math.max(1, content.length))))
      if (content.length > 1) {
        await assert.rejects(async () => unpackers[codec](packed, content.length - 1), TooLong)
      }
    }
    const packed = pack(photo)
    for (const length of [0, 3, 7, packed.length >> 1, packed.length - 9]) {
      await assert.rejects(async () => unpackers[codec](packed.subarray(0, length), 64 * MIB))
    }
  })
}

test('a damaged batch stands in its place as one record that says so, at the last of its offsets', async () => {
  guardRecordBatches()
  const require = createRequire(import.meta.url)
  const decode: (
    from: unknown,
  ) => Promise<{ records: kafkajs.KafkaMessage[] }> = require('kafkajs/src/protocol/recordBatch/v0/decoder.js')
  const Decoder = require('kafkajs/src/protocol/decoder.js')
  for (const attributes of [0, 1, 2, 3, 4]) {
    const batch = Buffer.alloc(161, 0xfe)
    batch.writeBigInt64BE(40n, 0)
    batch.writeInt32BE(149, 8)
    batch.writeInt16BE(attributes, 21)
    batch.writeInt32BE(9, 23)
    batch.writeInt32BE(10, 57)
    const from = new Decoder(Buffer.concat([batch, Buffer.alloc(10)]))
    const { records } = await decode(from)
    assert.equal(from.offset, batch.length, 'what follows can be read')
    assert.equal(records.length, 1)
    assert.ok(records[0])
    assert.equal(records[0].offset, '49')
    assert.match(unreadable(records[0])?.message ?? '', /from offset 40 to 49 is damaged/)
  }
})

/** Makes the door of a bench take what clients compress as it comes, like a cluster that we did not set up. */
async function keepCompressions(bench: Bench): Promise<void> {
  await withAdmin(createKafka(bench.settings, 'codecs'), async (admin) => {
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: bench.topic('crawl.items') }
    const configEntries = [
      { name: 'compression.type', value: 'producer' },
      { name: 'max.message.bytes', value: '4259840' },
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
    ]
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] })
  })
}

async function good(bench: Bench, id: string, partition: number, large = false): Promise<RawRecord> {
  const inline = large ? photo : await tinyPicture(partition)
  const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline }))
  return { topic: bench.topic('crawl.items'), partition, key: Buffer.from(id), value }
}

/** Largest resident memory that a process has had, in bytes. */
function peakMemory(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

test('what librdkafka compresses, in any of the four ways, is judged like anything else', { skip }, async (t) => {
  const bench = await openBench(t)
  await keepCompressions(bench)
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  for (const [partition, compression] of compressions.entries()) {
    const records = Array.from({ length: 30 }, (_, n) => good(bench, `${compression}-${n}`, partition, n % 10 === 0))
    await produceForeign(bench.settings, await Promise.all(records), compression)
  }
  const gate = bench.startGate({ words: ['--until-caught-up'] })
  assert.equal((await gate.ended).code, 0)
  const fates = await audit(bench)
  assert.deepEqual(
    fates.map(({ outcome }) => outcome),
    Array(120).fill('clean'),
  )
})

test('a batch that unpacks to far more than it should halts its lane and no other, in little memory, and is not skipped', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 5 })
  await keepCompressions(bench)
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const door = bench.topic('crawl.items')
  const everywhere = (what: string) =>
    Promise.all([0, 1, 2, 3, 4].map((partition) => good(bench, `${what}-${partition}`, partition)))
  await produceForeign(bench.settings, await everywhere('before'))
  for (const [partition, compression] of compressions.entries()) {
    // Snappy packs zeros twenty times at best, LZ4 two hundred and fifty.
    const zeros = { gzip: 400, snappy: 72, lz4: 120, zstd: 400 }[compression] * 1_000_000
    await produceForeign(
      bench.settings,
      [{ topic: door, partition, key: Buffer.from('bomb'), value: { zeros } }],
      compression,
    )
  }
  await produceForeign(bench.settings, await everywhere('behind'))

  const gate = bench.startGate()
  await waitFor(
    'all before the bombs is judged, and the lane without one goes on',
    async () => (await bench.committed()) >= 6,
  )
  const halted = await waitFor('the four lanes halt', async () => {
    const unreadable = await lanesWaiting(gate, 'BATCH_UNREADABLE')
    return unreadable.size === 4 && unreadable
  })
  assert.equal((await gate.readiness())?.status, 503)
  assert.match(halted.get(2) ?? '', /from offset 1 to 1 unpacks to more than 64 MiB/)
  assert.equal(await bench.committed(), 6, 'nothing is skipped')
  assert.ok(gate.running())
  assert.ok(peakMemory(gate.pid) < MOST_MEMORY, `${Math.round(peakMemory(gate.pid) / MIB)} MiB`)
  await bench.stopGate(gate)

  // What a person decides: to go on without it.
  await withAdmin(createKafka(bench.settings, 'codecs'), async (admin) => {
    const partitions = compressions.map((_, partition) => ({ partition, offset: '2' }))
    // The client library deletes only where it has looked before.
    await admin.fetchTopicOffsets(door)
    await admin.deleteTopicRecords({ topic: door, partitions })
    await admin.setOffsets({ groupId: bench.group, topic: door, partitions })
  })
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)
  assert.equal(await bench.committed(), 14)
})

test('a batch of hundreds of thousands of empty records is judged record by record, and holds up nobody else', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  // As short as records can be: the door takes half as many more at once.
  const empty = Array.from({ length: 300_000 }, () => ({ key: null, value: null, partition: 0 }))
  await bench.produce('crawl.items', empty)
  assert.equal(await bench.endOf('crawl.items'), empty.length)
  await produceForeign(bench.settings, [await good(bench, 'other', 1)])
  const gate = bench.startGate()
  // The other lane, and of the first one more than a chunk: all of them would take minutes.
  await waitFor('both lanes are at work', async () => {
    const offsets = await bench.ask((admin) =>
      admin.fetchOffsets({ groupId: bench.group, topics: [bench.topic('crawl.items')] }),
    )
    const [first, second] = [0, 1].map((partition) =>
      Number(offsets[0]?.partitions.find((each) => each.partition === partition)?.offset),
    )
    return Number(first) > 500 && second === 1
  })
  assert.ok(gate.running())
  assert.equal(gate.events.filter(({ event }) => event === 'lanes-ended').length, 0)
  t.diagnostic(`${Math.round(peakMemory(gate.pid) / MIB)} MiB at most`)
  assert.ok(peakMemory(gate.pid) < MOST_MEMORY, `${Math.round(peakMemory(gate.pid) / MIB)} MiB`)
  await bench.stopGate(gate)
})

test('our own door has no such batches: the broker refuses them', { skip }, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const bomb = {
    topic: bench.topic('crawl.items'),
    partition: 0,
    key: Buffer.from('bomb'),
    value: { zeros: 8_000_000 },
  }
  await assert.rejects(produceForeign(bench.settings, [bomb], 'gzip'), /too large|MSG_SIZE/i)
})
