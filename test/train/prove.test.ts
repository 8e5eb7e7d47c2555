import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { SluiceError } from '../../services/domain/errors.ts'
import { derOf, keyId } from '../../services/domain/keyring.ts'
import type { CleanItem } from '../../services/domain/records.ts'
import { schemaType } from '../../services/platform/avro.ts'
import { createProve } from '../../services/train/prove.ts'
import { signedItem } from './signed-items.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const key = { id: keyId(privateKey), key: privateKey }
const known = { id: key.id, publicKey: derOf(privateKey).toString('base64'), from: 0, until: null, revoked: null }
const prove = createProve({ version: 1, keys: [known] })

const bytes = Buffer.from('the bytes of a picture, as they were checked')
const input = { cluster: 'c', topic: 'crawl.items', partition: 3, offset: 14 }
const item = signedItem(key, { id: 'boat', bytes, input })
const place = 'gate.clean/3/7'
const { offset: _, ...door } = input
const claimOf = (other: CleanItem) => ({ place, key: other.id, door, item: other })

test('what a gate has signed is proven, with its bytes', async () => {
  const receipt = await prove.claim(claimOf(item))
  prove.bytes(claimOf(item), receipt, bytes)
})

test('with any one bit flipped of what lies on the topic, nothing is proven', async () => {
  const type = schemaType('clean-item')
  const message = type.toBuffer(item)
  for (let bit = 0; bit < message.length * 8; bit++) {
    const other = decoded(flip(message, bit))
    if (other === null) continue
    await assert.rejects(prove.claim({ place, key: 'boat', door: null, item: other }), isRefusal, `bit ${bit}`)
  }

  function decoded(flipped: Buffer): CleanItem | null {
    try {
      return type.fromBuffer(flipped)
    } catch {
      return null
    }
  }
})

test('with any one bit of the payload flipped, or a byte more or less, the bytes are not those that were checked', async () => {
  const receipt = await prove.claim(claimOf(item))
  const wrong = (other: Uint8Array) =>
    assert.throws(() => prove.bytes(claimOf(item), receipt, other), {
      code: 'PAYLOAD_TAMPERED',
      message: /item boat at gate\.clean\/3\/7/,
    })
  for (let bit = 0; bit < bytes.length * 8; bit++) wrong(flip(bytes, bit))
  wrong(bytes.subarray(1))
  wrong(Buffer.concat([bytes, Buffer.of(0)]))
  wrong(Buffer.alloc(0))
})

test('under another key than its id, it is not what was signed', async () => {
  await assert.rejects(prove.claim({ place, key: 'ship', door, item }), {
    code: 'RECEIPT_MISMATCH',
    message: /its key is not/,
  })
})

test('what came through another door is not what lies behind this one, whoever signed for it', async () => {
  await prove.claim({ ...claimOf(item), door: null })
  for (const other of [{ cluster: 'd' }, { topic: 'test.crawl.items' }, { partition: 4 }]) {
    await assert.rejects(prove.claim({ ...claimOf(item), door: { ...door, ...other } }), {
      code: 'RECEIPT_MISMATCH',
      message: /another door/,
    })
  }
})

test('what is told of a forged item holds nothing that its forger chose, but a proper id', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1 }), fc.string(), async (id, caption) => {
      const forged = { ...item, id, training: { ...item.training, caption } }
      const error: unknown = await prove
        .claim({ place, key: id, door, item: forged })
        .catch((thrown: unknown) => thrown)
      assert.ok(error instanceof SluiceError)
      const proper = /^[A-Za-z0-9._-]{1,64}$/.test(id)
      assert.equal(error.message.startsWith(proper ? `item ${id} at ` : 'an item without a proper id at '), true)
    }),
  )
})

function flip(source: Uint8Array, bit: number): Buffer {
  const flipped = Buffer.from(source)
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

function isRefusal(error: unknown): boolean {
  return error instanceof SluiceError && error.fault === 'evidence'
}
