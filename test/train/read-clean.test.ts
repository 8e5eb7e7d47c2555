import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { newKey, revokeKey, rotateKeys } from '../../services/cluster/keys.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { keyId } from '../../services/domain/keyring.ts'
import type { Receipt } from '../../services/domain/receipt.ts'
import type { CleanItem, RecallRecord } from '../../services/domain/records.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { readSigningKey, type SigningKey } from '../../services/platform/signing-key.ts'
import {
  beginningOf,
  openCleanReader,
  type ReadCleanOptions,
  type ReadCounts,
  type ReadPosition,
} from '../../services/train/read-clean.ts'
import { snapshotNow } from '../../services/train/snapshot.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'
import { signedItem } from './signed-items.ts'

const PARTITIONS = 18
/** Of the door that these items are said to have come from. */
let doorOffset = 0

describe('the clean reader', () => {
  const scope = openScope('read-clean')
  let bench: Bench
  let key: SigningKey
  let cluster: string

  before(async () => {
    bench = await openBench(scope, { partitions: PARTITIONS })
    await bench.store('clean').make()
    key = readSigningKey(bench.settings.signingKey)
    cluster = (await snapshotNow(bench.settings)).cluster
    scope.passed = true
  })
  after(() => scope.close())

  const bytesOf = (name: string) => Buffer.from(`the bytes of ${name}`)

  const fileOf = ({ payload: { reference } }: CleanItem) =>
    join(bench.storeFolder('clean'), reference.slice(0, 2), reference)

  async function cleared(
    partition: number,
    id: string,
    bytes = bytesOf(id),
    by = key,
    changes: Partial<Receipt> = {},
    from: Partial<CleanItem['input']> = {},
  ): Promise<CleanItem> {
    await bench.store('clean').write(hash('sha256', bytes), bytes)
    doorOffset += 1
    const input = { cluster, topic: bench.topic('crawl.items'), partition, offset: doorOffset, ...from }
    return signedItem(by, { id, bytes, input }, changes)
  }

  async function write(partition: number, ...items: CleanItem[]): Promise<void> {
    const messages = items.map(async (item) => ({
      key: item.id,
      partition,
      value: await bench.registry.encode('gate.clean', item),
    }))
    await bench.produce('gate.clean', await Promise.all(messages))
  }

  async function recall(sha256: string, state: string): Promise<void> {
    const input = { cluster: 'c', topic: 'crawl.items', partition: 0, offset: 0 }
    const record: RecallRecord = {
      sha256,
      state,
      input,
      matches: [],
      recalledAt: Date.now(),
      acceptedBy: null,
      acceptedReason: null,
    }
    await bench.produce('gate.recalls', [
      { key: sha256, partition: 0, value: await bench.registry.encode('gate.recalls', record) },
    ])
  }

  async function readAll(
    options: ReadCleanOptions,
    most = Number.POSITIVE_INFINITY,
  ): Promise<{ ids: string[]; counts: ReadCounts; position: ReadPosition; error: SluiceError | null }> {
    const reader = await openCleanReader(bench.settings, options)
    const ids: string[] = []
    let error: SluiceError | null = null
    try {
      if (most > 0) {
        for await (const { id, bytes, item } of reader.items()) {
          assert.equal(hash('sha256', bytes), item.payload.reference)
          ids.push(id)
          if (ids.length >= most) break
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof SluiceError)) throw thrown
      error = thrown
    } finally {
      await reader.close()
    }
    return { ids, counts: reader.counts(), position: reader.position(), error }
  }

  test('hands out each cleared item once, in the same order each time, and what was recalled or comes again not at all', async () => {
    const partitions = [0, 1]
    await write(0, await cleared(0, 'a0'), await cleared(0, 'a1'), await cleared(0, 'a2'), await cleared(0, 'a1'))
    await write(1, await cleared(1, 'b0'), await cleared(1, 'gone'), await cleared(1, 'back'), await cleared(1, 'a0'))
    // The same bytes under another id, and the same id with other bytes, are items of their own.
    await write(1, await cleared(1, 'b1', bytesOf('a1')), await cleared(1, 'b0', bytesOf('new')))
    await recall(hash('sha256', bytesOf('gone')), 'recalled')
    await recall(hash('sha256', bytesOf('back')), 'recalled')
    await recall(hash('sha256', bytesOf('back')), 'withdrawn')

    const first = await readAll({ partitions })
    assert.equal(first.error, null)
    assert.deepEqual(first.ids, ['a0', 'b0', 'a1', 'a2', 'back', 'b1', 'b0'])
    const { bytes, ...counts } = first.counts
    assert.deepEqual(counts, { handed: 7, recalled: 1, repeated: 2 })
    assert.ok(bytes > 0)

    await write(0, await cleared(0, 'later'))
    const from = beginningOf(first.position.snapshot)
    const again = await readAll({ position: from })
    assert.deepEqual(again.ids, first.ids, 'a snapshot does not grow')

    for (let most = 0; most <= first.ids.length; most++) {
      const part = await readAll({ position: from }, most)
      const rest = await readAll({ position: JSON.parse(JSON.stringify(part.position)) })
      assert.deepEqual([...part.ids, ...rest.ids], first.ids, `cut after ${most}`)
      assert.deepEqual(rest.counts, first.counts)
    }
  })

  test('what was left out because it was recalled comes when it is withdrawn and cleared again, also to one that goes on', async () => {
    const partition = 17
    const sha256 = hash('sha256', bytesOf('returns'))
    await write(partition, await cleared(partition, 'e0'), await cleared(partition, 'returns'))
    await recall(sha256, 'recalled')
    const before = await readAll({ partitions: [partition] })
    assert.deepEqual([before.ids, before.counts.recalled], [['e0'], 1])

    await recall(sha256, 'withdrawn')
    await write(partition, await cleared(partition, 'returns'), await cleared(partition, 'returns'))
    const [range] = before.position.snapshot.ranges
    assert.ok(range)
    const snapshot = { ...before.position.snapshot, ranges: [{ ...range, to: range.to + 2 }] }
    const after = await readAll({ position: { ...before.position, snapshot } })
    assert.deepEqual([after.ids, after.counts.repeated], [['returns'], 1])
    const again = await readAll({ position: { ...after.position, snapshot } })
    assert.deepEqual(again.ids, [])
    // Who has a dataset knows better than the topic what is in it.
    const handed = () => Readable.from([{ id: 'e0', sha256: hash('sha256', bytesOf('e0')) }])
    const anew = await readAll({ position: beginningOf(snapshot), handed })
    assert.deepEqual([anew.ids, anew.counts.repeated], [['returns'], 3])
  })

  test('begun anew after it was left, it goes on behind the last item that was handed out; what was read ahead is not lost', async () => {
    const partition = 14
    const names = ['c0', 'c1', 'c2', 'c3']
    await write(partition, ...(await Promise.all(names.map((name) => cleared(partition, name)))))
    const reader = await openCleanReader(bench.settings, { partitions: [partition] })
    const ids: string[] = []
    try {
      for await (const { id } of reader.items()) if (ids.push(id) === 1) break
      for await (const { id } of reader.items()) ids.push(id)
    } finally {
      await reader.close()
    }
    assert.deepEqual(ids, names)
    assert.deepEqual({ ...reader.counts(), bytes: 0 }, { handed: 4, bytes: 0, recalled: 0, repeated: 0 })
  })

  test('what a recall took out of the store is left out also when the recall was withdrawn since', async () => {
    const partition = 15
    await write(partition, await cleared(partition, 'withdrawn'), await cleared(partition, 'other'))
    const sha256 = hash('sha256', bytesOf('withdrawn'))
    await recall(sha256, 'recalled')
    await bench.store('clean').remove(sha256)
    await recall(sha256, 'withdrawn')
    const { ids, counts, error } = await readAll({ partitions: [partition] })
    assert.equal(error, null)
    assert.deepEqual([ids, counts.recalled], [['other'], 1])
  })

  test('what is taken off the topic while it is read is missed', async () => {
    const partition = 16
    await write(partition, await cleared(partition, 'taken'), await cleared(partition, 'left'))
    const reader = await openCleanReader(bench.settings, { partitions: [partition] })
    const topic = bench.topic('gate.clean')
    try {
      await withAdmin(createKafka(bench.settings, 'read-clean-test'), async (admin) => {
        // The client has to have asked for the topic before.
        await admin.fetchTopicOffsets(topic)
        await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '1' }] })
      })
      await assert.rejects(Array.fromAsync(reader.items()), {
        code: 'POSITION_JUMPED',
        message: /the snapshot has offsets 0 to 2, but there is offsets 1 to 2/,
      })
    } finally {
      await reader.close()
    }
  })

  const forgeries: Array<{ what: string; code: string; make: (partition: number) => Promise<CleanItem> }> = [
    {
      what: 'without a receipt',
      code: 'RECEIPT_MISSING',
      make: async (partition) => ({ ...(await cleared(partition, 'forged')), receipt: null }),
    },
    {
      what: "with another item's receipt",
      code: 'RECEIPT_MISMATCH',
      make: async (partition) => ({
        ...(await cleared(partition, 'forged')),
        receipt: (await cleared(partition, 'real')).receipt,
      }),
    },
    {
      what: 'with a receipt of the same bytes, of another message',
      code: 'RECEIPT_MISMATCH',
      make: async (partition) => ({
        ...(await cleared(partition, 'forged')),
        receipt: (await cleared(partition, 'forged')).receipt,
      }),
    },
    {
      what: 'that another gate has cleared, with the same key',
      code: 'RECEIPT_MISMATCH',
      make: (partition) => cleared(partition, 'forged', undefined, key, {}, { topic: 'test.crawl.items' }),
    },
    {
      what: "signed with the forger's own key",
      code: 'KEY_UNKNOWN',
      make: (partition) => cleared(partition, 'forged', undefined, ownKey()),
    },
    {
      what: "signed with the forger's own key under the gate's name",
      code: 'RECEIPT_INVALID',
      make: (partition) => cleared(partition, 'forged', undefined, { ...ownKey(), id: key.id }),
    },
    {
      what: 'whose training view was changed',
      code: 'RECEIPT_MISMATCH',
      make: async (partition) => {
        const item = await cleared(partition, 'forged')
        return { ...item, training: { ...item.training, licence: 'CC0-1.0' } }
      },
    },
    {
      what: 'whose bytes were replaced in the store',
      code: 'PAYLOAD_TAMPERED',
      make: async (partition) => {
        const item = await cleared(partition, 'forged', bytesOf(`replaced in ${partition}`))
        const file = fileOf(item)
        const bytes = await readFile(file)
        bytes[3] = (bytes[3] ?? 0) ^ 1
        await writeFile(file, bytes)
        return item
      },
    },
    {
      what: 'whose bytes became more in the store',
      code: 'PAYLOAD_TAMPERED',
      make: async (partition) => {
        const item = await cleared(partition, 'forged', bytesOf(`longer in ${partition}`))
        const file = fileOf(item)
        await writeFile(file, Buffer.concat([await readFile(file), Buffer.from('more')]))
        return item
      },
    },
    {
      what: 'whose bytes are gone from the store without a recall',
      code: 'PAYLOAD_MISSING',
      make: async (partition) => {
        const item = await cleared(partition, 'forged', bytesOf(`gone from ${partition}`))
        await bench.store('clean').remove(item.payload.reference)
        return item
      },
    },
  ]
  for (const [index, { what, code, make }] of forgeries.entries()) {
    test(`stops before an item ${what}: ${code}, naming it`, async () => {
      const partition = 2 + index
      await write(
        partition,
        await cleared(partition, `before-${index}`),
        await make(partition),
        await cleared(partition, `behind-${index}`),
      )
      const { ids, error } = await readAll({ partitions: [partition] })
      assert.deepEqual(ids, [`before-${index}`])
      assert.equal(error?.code, code)
      assert.match(
        error?.message ?? '',
        new RegExp(`item forged at ${bench.topic('gate.clean')}/${partition}/1 is not handed out`),
      )
    })
  }

  test('stops at a message that is none', async () => {
    const partition = 12
    await write(partition, await cleared(partition, 'right'))
    await bench.produce('gate.clean', [{ key: 'x', partition, value: Buffer.from('not Avro') }])
    const { ids, error } = await readAll({ partitions: [partition] })
    assert.deepEqual(ids, ['right'])
    assert.equal(error?.code, 'MESSAGE_UNDECODABLE')
  })

  test('knows what was signed by a key that was retired since, and nothing by one that was revoked', async () => {
    const partition = 13
    await write(partition, await cleared(partition, 'by-the-first'))
    await newKey(bench.settings, Date.now())
    const retiredAt = Date.now() + 1
    await rotateKeys(bench.settings, 0, retiredAt)
    const second = readSigningKey(bench.settings.signingKey)
    assert.notEqual(second.id, key.id)
    await write(partition, await cleared(partition, 'by-the-second', undefined, second))
    const both = await readAll({ partitions: [partition] })
    assert.deepEqual(both.ids, ['by-the-first', 'by-the-second'])

    await write(partition, await cleared(partition, 'too-late', undefined, key, { signedAt: retiredAt }))
    assert.equal((await readAll({ partitions: [partition] })).error?.code, 'KEY_RETIRED')

    await revokeKey(bench.settings, key.id, 'a test', Date.now())
    const revoked = await readAll({ partitions: [partition] })
    assert.deepEqual([revoked.ids, revoked.error?.code], [[], 'KEY_REVOKED'])
  })

  test('a position of another topic, or of more than there is, is refused', async () => {
    const { position } = await readAll({ partitions: [0] })
    const [range] = position.snapshot.ranges
    assert.ok(range)
    const wrong = [
      { ...position.snapshot, cluster: 'another' },
      { ...position.snapshot, topic: 'gate.clean' },
      { ...position.snapshot, ranges: [{ ...range, to: range.to + 1 }] },
      { ...position.snapshot, ranges: [{ ...range, partition: PARTITIONS }] },
    ]
    for (const snapshot of wrong) {
      await assert.rejects(openCleanReader(bench.settings, { position: { ...position, snapshot } }), {
        code: 'POSITION_JUMPED',
      })
    }
    await assert.rejects(openCleanReader(bench.settings, { partitions: [PARTITIONS] }), {
      code: 'USAGE',
      message: /has no partition 18: expected 0 to 17/,
    })
    const elsewhere = { ...bench.settings, keyring: join(bench.folder, 'none.json') }
    await assert.rejects(openCleanReader(elsewhere), { code: 'CONFIG_INVALID', message: /there is no keyring/ })
  })

  // The last one: nobody can read the recalls afterwards.
  test('where nobody can say whether an item was recalled, the position stays before it', async () => {
    const partition = 1
    const current = readSigningKey(bench.settings.signingKey)
    const { snapshot } = (await readAll({ partitions: [partition] }, 0)).position
    const from = snapshot.ranges[0]?.to ?? 0
    // More than are proven ahead before the recalls become unreadable.
    const names = Array.from({ length: 300 }, (_, index) => `d${index}`)
    await write(partition, ...(await Promise.all(names.map((name) => cleared(partition, name, undefined, current)))))
    const ranges = [{ partition, from, to: from + names.length }]
    const reader = await openCleanReader(bench.settings, { position: beginningOf({ ...snapshot, ranges }) })
    try {
      const items = reader.items()
      const ids: string[] = []
      const handNext = async () => ids.push((await items.next()).value?.id ?? '')
      await handNext()
      await bench.produce('gate.recalls', [{ key: 'x', partition: 0, value: Buffer.from('not Avro') }])
      const next = () =>
        handNext().then(
          () => null,
          (thrown: unknown) => thrown,
        )
      // Seldom: the items have to last for as long as the recalls take to be read.
      const error = await waitFor('it has met what is no recall', next, { everyMs: 1000 })
      assert.ok(error instanceof SluiceError && error.code === 'MESSAGE_UNDECODABLE')
      assert.deepEqual(ids, names.slice(0, ids.length))
      assert.deepEqual(reader.position().next, [from + ids.length])
    } finally {
      await reader.close()
    }
  })
})

function ownKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { id: keyId(privateKey), key: privateKey }
}
