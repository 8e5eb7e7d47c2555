import assert from 'node:assert/strict'
import { generateKeyPairSync, hash, verify } from 'node:crypto'
import test from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '../../services/domain/canonical-json.ts'
import { parseDsse, signDsse } from '../../services/domain/dsse.ts'
import { emptyEnvelope, trainingView } from '../../services/domain/envelope.ts'
import {
  createKeyLookup,
  derOf,
  type Keyring,
  type KnownKey,
  keyId,
  parseKeyring,
} from '../../services/domain/keyring.ts'
import {
  createReceiptCheck,
  mismatch,
  RECEIPT_TYPE,
  type Receipt,
  receiptBody,
  viewDigest,
} from '../../services/domain/receipt.ts'
import type { CleanItem, EnvelopeRecord } from '../../services/domain/records.ts'
import { schemaType } from '../../services/platform/avro.ts'
import { anyEnvelope } from './any-envelope.ts'

const NOW = Date.UTC(2026, 10, 28)
const { privateKey } = generateKeyPairSync('ed25519')
const signingKey = { id: keyId(privateKey), key: privateKey }

function ring(...changes: Array<Partial<KnownKey>>): Keyring {
  const key = {
    id: signingKey.id,
    publicKey: derOf(privateKey).toString('base64'),
    from: 0,
    until: null,
    revoked: null,
  }
  return { version: 1, keys: changes.map((change) => ({ ...key, ...change })) }
}
const checkWith = (keyring: Keyring) => createReceiptCheck(createKeyLookup(keyring))

const payload = Buffer.from('a picture')
const item: CleanItem = {
  input: { cluster: 'c', topic: 't.crawl.items', partition: 3, offset: 14 },
  id: 'boat',
  payload: { reference: hash('sha256', payload), size: payload.length, mediaType: 'image/png' },
  training: trainingView(emptyEnvelope()),
  receipt: null,
}
const receipt: Receipt = {
  version: 1,
  verdict: 'clean',
  input: item.input,
  id: item.id,
  payload: {
    md5: hash('md5', payload),
    sha1: hash('sha1', payload),
    sha256: hash('sha256', payload),
    size: payload.length,
    mediaType: 'image/png',
  },
  envelope: { sha256: viewDigest(emptyEnvelope()) },
  training: { sha256: viewDigest(item.training) },
  policyHash: hash('sha256', 'policy'),
  listVersions: [{ list: 'stand-in', version: '2026' }],
  engineVersion: '3',
  signedAt: NOW,
  keyId: signingKey.id,
}
const text = signDsse(RECEIPT_TYPE, receiptBody(receipt), signingKey)

test('a receipt comes back as it was signed, and is for what it was signed for', async () => {
  const found = await checkWith(ring({}))(text)
  assert.deepEqual(found, receipt)
  assert.equal(mismatch(receipt, item), null)
})

test('it is DSSE as others read it: the signature is over the pre-authentication encoding of type and body', () => {
  const { payloadType, payload: body, signatures } = JSON.parse(text)
  const bytes = Buffer.from(body, 'base64')
  const signed = `DSSEv1 ${payloadType.length} ${payloadType} ${bytes.length} ${bytes.toString('latin1')}`
  assert.ok(verify(null, Buffer.from(signed, 'latin1'), privateKey, Buffer.from(signatures[0].sig, 'base64')))
})

test('with any one bit of it flipped, a receipt is none', async () => {
  const bytes = Buffer.from(text)
  const check = checkWith(ring({}))
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const found = await check(flipped.toString('latin1'))
    assert.equal(typeof found, 'string', `bit ${bit}: ${flipped.toString('latin1')}`)
  }
})

test('a body written in another way, or signed as another type, is none, though the signature holds', async () => {
  const check = checkWith(ring({}))
  const spaced = JSON.stringify(receipt, null, 1)
  assert.equal(await check(signDsse(RECEIPT_TYPE, spaced, signingKey)), 'RECEIPT_INVALID')
  assert.equal(
    await check(signDsse('application/vnd.in-toto+json', receiptBody(receipt), signingKey)),
    'RECEIPT_INVALID',
  )
  assert.equal(await check(`${text} `), 'RECEIPT_INVALID')
  assert.equal(await check(null), 'RECEIPT_MISSING')
  assert.equal(await check('null'), 'RECEIPT_INVALID')
})

