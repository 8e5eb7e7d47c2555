import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { claimOf, isWho, stamped } from '../../../services/domain/replay/replay-headers.ts'

const door = { cluster: 'vFj4w1vWQ2uC8oT0x5pQng', topic: 'crawl.items', partition: 3 }
const at = { ...door, offset: 100 }
const header = (name: string, value: string | null) => ({ name, value: value === null ? null : Buffer.from(value) })

const names = ['run', 'origin', 'attempt', 'who', 'why'].map((name) => `sluice-replay-${name}`)
const anyHeaders = fc.array(
  fc.record({
    name: fc.oneof(fc.string(), fc.constantFrom(...names, '__proto__', '9')),
    value: fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes))),
  }),
)
const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 16, maxLength: 16 })
const whoUnit = fc.constantFrom(...'azAZ09._@+-')
const stamp = fc.record({
  run: hex,
  origin: fc.nat(99).map((offset) => ({ ...door, offset })),
  attempt: fc.integer({ min: 1, max: 9999 }),
  who: fc.string({ unit: whoUnit, minLength: 1, maxLength: 64 }),
  why: fc.string({ minLength: 1, maxLength: 1000 }),
})

test('the headers of the original stay to the byte and in their order, and the stamp behind them is what counts', () => {
  fc.assert(
    fc.property(anyHeaders, stamp, stamp, (original, first, second) => {
      const once = stamped(original, first)
      const twice = stamped(once, second)
      assert.deepEqual(once.slice(0, original.length), original)
      assert.deepEqual(twice.slice(0, once.length), once)
      assert.equal(twice.length, original.length + 10)
      const { run, who, attempt, origin } = second
      const named = `${door.cluster}/${door.topic}/${door.partition}/${origin.offset}`
      assert.deepEqual(claimOf(twice, at), { run, who, attempt, origin: named })
    }),
  )
})

const whole: Readonly<Record<string, string>> = {
  run: '0123456789abcdef',
  origin: `${door.cluster}/${door.topic}/3/99`,
  attempt: '1',
  who: 'on-call@example.org',
}
const headersOf = (texts: Readonly<Record<string, string>>) =>
  Object.entries(texts).map(([name, text]) => header(`sluice-replay-${name}`, text))

test('a claim is taken where all of it is well-formed', () => {
  assert.deepEqual(claimOf(headersOf(whole), at), { ...whole, attempt: 1 })
})

const malformed: Readonly<Record<string, readonly string[]>> = {
  run: ['', 'RUN', '0123456789ABCDEF', '0123456789abcde', '0123456789abcdef0', '0123456789abcdef\n', 'www.example.org'],
  origin: [
    '',
    'crawl.items/3/99',
    `${door.cluster}/crawl.items/3/100`,
    `${door.cluster}/crawl.items/3/101`,
    `${door.cluster}/crawl.items/2/99`,
    `${door.cluster}/other.items/3/99`,
    'example.org/crawl.items/3/99',
    'example.org/a-page/1/2',
    'https://example.org/1/2',
    `somebody who uploaded/crawl.items/3/99`,
    `${door.cluster}/crawl.items/3/99\n`,
    `${door.cluster}/crawl.items/3/-1`,
    `${door.cluster}/crawl.items/3/9e1`,
  ],
  attempt: ['', '0', '-1', '01', '1.5', '1e1', '10000', 'NaN', ' 1', '1\n', '٣'],
  who: [
    '',
    'https://example.org/',
    'example.org/somebody',
    'some body',
    'a:b',
    'a\n',
    'é',
    'a'.repeat(65),
    '\u001b[2J',
  ],
}
for (const [name, texts] of Object.entries(malformed)) {
  for (const text of texts) {
    test(`no claim is taken whose ${name} is ${JSON.stringify(text)}`, () => {
      assert.equal(claimOf(headersOf({ ...whole, [name]: text }), at), null)
    })
  }
  test(`no claim is taken without ${name}, nor with one that has no value behind a good one`, () => {
    const headers = headersOf(whole)
    const own = `sluice-replay-${name}`
    assert.equal(
      claimOf(
        headers.filter((each) => each.name !== own),
        at,
      ),
      null,
    )
    assert.equal(claimOf([...headers, header(own, null)], at), null)
  })
}

test('whatever somebody writes there, what is taken of it is no more than a place before it, a hexadecimal name and a short name', () => {
  const text = fc.oneof(fc.string(), fc.webUrl(), hex, fc.constantFrom(...Object.values(whole)))
  const claims = fc.array(fc.record({ name: fc.constantFrom(...names), value: text.map((one) => Buffer.from(one)) }))
  fc.assert(
    fc.property(claims, (headers) => {
      const claim = claimOf(headers, at)
      if (claim === null) return
      assert.match(claim.run, /^[0-9a-f]{16}$/)
      assert.match(claim.origin, /^vFj4w1vWQ2uC8oT0x5pQng\/crawl\.items\/3\/\d{1,2}$/)
      assert.ok(isWho(claim.who) && claim.attempt >= 1 && claim.attempt <= 9999)
    }),
    { numRuns: 1000 },
  )
})

test('nobody is named by an address', () => {
  fc.assert(fc.property(fc.webUrl(), (url) => !isWho(url)))
})
