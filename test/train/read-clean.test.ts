import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { newKey, revokeKey, rotateKeys } from '../../services/cluster/keys.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { keyId } from '../../services/domain/keyring.ts'
import type { Receipt } from '../../services/domain/receipt.ts'
import type { CleanItem, RecallRecord } from '../../services/domain/records.ts'
import { readSigningKey, type SigningKey } from '../../services/platform/signing-key.ts'
import {
  openCleanReader,
  type ReadCleanOptions,
  type ReadCounts,
  type ReadPosition,
} from '../../services/train/read-clean.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { signedItem } from './signed-items.ts'

const PARTITIONS = 16
/** Of the door that these items are said to have come from. */
let doorOffset = 0

describe('the clean reader', () => {
  const scope = openScope('read-clean')
  let bench: Bench
  let key: SigningKey

  before(async () => {
    bench = await openBench(scope, { partitions: PARTITIONS })
    await bench.store('clean').make()
    key = readSigningKey(bench.settings.signingKey)
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
  ): Promise<CleanItem> {
    await bench.store('clean').write(hash('sha256', bytes), bytes)
    doorOffset += 1
    const input = { cluster: 'c', topic: bench.topic('crawl.items'), partition, offset: doorOffset }
    return await signedItem(by, { id, bytes, input }, changes)
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
    const from = { ...first.position, next: first.position.snapshot.ranges.map(({ from: begin }) => begin), turn: null }
    const again = await readAll({ position: { ...from, counts: { handed: 0, bytes: 0, recalled: 0, repeated: 0 } } })
    assert.deepEqual(again.ids, first.ids, 'a snapshot does not grow')

    for (let most = 0; most <= first.ids.length; most++) {
      const part = await readAll(
        { position: { ...from, counts: { handed: 0, bytes: 0, recalled: 0, repeated: 0 } } },
        most,
      )
      const rest = await readAll({ position: JSON.parse(JSON.stringify(part.position)) })
      assert.deepEqual([...part.ids, ...rest.ids], first.ids, `cut after ${most}`)
      assert.deepEqual(rest.counts, first.counts)
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
      message: /has no partition 16: expected 0 to 15/,
    })
    const elsewhere = { ...bench.settings, keyring: join(bench.folder, 'none.json') }
    await assert.rejects(openCleanReader(elsewhere), { code: 'CONFIG_INVALID', message: /there is no keyring/ })
  })
})

function ownKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { id: keyId(privateKey), key: privateKey }
}
