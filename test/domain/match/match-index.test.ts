import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { KnownList } from '../../../services/domain/hash-list-state.ts'
import type { PdqTiers } from '../../../services/domain/judge/policy.ts'
import { buildMatchIndex } from '../../../services/domain/match/match-index.ts'
import { packEntries } from '../../../services/domain/packed-entries.ts'
import type { HashListEntry, Match, Signal } from '../../../services/domain/records.ts'

const tiers: PdqTiers = { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } }

function list(name: string, entries: Array<[id: string, ...signals: Array<[string, Buffer]>]>): KnownList {
  return {
    list: name,
    version: `${name}-v1`,
    digest: '',
    checkedAt: 0,
    shadowed: [],
    entries: packEntries(
      name,
      entries.map(([id, ...signals]): HashListEntry => {
        return {
          list: name,
          id,
          signals: signals.map(([signal, value]) => ({ signal, value })),
          classification: null,
          opinions: [],
          withdrawn: false,
        }
      }),
    ),
  }
}
function pdq(value: Buffer, quality = 100, transform = 'identity', frame = 0): Signal {
  return { signal: 'pdq', version: 1, value, quality, frame, transform }
}
function digest(signal: string, value: Buffer): Signal {
  return { signal, version: 1, value, quality: null, frame: 0, transform: 'identity' }
}
/** The hash with these bits turned over. */
function flip(hash: Buffer, bits: readonly number[]): Buffer {
  const turned = Buffer.from(hash)
  for (const bit of bits) turned.writeUInt8((turned[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3)
  return turned
}
function away(hash: Buffer, distance: number): Buffer {
  return flip(
    hash,
    [...Array(distance).keys()].map((bit) => (bit * 5) % 256),
  )
}
function brief(matches: readonly Match[]): string[] {
  return matches.map(
    (match) =>
      `${match.class} ${match.list}/${match.entry} ${match.signal} ${match.distance} f${match.frame} ${match.transform}`,
  )
}
const base = Buffer.from('0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0', 'hex')
const index = buildMatchIndex([list('known', [['e', ['pdq', base]]])])

for (const [distance, quality, transform, expected] of [
  [0, 100, 'identity', 'near'],
  [31, 50, 'identity', 'near'],
  [31, 50, 'trimmed+rotate90', 'near'],
  [31, 49, 'identity', 'wide'],
  [31, 49, 'rotate90', null],
  [32, 100, 'identity', 'wide'],
  [32, 100, 'mirror', null],
  [47, 0, 'identity', 'wide'],
  [48, 100, 'identity', null],
] as const) {
  test(`${distance} bits away at quality ${quality} by ${transform}: ${expected ?? 'no match'}`, () => {
    const matches = index.match([pdq(away(base, distance), quality, transform)], tiers)
    assert.deepEqual(
      matches.map((match) => match.class),
      expected === null ? [] : [expected],
    )
    if (expected) assert.equal(matches[0]?.distance, distance)
  })
}

test('the wide tier looks at every frame as it stands', () => {
  assert.deepEqual(brief(index.match([pdq(away(base, 40), 100, 'identity', 7)], tiers)), [
    'wide known/e pdq 40 f7 identity',
  ])
})

test('a stricter policy is obeyed', () => {
  const strict: PdqTiers = { near: { distance: 5, quality: 80 }, wide: { distance: 10, quality: 60 } }
  assert.deepEqual(brief(index.match([pdq(away(base, 6), 100)], strict)), ['wide known/e pdq 6 f0 identity'])
  assert.deepEqual(index.match([pdq(away(base, 6), 59)], strict), [])
})

test('digests match when equal and only in their own kind', () => {
  const same = Buffer.alloc(32, 7)
  const exact = buildMatchIndex([list('known', [['e', ['sha256', same], ['md5', Buffer.alloc(16, 7)]]])])
  assert.deepEqual(brief(exact.match([digest('sha256', Buffer.from(same))], tiers)), [
    'exact known/e sha256 0 f0 identity',
  ])
  assert.deepEqual(exact.match([digest('sha256', flip(same, [255])), pdq(same), digest('sha1', same)], tiers), [])
})

test('of several signals that match an entry in one class the best is kept: distance, then frame, then as it stands', () => {
  const matches = index.match(
    [
      pdq(away(base, 9), 100, 'mirror', 0),
      pdq(away(base, 8), 100, 'identity', 2),
      pdq(away(base, 8), 100, 'flip', 1),
      pdq(away(base, 8), 100, 'identity', 1),
      pdq(away(base, 40), 100, 'identity', 5),
    ],
    tiers,
  )
  assert.deepEqual(brief(matches), ['near known/e pdq 8 f1 identity', 'wide known/e pdq 40 f5 identity'])
})

test('each list and entry that knows a hash is named, strongest first, in an order that does not depend on the input', () => {
  const sha = Buffer.alloc(20, 3)
  const lists = [
    list('one', [
      ['b', ['pdq', away(base, 3)]],
      ['a', ['pdq', away(base, 3)], ['pdq', base]],
    ]),
    list('two', [['a', ['pdq', away(base, 35)], ['sha1', sha]]]),
  ]
  const fingerprint = [pdq(base), digest('sha1', sha)]
  const expected = [
    'exact two/a sha1 0 f0 identity',
    'near one/a pdq 0 f0 identity',
    'near one/b pdq 3 f0 identity',
    'wide two/a pdq 35 f0 identity',
  ]
  assert.deepEqual(brief(buildMatchIndex(lists).match(fingerprint, tiers)), expected)
  assert.deepEqual(brief(buildMatchIndex(lists.toReversed()).match(fingerprint.toReversed(), tiers)), expected)
})

test('known hashes of another kind or a wrong length are counted and never match', () => {
  const odd = buildMatchIndex([
    list('known', [['e', ['later', base], ['pdq', base.subarray(1)], ['__proto__', base], ['pdq', base]]]),
  ])
  assert.equal(odd.unmatchable, 3)
  assert.deepEqual(odd.match([digest('later', base), pdq(base.subarray(1))], tiers), [])
  assert.equal(odd.match([pdq(base)], tiers).length, 1)
})

test('a search wider than 47 bits, or for something that is no hash, is refused', () => {
  assert.throws(() => index.search(base, 48), RangeError)
  assert.throws(() => index.search(base, -1), RangeError)
  assert.throws(() => index.search(base.subarray(1), 31), RangeError)
})

const someHash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))
const someBits = fc.uniqueArray(fc.nat(255), { minLength: 0, maxLength: 50 })

