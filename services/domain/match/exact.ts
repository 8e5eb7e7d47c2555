import { randomInt } from 'node:crypto'
import { type KnownValues, type Matcher, type Neighbour, sharedNumbers } from './matcher.ts'

/** Slots for each digest: so many that a search hardly ever meets another one. */
const SLOTS_EACH = 1.5
const NONE = 0xffffffff

/** Digests of one length by their value: an open hash table. */
export type ExactTable = {
  /** in bytes, a multiple of 4 */
  length: number
  refs: Uint32Array
  digests: Uint8Array
  /** for each, the next one that is the same digest */
  nexts: Uint32Array
  slots: Uint32Array
  /** another one each time: who writes a list must not be able to choose digests that crowd */
  seed: number
}

/** Room for so many digests of this length in bytes, a multiple of 4. Each takes its own length and 14 bytes. */
export function exactValues(count: number, length: number): KnownValues<ExactTable> {
  const refs = sharedNumbers(count)
  const digests = new Uint8Array(new SharedArrayBuffer(count * length))

  function build(): ExactTable {
    const nexts = sharedNumbers(count).fill(NONE)
    const slots = sharedNumbers(Math.ceil(count * SLOTS_EACH)).fill(NONE)
    const table = { length, refs, digests, nexts, slots, seed: randomInt(2 ** 32) }
    const slotOf = slotsOf(table)
    for (let at = 0; at < count; at++) {
      const slot = slotOf(digests.subarray(at * length, (at + 1) * length))
      nexts[at] = slots[slot] ?? NONE
      slots[slot] = at
    }
    return table
  }
  return { refs, bytes: digests, build }
}

/** Matches digests that are equal, at the same cost however many are known. */
export function exactMatcher(table: ExactTable): Matcher {
  const { length, refs, nexts, slots } = table
  const slotOf = slotsOf(table)

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

/** Where in a table a digest is, or would be. */
function slotsOf({ length, digests, slots, seed }: ExactTable): (digest: Uint8Array) => number {
  const bytes = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength)
  return (digest) => {
    let slot = Math.floor((mixed(digest, seed) / 2 ** 32) * slots.length)
    for (let at = slots[slot] ?? NONE; at !== NONE; at = slots[slot] ?? NONE) {
      if (bytes.compare(digest, 0, length, at * length, (at + 1) * length) === 0) break
      slot = slot + 1 === slots.length ? 0 : slot + 1
    }
    return slot
  }
}

/** 32 bits of a digest. */
function mixed(digest: Uint8Array, seed: number): number {
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
  let bits = seed
  for (let at = 0; at < digest.length; at += 4) {
    bits = Math.imul(bits ^ view.getUint32(at), 0x9e3779b1)
    bits ^= bits >>> 15
  }
  return Math.imul(bits, 0x85ebca77) >>> 0
}