const keys: Array<[string, Keyring, string | null]> = [
  ['that is not on the keyring', ring(), 'KEY_UNKNOWN'],
  ['that is made later', ring({ from: NOW + 1 }), 'KEY_RETIRED'],
  ['that is made at that moment', ring({ from: NOW }), null],
  ['that is retired later', ring({ until: NOW + 1 }), null],
  ['that was retired at that moment', ring({ until: NOW }), 'KEY_RETIRED'],
  ['that was retired before', ring({ until: NOW - 1 }), 'KEY_RETIRED'],
  ['that was revoked, whenever', ring({ revoked: { at: NOW + 1000, why: 'lost' } }), 'KEY_REVOKED'],
]
for (const [what, keyring, fault] of keys) {
  test(`by a key ${what}: ${fault ?? 'it holds'}`, async () => {
    const found = await checkWith(keyring)(text)
    assert.equal(typeof found === 'string' ? found : null, fault)
  })
}

test('by another key under the same name it is forged', async () => {
  const other = generateKeyPairSync('ed25519').privateKey
  const forged = signDsse(RECEIPT_TYPE, receiptBody(receipt), { id: signingKey.id, key: other })
  assert.equal(await checkWith(ring({}))(forged), 'RECEIPT_INVALID')
})

test('what an item has of its own can not be another one than on its receipt', () => {
  const others: Array<[string, CleanItem]> = [
    ['cluster', { ...item, input: { ...item.input, cluster: 'd' } }],
    ['topic', { ...item, input: { ...item.input, topic: 'u.crawl.items' } }],
    ['partition', { ...item, input: { ...item.input, partition: 4 } }],
    ['offset', { ...item, input: { ...item.input, offset: 15 } }],
    ['item id', { ...item, id: 'ship' }],
    ['payload', { ...item, payload: { ...item.payload, reference: hash('sha256', 'another') } }],
    ['size', { ...item, payload: { ...item.payload, size: 8 } }],
    ['media type', { ...item, payload: { ...item.payload, mediaType: 'image/gif' } }],
  ]
  for (const [what, other] of others) assert.equal(mismatch(receipt, other), what)
  for (const name of Object.keys(item.training)) {
    const training = { ...item.training, [name]: name === 'collectedAt' ? 1 : 'x' }
    assert.equal(mismatch(receipt, { ...item, training }), 'training view', name)
  }
})

test('the digest of an envelope is that of what Avro makes of it', () => {
  const type = schemaType('envelope')
  fc.assert(
    fc.property(anyEnvelope('boat'), (envelope) => {
      const input = receipt.input
      const { envelope: again }: EnvelopeRecord = type.fromBuffer(type.toBuffer({ input, envelope }))
      assert.equal(viewDigest(again), viewDigest(envelope))
    }),
  )
})

test('canonical JSON has one text for a value: keys sorted, lone surrogates as Avro writes them', () => {
  assert.equal(
    canonicalJson({ b: [1, { d: null, c: true }], a: '\ud800' }),
    '{"a":"\ufffd","b":[1,{"c":true,"d":null}]}',
  )
  assert.equal(canonicalJson({ é: 1, e: 2, '\u20ac': 3, '\r': 4, '1': 5 }), '{"\\r":4,"1":5,"e":2,"é":1,"€":3}')
  // RFC 8785 writes text as JavaScript does.
  for (let unit = 0; unit < 0xd800; unit++) {
    const text = String.fromCharCode(unit)
    assert.equal(canonicalJson(text), JSON.stringify(text))
  }
})

test('canonical JSON says what the value is, in whatever order its keys were given', () => {
  const backwards = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(backwards)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, field]) => [key, backwards(field)]),
    )
  }
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = canonicalJson(value)
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
      assert.equal(canonicalJson(backwards(value)), text)
      assert.equal(text.length, JSON.stringify(value).length)
    }),
    { numRuns: 500 },
  )
})

test('a keyring that is not right is told with what is wrong', () => {
  const right = ring({})
  const table: Array<[unknown, RegExp]> = [
    ['{', /not JSON/],
    [{ version: 2, keys: [] }, /^version/],
    [{ ...right, keys: [{ ...right.keys[0], id: 'abcd' }] }, /^keys\.0\.id: expected/],
    [{ ...right, keys: [{ ...right.keys[0], publicKey: 'AAAA' }] }, /^keys\.0\.publicKey: expected an Ed25519/],
    [{ ...right, keys: [right.keys[0], right.keys[0]] }, /twice/],
  ]
  for (const [wrong, told] of table) {
    assert.match(String(parseKeyring(typeof wrong === 'string' ? wrong : JSON.stringify(wrong))), told)
  }
  assert.deepEqual(parseKeyring(JSON.stringify(right)), right)
})

test('an envelope of DSSE with fields or signatures more is none', () => {
  const parsed = JSON.parse(text)
  assert.equal(parseDsse(JSON.stringify({ ...parsed, more: 1 })), null)
  assert.equal(parseDsse(JSON.stringify({ ...parsed, signatures: [...parsed.signatures, ...parsed.signatures] })), null)
  assert.equal(parseDsse(JSON.stringify({ ...parsed, signatures: [] })), null)
})
