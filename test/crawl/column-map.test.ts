import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SidecarError } from '../../services/crawl/sidecar.ts'
import { envelopeFromRow, readTableOptions, withOwnNames } from '../../services/crawl/tables/column-map.ts'
import { envelopeFields } from '../../services/crawl/tables/envelope-fields.ts'
import { jsonText, rowFromJson } from '../../services/crawl/tables/row.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { schemaType } from '../../services/platform/avro.ts'

const texts = [...envelopeFields].filter(([, kind]) => kind === 'text').map(([field]) => field)
const record = schemaType('envelope')
const input = { cluster: '', topic: '', partition: 0, offset: 0 }
const defaults = { 'supply.kind': 'licensed' }

function at(envelope: Envelope, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => Reflect.get(Object(value), name), envelope)
}

test('whatever texts a row holds, each is found again unchanged: in the field that its column tells, or in extra', () => {
  const column = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'url', ...texts))
  const row = fc.array(fc.tuple(column, fc.string({ unit: 'binary' })), { maxLength: 12 })
  const words = fc.array(fc.tuple(column, fc.constantFrom(...texts)), { maxLength: 6 })
  fc.assert(
    fc.property(row, words, (cells, pairs) => {
      const given = new Map(cells)
      const map = withOwnNames(new Map(pairs.map(([name, field]) => [field, name])), given.keys())
      const envelope = envelopeFromRow('some-id', given, { map, defaults, prefix: 'manifest' })
      for (const [name, text] of given) {
        const fields = [...map].filter(([, from]) => from === name).map(([field]) => field)
        const told = fields.length > 0 && text !== ''
        if (told) for (const field of fields) assert.equal(at(envelope, field), text)
        else assert.equal(JSON.parse(envelope.extra[`manifest.${name}`] ?? ''), text)
      }
      assert.ok(record.isValid({ input, envelope }))
    }),
    { numRuns: 300 },
  )
})

test('whatever JSON a row holds, it makes an envelope that fits the schema, or is refused with its field', () => {
  const fields = [...envelopeFields.keys()]
  const rows = fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string()), fc.jsonValue())
  fc.assert(
    fc.property(rows, (value) => {
      try {
        const row = rowFromJson(JSON.stringify(value))
        const envelope = envelopeFromRow('some-id', row, {
          map: withOwnNames(new Map(), row.keys()),
          defaults,
          prefix: 'm',
        })
        return record.isValid({ input, envelope })
      } catch (error) {
        return error instanceof SidecarError
      }
    }),
    { numRuns: 1000 },
  )
})

test('a row of JSON comes back as the JSON that it was', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.oneof(fc.jsonValue({ maxDepth: 4 }), fc.bigInt())), (value) => {
      const json = jsonText(value)
      assert.equal(jsonText(Object.fromEntries(rowFromJson(json))), json)
    }),
    { examples: [[JSON.parse('{"__proto__": {"__proto__": 1}, "constructor": 2}')]] },
  )
})

test('every field of the envelope can be mapped, but for the item id and how the payload travels', () => {
  const { map } = readTableOptions({ map: [...envelopeFields.keys()].map((field) => `a=b=${field}`) })
  assert.deepEqual([...map.keys()], [...envelopeFields.keys()])
  assert.ok([...map.values()].every((column) => column === 'a=b'))
  for (const field of ['item.id', 'payload.reference', 'extra.x', 'amendments'])
    assert.throws(() => readTableOptions({ map: [`a=${field}`] }), /there is no field/)
})

test('a line of JSON with a text that does not end is told as such at once, however many quotes are in it', () => {
  const started = performance.now()
  assert.throws(() => rowFromJson(`{"a": "${'\\"'.repeat(500_000)}`), SidecarError)
  assert.ok(performance.now() - started < 20_000)
})
