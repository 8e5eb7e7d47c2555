import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { DigestSet } from '../../services/domain/digest-set.ts'

test('it has what was put in, once, and nothing else, while it grows', () => {
  const digestOf = (n: number) => hash('sha256', String(n), 'buffer')
  const set = new DigestSet()
  for (let n = 0; n < 20_000; n++) assert.equal(set.add(digestOf(n)), true)
  for (let n = 0; n < 20_000; n++) assert.equal(set.add(digestOf(n)), false)
  assert.equal(set.size, 20_000)
  for (let n = 20_000; n < 40_000; n++) assert.equal(set.has(digestOf(n)), false)
})

test("digests that want the same place, or are all zeros, do not get into each other's way", () => {
  // Of few different words, so that they meet.
  const digest = fc.array(fc.constantFrom(0, 1, 255), { minLength: 4, maxLength: 4 }).map((words) => {
    const bytes = Buffer.alloc(16)
    for (const [index, word] of words.entries()) bytes.writeUInt32LE(word, index * 4)
    return bytes
  })
  fc.assert(
    fc.property(fc.array(digest, { maxLength: 100 }), (digests) => {
      const set = new DigestSet()
      const plain = new Set<string>()
      // A digest of zeros alone is taken for another one of a single 1: of a hash neither ever comes.
      const name = (bytes: Buffer) =>
        bytes.every((byte) => byte === 0) ? `01${'00'.repeat(15)}` : bytes.toString('hex')
      for (const bytes of digests) {
        assert.equal(set.add(bytes), !plain.has(name(bytes)))
        plain.add(name(bytes))
      }
      assert.equal(set.size, plain.size)
      for (const bytes of digests) assert.ok(set.has(bytes))
    }),
  )
})
