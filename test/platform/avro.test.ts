import assert from 'node:assert/strict'
import test from 'node:test'
import avro from 'avsc'
import fc from 'fast-check'
import { acquisition } from '../../services/domain/envelope.ts'
import { LARGEST_LONG } from '../../services/domain/envelope-json.ts'
import { assertBeginningBounded, assertBounded, schemaType } from '../../services/platform/avro.ts'

const item = schemaType('crawl-item')
const sample = item.toBuffer({
  envelope: {
    item: { id: 'a', mediaTypeClaimed: null, collectedAt: 1 },
    payload: { reference: null, size: 3, md5: null, sha1: null, sha256: null },
    acquisition: acquisition({
      crawler: 'c',
      redirects: ['x', 'y'],
      status: 200,
      responseHeaders: [{ name: 'etag', value: 'v' }],
    }),
    origin: null,
    supply: null,
    rights: null,
    synthetic: null,
    liveness: null,
    extra: { k: '1' },
  },
  inline: Buffer.from('abc'),
})

test('a value that the library encoded has the shape of its type', () => {
  assert.doesNotThrow(() => assertBounded(item, sample, 0))
})

test('whatever is done to the bytes of a value, what passes the check decodes and can be written again, or is refused at once', () => {
  const byte = fc.nat(255).map((level) => Buffer.of(level))
  const number = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(varint)
  const mutation = fc.tuple(fc.nat(sample.length - 1), fc.oneof(byte, number))
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 8 }), fc.nat(sample.length), (changes, cut) => {
      let bytes = Buffer.from(sample)
      for (const [at, part] of changes) bytes = Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at + 1)])
      if (changes.length > 1) bytes = bytes.subarray(0, bytes.length - cut)
      try {
        assertBounded(item, bytes, 0)
      } catch (error) {
        assert.ok(error instanceof RangeError)
        return
      }
      let value: unknown
      // The library may still refuse a number beyond 2^53, never hang or run out of memory.
      try {
        value = item.fromBuffer(bytes)
      } catch (error) {
        assert.ok(error instanceof Error)
        return
      }
      assert.doesNotThrow(() => item.toBuffer(value))
    }),
    { numRuns: 20_000 },
  )
})

/** A number as Avro writes it. */
function varint(value: bigint): Buffer {
  const bytes: number[] = []
  for (let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)); ; rest >>= 7n) {
    const last = rest < 128n
    bytes.push(Number(rest & 127n) | (last ? 0 : 128))
    if (last) return Buffer.from(bytes)
  }
}

test('ten bytes that announce two thousand million items are refused, also where items have no bytes of their own', () => {
  for (const items of ['string', 'null'] as const) {
    const list = avro.Type.forSchema({ type: 'array', items })
    const bytes = Buffer.concat([avro.Type.forSchema('long').toBuffer(2_000_000_000), Buffer.alloc(5)])
    assert.throws(() => assertBounded(list, bytes, 0), /beyond the bytes/)
  }
})

test('a long that passes is read as it was written; beyond 52 bits, where the library is wrong, it is refused', () => {
  const long = avro.Type.forSchema('long')
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.nat(62), (any, shift) => {
      const value = any >> BigInt(shift)
      const bytes = varint(value)
      if (value > BigInt(LARGEST_LONG) || value < -BigInt(LARGEST_LONG)) {
        assert.throws(() => assertBounded(long, bytes, 0), /beyond 52 bits/)
      } else {
        assertBounded(long, bytes, 0)
        assert.equal(BigInt(long.fromBuffer(bytes)), value)
        assert.deepEqual(long.toBuffer(long.fromBuffer(bytes)), bytes)
      }
    }),
    {
      examples: [
        [BigInt(LARGEST_LONG), 0],
        [-BigInt(LARGEST_LONG), 0],
        [-BigInt(LARGEST_LONG) - 1n, 0],
      ],
    },
  )
})

test('a map with a key that the library would drop is refused', () => {
  const map = avro.Type.forSchema({ type: 'map', values: 'string' })
  const written = (key: string): Buffer => map.toBuffer(JSON.parse(JSON.stringify({ [key]: 'x' })))
  const lost = written('__proto__')
  assert.throws(() => assertBounded(map, lost, 0), /can not be kept/)
  // Its length in two bytes, where one would do.
  const longer = Buffer.concat([lost.subarray(0, 1), Buffer.from([0x92, 0]), lost.subarray(2)])
  assert.throws(() => assertBounded(map, longer, 0), /can not be kept/)
  for (const key of ['proto', '__proto__x', 'x__proto__', '']) {
    assertBounded(map, written(key), 0)
    assert.deepEqual(map.fromBuffer(written(key)), { [key]: 'x' })
  }
})

test('bytes left over, a union branch that is not there and a negative length are refused', () => {
  const union = avro.Type.forSchema(['null', 'string'])
  const cases: Array<[string, number[], RegExp]> = [
    ['left over', [0, 0], /left over/],
    ['branch 3', [6], /no such branch/],
    ['negative length', [2, 1], /negative/],
    ['number without end', [2, ...new Array<number>(11).fill(255)], /ten bytes/],
  ]
  for (const [name, bytes, expected] of cases) {
    assert.throws(() => assertBounded(union, Buffer.from(bytes), 0), expected, name)
  }
})

test('of the beginning of a record only its own fields are checked, and those as strictly', () => {
  const [text, numbers] = ['string', { type: 'array', items: 'int' }] as const
  const record = avro.Type.forSchema({
    type: 'record',
    name: 'Two',
    fields: [
      { name: 'text', type: text },
      { name: 'numbers', type: numbers },
    ],
  })
  assert.ok(record instanceof avro.types.RecordType)
  const bytes = Buffer.concat([avro.Type.forSchema(text).toBuffer('abc'), varint(2_000_000_000n)])
  assert.doesNotThrow(() => assertBeginningBounded(record, 1, bytes, 0))
  assert.throws(() => assertBeginningBounded(record, 2, bytes, 0), /beyond the bytes/)
  assert.throws(() => assertBeginningBounded(record, 1, bytes.subarray(0, 2), 0), /end too early/)
})
