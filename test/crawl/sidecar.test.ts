import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { envelopeFromSidecar } from '../../services/crawl/sidecar.ts'
import { acquisition } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { schemaType } from '../../services/platform/avro.ts'

test('without a sidecar only the item id is known and every other group is null', () => {
  const envelope = envelopeFromSidecar('some-id', null)
  assert.deepEqual(envelope, {
    item: { id: 'some-id', mediaTypeClaimed: null, collectedAt: null },
    payload: null,
    acquisition: null,
    origin: null,
    supply: null,
    rights: null,
    synthetic: null,
    liveness: null,
    amendments: [],
    extra: {},
  })
})

test('groups that a sidecar tells are taken over, and fields that it leaves out are null', () => {
  const envelope = envelopeFromSidecar(
    'some-id',
    JSON.stringify({
      item: { mediaTypeClaimed: 'image/jpeg' },
      payload: { md5: 'd41d8cd98f00b204e9800998ecf8427e' },
      acquisition: { status: 200, responseHeaders: [{ name: 'etag', value: '"1"' }] },
      supply: { kind: 'licensed', row: 7 },
      rights: null,
    }),
  )
  assert.deepEqual(envelope.item, { id: 'some-id', mediaTypeClaimed: 'image/jpeg', collectedAt: null })
  assert.equal(envelope.payload?.md5, 'd41d8cd98f00b204e9800998ecf8427e')
  assert.equal(envelope.payload?.reference, null)
  assert.deepEqual(
    envelope.acquisition,
    acquisition({ status: 200, responseHeaders: [{ name: 'etag', value: '"1"' }] }),
  )
  assert.equal(envelope.supply?.row, 7)
  assert.equal(envelope.rights, null)
  assert.deepEqual(envelope.extra, {})
})

test('what the schema does not know is kept in extra as JSON text', () => {
  const sidecar = `{"extra": {"a": "b"}, "mood": [1, "x"], "item": {"id": "other", "collectedAt": 5},
    "origin": {"likes": 3, "__proto__": {"y": null}}, "constructor": true}`
  const { item, extra } = envelopeFromSidecar('some-id', sidecar)
  assert.deepEqual(item, { id: 'some-id', mediaTypeClaimed: null, collectedAt: 5 })
  assert.deepEqual(Object.entries(extra).sort(), [
    ['a', 'b'],
    ['constructor', 'true'],
    ['item.id', '"other"'],
    ['mood', '[1,"x"]'],
    ['origin.__proto__', '{"y":null}'],
    ['origin.likes', '3'],
  ])
})

test('numbers that the schema does not know keep all their digits', () => {
  const sidecar = `{"origin": {"postId": 1234567890123456789, "likes": 3}, "at": [-9007199254740993, {"x": 1.10}], "supply": {"kind": "x", "row": 7}}`
  const { supply, extra } = envelopeFromSidecar('some-id', sidecar)
  assert.equal(supply?.row, 7)
  assert.deepEqual(extra, {
    'origin.postId': '1234567890123456789',
    'origin.likes': '3',
    at: '[-9007199254740993,{"x":1.10}]',
  })
})

const wrong: { sidecar: string; field: string }[] = [
  { sidecar: '', field: '' },
  { sidecar: 'not json', field: '' },
  { sidecar: '[]', field: '' },
  { sidecar: 'null', field: '' },
  { sidecar: '{"origin": "here"}', field: 'origin' },
  { sidecar: '{"origin": {"pageUrl": 5}}', field: 'origin.pageUrl' },
  { sidecar: '{"origin": {"uploadedAtClaimed": "2026-01-01"}}', field: 'origin.uploadedAtClaimed' },
  { sidecar: '{"item": {"collectedAt": 1.5}}', field: 'item.collectedAt' },
  { sidecar: '{"item": {"collectedAt": 1e300}}', field: 'item.collectedAt' },
  { sidecar: '{"payload": {"sha256": "AB"}}', field: 'payload.sha256' },
  { sidecar: '{"payload": {"size": -1}}', field: 'payload.size' },
  { sidecar: '{"acquisition": {"status": 3000000000}}', field: 'acquisition.status' },
  { sidecar: '{"acquisition": {"redirects": [1]}}', field: 'acquisition.redirects.0' },
  { sidecar: '{"acquisition": {"responseHeaders": [{"name": "a"}]}}', field: 'acquisition.responseHeaders.0.value' },
  { sidecar: '{"supply": {"kind": "x", "row": 9007199254740993}}', field: 'supply.row' },
  { sidecar: '{"supply": {"supplier": "x"}}', field: 'supply.kind' },
  { sidecar: '{"extra": {"a": 1}}', field: 'extra.a' },
]
for (const { sidecar, field } of wrong) {
  test(`the sidecar ${sidecar || '(empty)'} is refused, naming ${field === '' ? 'the file' : field}`, () => {
    assert.throws(
      () => envelopeFromSidecar('some-id', sidecar),
      (error) =>
        error instanceof SluiceError && error.code === 'SIDECAR_INVALID' && Reflect.get(error, 'field') === field,
    )
  })
}

test('whatever JSON a sidecar holds, it is refused with SIDECAR_INVALID or makes an envelope that fits the schema', () => {
  const type = schemaType('envelope')
  const group = fc.dictionary(
    fc.constantFrom('kind', 'status', 'pageUrl', 'redirects', 'size', 'md5', 'more', '__proto__', 'fetchedAt'),
    fc.jsonValue(),
  )
  const names = ['item', 'payload', 'acquisition', 'origin', 'supply', 'rights', 'liveness', 'extra', 'toString', 'own']
  const object = fc.dictionary(fc.constantFrom(...names), fc.oneof(group, fc.jsonValue()))
  fc.assert(
    fc.property(fc.oneof(object, fc.jsonValue()), (value) => {
      let envelope: unknown
      try {
        envelope = envelopeFromSidecar('some-id', JSON.stringify(value))
      } catch (error) {
        return error instanceof SluiceError && error.code === 'SIDECAR_INVALID'
      }
      return type.isValid({ input: { cluster: '', topic: '', partition: 0, offset: 0 }, itemId: null, envelope })
    }),
    { numRuns: 2000 },
  )
})
