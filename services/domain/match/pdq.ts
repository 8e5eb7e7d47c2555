import { AS_IT_STANDS } from '../fingerprint.ts'
import type { Found, KnownValue, Matcher, Neighbour } from './matcher.ts'

const BYTES = 32
const WORDS = 8
/** Beyond this radius, in bits, an index of substrings degrades and a match means nothing. */
const WIDEST_RADIUS = 47

/**
 * Matches PDQ hashes in two tiers: near for every signal of sufficient quality; wide only for the picture as it stands, of any frame. A signal
 * that is near an entry is not also counted as wide. A hash without a quality counts as quality 0.
 * @param values hashes of 32 bytes, big-endian as the reference prints them
 */
export function pdqMatcher(values: readonly KnownValue[]): Matcher {
  const search = linearSearch(values)
  return {
    search,
    match({ value, quality, transform }, { near, wide }) {
      const isNear = (quality ?? 0) >= near.quality
      const isWide = (quality ?? 0) >= wide.quality && transform === AS_IT_STANDS
      if (value.length !== BYTES || !(isNear || isWide)) return []
      return search(value, isWide ? wide.distance : near.distance).flatMap(({ ref, distance }): Found[] => {
        if (isNear && distance <= near.distance) return [{ ref, distance, class: 'near' }]
        return isWide ? [{ ref, distance, class: 'wide' }] : []
      })
    },
  }
}

/** Exact Hamming search by a scan over packed words; it gives up on a hash as soon as the radius is passed. */
function linearSearch(values: readonly KnownValue[]): Matcher['search'] {
  const packed = new Uint32Array(values.length * WORDS)
  const refs = new Uint32Array(values.length)
  values.forEach(({ ref, value }, at) => {
    packed.set(wordsOf(value), at * WORDS)
    refs[at] = ref
  })

  return (hash, radius) => {
    if (!Number.isInteger(radius) || radius < 0 || radius > WIDEST_RADIUS) {
      throw new RangeError(`expected a radius of 0 to ${WIDEST_RADIUS} bits`)
    }
    const wanted = wordsOf(hash)
    const found: Neighbour[] = []
    for (let at = 0; at < refs.length; at++) {
      let distance = 0
      for (let word = 0; word < WORDS && distance <= radius; word++) {
        distance += bitCount((packed[at * WORDS + word] ?? 0) ^ (wanted[word] ?? 0))
      }
      if (distance <= radius) found.push({ ref: refs[at] ?? 0, distance })
    }
    return found
  }
}

function wordsOf(hash: Uint8Array): Uint32Array {
  const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength)
  return Uint32Array.from({ length: WORDS }, (_, word) => view.getUint32(word * 4))
}

function bitCount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555)
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
