import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { pdqMatcher, pdqValues } from '../../../services/domain/match/pdq.ts'
import { distance } from '../../gate/inspect-made.ts'

const SEARCHES = 12
const radii = [0, 1, 15, 16, 31, 32, 40, 47]

/** Hashes of generated pictures in all orientations: many bits depend on each other, as they do in photographs. */
function natural(): Buffer[] {
  const text = readFileSync(new URL('../fixtures/pdq.json', import.meta.url), 'utf8')
  return [...text.matchAll(/[0-9a-f]{64}/g)].map(([hex]) => Buffer.from(hex, 'hex'))
}

function random(count: number): Buffer[] {
  return Array.from({ length: count }, (_, n) => hash('sha256', String(n), 'buffer'))
}

/** Few centres and many hashes around each, thousands of them the same. */
function clustered(): Buffer[] {
  const centres = random(5)
  return Array.from({ length: 12_000 }, (_, n) =>
    n % 2 === 0 ? turned(centres[0], 0, n) : turned(centres[n % 5], n % 40, n),
  )
}

/** A hash at this distance of another. */
function turned(from: Buffer | undefined, distance: number, seed: number): Buffer {
  assert.ok(from)
  const other = Buffer.from(from)
  const places = [...Array(256).keys()].map((bit) => ({ bit, order: hash('md5', `${seed}/${bit}`) }))
  for (const { bit } of places.sort((a, b) => (a.order < b.order ? -1 : 1)).slice(0, distance)) {
    other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  }
  return other
}

for (const [kind, known] of [
  ['no', []],
  ['few random', random(1000)],
  ['random', random(5000)],
  ['few natural', natural().slice(0, 1500)],
  ['natural', natural()],
  ['clustered', clustered()],
] as const) {
  test(`among ${kind} hashes, with neighbours planted at each distance up to 50, a search finds what a scan finds`, () => {
    const base = hash('sha256', 'planted', 'buffer')
    const values = [...known, ...Array.from({ length: 102 }, (_, n) => turned(base, n >> 1, n))]
    const room = pdqValues(values.length)
    room.refs.set([...values.keys()])
    room.bytes.set(Buffer.concat(values))
    const { search } = pdqMatcher(room.build())
    const wanted = [base, ...Array.from({ length: SEARCHES }, (_, n) => turned(values[n * 37] ?? base, n * 4, n))]
    for (const [n, value] of wanted.entries()) {
      const distances = values.map((each, ref) => ({ ref, distance: distance(each, value) }))
      for (const radius of radii) {
        const found = search(value, radius).sort((a, b) => a.ref - b.ref)
        assert.deepEqual(
          found,
          distances.filter((each) => each.distance <= radius),
          `hash ${n}, radius ${radius}`,
        )
      }
    }
  })
}
