import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { packNumbers, unpackNumbers } from '../../../services/domain/replay/packed-numbers.ts'

const MOST = Number.MAX_SAFE_INTEGER
const offset = fc.oneof(fc.nat(1000), fc.maxSafeNat(), fc.constantFrom(0, 1, MOST - 1, MOST))

test('any list of whole numbers comes back as it was, in any order', () => {
  fc.assert(
    fc.property(fc.array(offset), (numbers) => {
      assert.deepEqual(unpackNumbers(packNumbers(numbers)), numbers)
    }),
  )
})

test('as many as a run may have of a partition come back, however they lie', () => {
  const apart = Array.from({ length: 500_000 }, (_, n) => (n % 2 === 0 ? MOST - n : n))
  assert.deepEqual(unpackNumbers(packNumbers(apart)), apart)
})

test('a quarter of a million neighbours take next to nothing', () => {
  const neighbours = Array.from({ length: 250_000 }, (_, n) => 9_000_000_000 + n)
  assert.ok(packNumbers(neighbours).length < 2000)
})

for (const numbers of [[-1], [0.5], [Number.NaN], [MOST + 1], [-MOST, MOST - 1], [Number.POSITIVE_INFINITY]]) {
  test(`${numbers.join(' and ')} can not be packed`, () => {
    assert.throws(() => packNumbers(numbers), RangeError)
  })
}

const hostile: ReadonlyArray<readonly [string, string]> = [
  ['nothing', ''],
  ['no JSON', '[1,2'],
  ['no list', '{"0":1}'],
  ['a number', '7'],
  ['null', 'null'],
  ['a text in the list', '[1,"2"]'],
  ['a list in the list', '[[1]]'],
  ['null in the list', '[null]'],
  ['a fraction', '[1,0.5]'],
  ['a number beyond what is whole', '[9007199254740991,1]'],
  ['a number beyond all', '[1e400]'],
  ['a negative number', '[3,-4]'],
  ['a great depth', '['.repeat(10_000_000)],
  ['more than ever fits', `[${'0,'.repeat(20_000_000)}0]`],
]
for (const [what, text] of hostile) {
  test(`${what}, packed, is refused`, () => {
    assert.throws(() => unpackNumbers(deflateRawSync(text)), RangeError)
  })
}

test('any bytes are refused or give whole numbers', () => {
  const flipped = fc.tuple(fc.array(offset), fc.nat(), fc.integer({ min: 1, max: 255 })).map(([numbers, at, mask]) => {
    const bytes = packNumbers(numbers)
    const place = at % bytes.length
    bytes[place] = (bytes[place] ?? 0) ^ mask
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), flipped), (bytes) => {
      try {
        assert.ok(unpackNumbers(bytes).every((number) => Number.isSafeInteger(number) && number >= 0))
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
    }),
    { numRuns: 500 },
  )
})
