import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { exactMatcher, exactValues } from '../../../services/domain/match/exact.ts'

test('whatever digests are known, how often and how alike, those that are equal are found and no others', () => {
  // Few values a byte, and often the same first bytes: many are equal or nearly so.
  const digest = fc
    .tuple(fc.constantFrom(0, 7), fc.array(fc.constantFrom(0, 1), { minLength: 12, maxLength: 12 }))
    .map(([first, rest]) => Buffer.from([first, 0, 0, 0, ...rest]))
  fc.assert(
    fc.property(fc.array(digest, { maxLength: 200 }), fc.array(digest, { maxLength: 20 }), (known, others) => {
      const values = exactValues(known.length, 16)
      values.refs.set(Array.from(known.keys(), (ref) => ref * 3))
      values.bytes.set(Buffer.concat(known))
      const { search } = exactMatcher(values.build())
      for (const wanted of [...known, ...others]) {
        const found = search(wanted, 0).map(({ ref }) => ref)
        assert.deepEqual(
          found.sort((a, b) => a - b),
          known.flatMap((value, ref) => (value.equals(wanted) ? [ref * 3] : [])),
        )
      }
    }),
    { numRuns: 200 },
  )
})

test('a digest of another length is not found', () => {
  const { search } = exactMatcher(exactValues(1, 20).build())
  assert.deepEqual(search(Buffer.alloc(16), 0), [])
  assert.deepEqual(search(Buffer.alloc(32), 0), [])
})
