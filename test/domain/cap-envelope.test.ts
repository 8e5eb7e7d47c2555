import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { CUT_ENTRIES, capEnvelope, LONGEST_TEXT, MOST_ENTRIES } from '../../services/domain/cap-envelope.ts'
import { acquisition, emptyEnvelope, origin } from '../../services/domain/envelope.ts'

test('what is within the limits comes back as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.dictionary(fc.string(), fc.string()), (text, extra) => {
      const envelope = { ...emptyEnvelope(), origin: origin({ caption: text }), extra }
      const result = capEnvelope(envelope)
      assert.equal(result.cut, false)
      assert.equal(result.envelope, envelope)
    }),
  )
})

test('a longer text is cut, and says how long it was', () => {
  const { envelope, cut } = capEnvelope({
    ...emptyEnvelope(),
    origin: origin({ caption: 'x'.repeat(LONGEST_TEXT + 1), pageTitle: 'x'.repeat(LONGEST_TEXT) }),
  })
  assert.equal(cut, true)
  assert.equal(envelope.origin?.caption, `${'x'.repeat(LONGEST_TEXT)}[cut: ${LONGEST_TEXT + 1} characters]`)
  assert.equal(envelope.origin?.pageTitle?.length, LONGEST_TEXT)
})

test('a character of two code units is not torn', () => {
  const caption = `${'x'.repeat(LONGEST_TEXT - 1)}😀`
  const { envelope } = capEnvelope({ ...emptyEnvelope(), origin: origin({ caption }) })
  assert.ok(envelope.origin?.caption?.startsWith(`${'x'.repeat(LONGEST_TEXT - 1)}[cut`))
  assert.ok(envelope.origin?.caption?.isWellFormed())
})

test('of too many headers, redirects or free fields the first are kept', () => {
  const many = Array.from({ length: MOST_ENTRIES + 5 }, (_, n) => `n${n}`)
  const { envelope, cut } = capEnvelope({
    ...emptyEnvelope(),
    acquisition: acquisition({ redirects: many, responseHeaders: many.map((name) => ({ name, value: name })) }),
    extra: Object.fromEntries(many.map((name) => [name, name])),
  })
  assert.equal(cut, true)
  assert.deepEqual(envelope.acquisition?.redirects, many.slice(0, MOST_ENTRIES))
  assert.equal(envelope.acquisition?.responseHeaders.length, MOST_ENTRIES)
  assert.equal(Object.keys(envelope.extra).length, MOST_ENTRIES + 1)
  assert.equal(envelope.extra[CUT_ENTRIES], `[cut: ${MOST_ENTRIES + 5} entries]`)
})
