import { randomInt } from 'node:crypto'
import type { KnownValues, Matcher, Neighbour } from './matcher.ts'

/** Slots for each digest: so many that a search hardly ever meets another one. */
const SLOTS_EACH = 1.5
const NONE = 0xffffffff
const SEED = randomInt(2 ** 32)

/**
 * Matches digests that are equal, at the same cost however many are known. Each takes its own length and 14 bytes.
 * @param length of a digest in bytes, a multiple of 4
 */
export function exactMatcher({ refs, bytes }: KnownValues, length: number): Matcher {
  const digests = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  /** the next one that is the same digest */
  const nexts = new Uint32Array(refs.length).fill(NONE)
  const slots = new Uint32Array(Math.ceil(refs.length * SLOTS_EACH)).fill(NONE)

  /** Where a digest is, or would be. */
  function slotOf(digest: Uint8Array): number {
    let slot = Math.floor((mixed(digest) / 2 ** 32) * slots.length)
    for (let at = slots[slot] ?? NONE; at !== NONE; at = slots[slot] ?? NONE) {
      if (digests.compare(digest, 0, length, at * length, (at + 1) * length) === 0) break
      slot = slot + 1 === slots.length ? 0 : slot + 1
    }
    return slot
  }

  for (let at = 0; at < refs.length; at++) {
    const slot = slotOf(digests.subarray(at * length, (at + 1) * length))
    nexts[at] = slots[slot] ?? NONE
    slots[slot] = at
  }

  function equal(value: Uint8Array): Neighbour[] {
    const found: Neighbour[] = []
    if (refs.length === 0 || value.length !== length) return found
    for (let at = slots[slotOf(value)] ?? NONE; at !== NONE; at = nexts[at] ?? NONE) {
      found.push({ ref: refs[at] ?? 0, distance: 0 })
    }
    return found
  }

  return { search: equal, match: ({ value }) => equal(value).map((found) => ({ ...found, class: 'exact' })) }
}

/** 32 bits of a digest, other ones in each process: who writes a list must not be able to choose digests that crowd. */
function mixed(digest: Uint8Array): number {
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
  let bits = SEED
  for (let at = 0; at < digest.length; at += 4) {
    bits = Math.imul(bits ^ view.getUint32(at), 0x9e3779b1)
    bits ^= bits >>> 15
  }
  return Math.imul(bits, 0x85ebca77) >>> 0
}
