import { AS_IT_STANDS } from '../fingerprint.ts'
import { type KernelMemory, type KernelNumber, kernelMemory, loadKernel, makeRoom } from '../load-kernel.ts'
import { type Found, type KnownValues, type Matcher, type Neighbour, sharedNumbers } from './matcher.ts'

const BYTES = 32
/** Beyond this radius, in bits, an index of substrings degrades and a match means nothing. */
const WIDEST_RADIUS = 47
/** Hits of one search that there is room for at first. */
const CAPACITY = 4096

/** What `kernels/pdq-index.ts` exports. */
type Kernel = {
  hashes: KernelNumber
  query: KernelNumber
  found: KernelNumber
  open(count: number, capacity: number): number
  build(): void
  search(radius: number, capacity: number): number
}

/** What the kernel has built: its memory, and the index's number for each hash there. */
export type PdqTable = { refs: Uint32Array; memory: KernelMemory }

/** Room for so many PDQ hashes of 32 bytes, big-endian as the reference prints them. Each takes 132 bytes. */
export function pdqValues(count: number): KnownValues<PdqTable> {
  const memory = kernelMemory()
  const kernel = loadKernel<Kernel>('pdq-index', memory)
  makeRoom(memory, kernel.open(count, CAPACITY))
  const refs = sharedNumbers(count)
  return {
    refs,
    bytes: new Uint8Array(memory.buffer, kernel.hashes.value >>> 0, count * BYTES),
    build() {
      kernel.build()
      return { refs, memory }
    },
  }
}

/**
 * Matches PDQ hashes in two tiers: near for every signal of sufficient quality; wide only for the picture as it stands, of any frame. A signal
 * that is near an entry is not also counted as wide. A hash without a quality counts as quality 0.
 * @param table of this thread or another; only one thread may search it
 */
export function pdqMatcher(table: PdqTable): Matcher {
  const search = searchIn(table)
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

/** Exact Hamming search. */
function searchIn({ refs, memory }: PdqTable): Matcher['search'] {
  const kernel = loadKernel<Kernel>('pdq-index', memory)
  let capacity = CAPACITY
  makeRoom(memory, kernel.open(refs.length, capacity))
  let query = new Uint8Array(memory.buffer, kernel.query.value, BYTES)
  let found = foundNow()

  function foundNow(): Uint32Array {
    return new Uint32Array(memory.buffer, kernel.found.value >>> 0, 2 * capacity)
  }

  function hits(hash: Uint8Array, radius: number): number {
    query.set(hash)
    return kernel.search(radius, capacity)
  }

  return (hash, radius) => {
    if (!Number.isInteger(radius) || radius < 0 || radius > WIDEST_RADIUS) {
      throw new RangeError(`expected a radius of 0 to ${WIDEST_RADIUS} bits`)
    }
    let count = hits(hash, radius)
    if (count > capacity) {
      capacity = count
      makeRoom(memory, kernel.open(refs.length, capacity))
      query = new Uint8Array(memory.buffer, kernel.query.value, BYTES)
      found = foundNow()
      count = hits(hash, radius)
    }
    const near: Neighbour[] = []
    for (let at = 0; at < count; at++) {
      near.push({ ref: refs[found[2 * at] ?? 0] ?? 0, distance: found[2 * at + 1] ?? 0 })
    }
    return near
  }
}