test('the search finds what a naive search finds, for neighbours planted at every distance from 0 to 50', () => {
  fc.assert(
    fc.property(
      someHash,
      fc.array(someHash, { maxLength: 20 }),
      fc.shuffledSubarray([...Array(256).keys()], { minLength: 50, maxLength: 50 }),
      fc.nat(47),
      (hash, others, bits, radius) => {
        const planted = [...Array(51).keys()].map((distance) => flip(hash, bits.slice(0, distance)))
        const hashes = [...planted, ...others]
        const found = buildMatchIndex([
          list(
            'known',
            hashes.map((value, id) => [`e${id}`, ['pdq', value]]),
          ),
        ])
        const naive = hashes
          .map((value, id) => ({ list: 'known', entry: `e${id}`, distance: naiveDistance(hash, value) }))
          .filter(({ distance }) => distance <= radius)
          .sort((a, b) => a.distance - b.distance || (a.entry < b.entry ? -1 : 1))
        assert.deepEqual(found.search(hash, radius), naive)
        assert.ok(naive.length > radius)
      },
    ),
    { numRuns: 60 },
  )
})

test('matching finds what a naive reference finds, for any tiers, qualities, frames and transforms', () => {
  const someSignal = fc.record({
    bits: someBits,
    quality: fc.constantFrom(0, 49, 50, 100),
    frame: fc.nat(2),
    transform: fc.constantFrom('identity', 'rotate90', 'trimmed+mirror'),
  })
  const someTiers = fc.record({
    nearBits: fc.nat(31),
    nearQuality: fc.constantFrom(0, 50, 100),
    more: fc.nat(16),
    wideQuality: fc.constantFrom(0, 50),
  })
  fc.assert(
    fc.property(
      someHash,
      fc.array(someBits, { maxLength: 8 }),
      fc.array(someSignal, { maxLength: 6 }),
      someTiers,
      (hash, known, signals, wanted) => {
        const policy: PdqTiers = {
          near: { distance: wanted.nearBits, quality: wanted.nearQuality },
          wide: { distance: wanted.nearBits + wanted.more, quality: wanted.wideQuality },
        }
        const entries = known.map((bits) => flip(hash, bits))
        const fingerprint = signals.map(({ bits, quality, frame, transform }) =>
          pdq(flip(hash, bits), quality, transform, frame),
        )
        const built = buildMatchIndex([
          list(
            'known',
            entries.map((value, id) => [`e${id}`, ['pdq', value]]),
          ),
        ])
        const expected = new Map<string, number>()
        entries.forEach((value, id) => {
          for (const signal of fingerprint) {
            const distance = naiveDistance(value, signal.value)
            const quality = signal.quality ?? 0
            const isNear = distance <= policy.near.distance && quality >= policy.near.quality
            const isWide =
              distance <= policy.wide.distance && quality >= policy.wide.quality && signal.transform === 'identity'
            if (!isNear && !isWide) continue
            const key = `e${id} ${isNear ? 'near' : 'wide'}`
            expected.set(key, Math.min(distance, expected.get(key) ?? 256))
          }
        })
        const found = built
          .match(fingerprint, policy)
          .map((match) => [`${match.entry} ${match.class}`, match.distance] as const)
        assert.equal(new Set(found.map(([key]) => key)).size, found.length)
        assert.deepEqual(new Map(found), expected)
      },
    ),
    { numRuns: 300 },
  )
})

function naiveDistance(a: Buffer, b: Buffer): number {
  const bits = (hash: Buffer) => [...hash].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const [one, two] = [bits(a), bits(b)]
  return [...one].filter((bit, at) => bit !== two[at]).length
}

test('a match is without effect where its version has the entry, or all of it, in shadow', () => {
  const entries = (['e', 'f'] as const).map((id): [string, [string, Buffer]] => [id, ['md5', Buffer.alloc(16, id)]])
  const found = (shadowed: string[]): Array<[string, boolean]> => {
    const lists = [{ ...list('known', entries), shadowed }, list('other', entries)]
    const fingerprint = ['e', 'f'].map((id) => digest('md5', Buffer.alloc(16, id)))
    return buildMatchIndex(lists)
      .match(fingerprint, tiers)
      .filter((match) => match.list === 'known' || !match.enforced)
      .map(({ entry, enforced }) => [entry, enforced])
  }
  assert.deepEqual(found([]), [
    ['e', true],
    ['f', true],
  ])
  assert.deepEqual(found(['f']), [
    ['e', true],
    ['f', false],
  ])
  assert.deepEqual(found(['*']), [
    ['e', false],
    ['f', false],
  ])
})
