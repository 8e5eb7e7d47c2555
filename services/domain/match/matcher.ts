import type { PdqTiers } from '../judge/policy.ts'
import type { Signal } from '../records.ts'

/** How a signal matched, strongest first. */
export const matchClasses = ['exact', 'near', 'wide'] as const
export type MatchClass = (typeof matchClasses)[number]

/**
 * Room for known hashes of one kind, packed: millions of them are to fit into memory. Whoever has filled it calls `build`.
 * @template Table what a search needs, in shared memory: it may be handed to another thread, and there be searched
 */
export type KnownValues<Table> = {
  /** the index's number for the entry that each belongs to */
  refs: Uint32Array
  /** the hashes, one behind the other */
  bytes: Uint8Array
  build(): Table
}

/** That a signal of the item matched the entry with this number; distance in bits. */
export type Found = { ref: number; distance: number; class: MatchClass }

/** A known hash within a radius of another; distance in bits. */
export type Neighbour = { ref: number; distance: number }

/** All known hashes of one kind of signal. */
export type Matcher = {
  /** The entries that a signal of an item matches by policy. */
  match(signal: Signal, tiers: PdqTiers): Found[]
  /** Every known hash within the radius, in no particular order; for digests, those that are equal. */
  search(value: Uint8Array, radius: number): Neighbour[]
}

/** So many numbers in shared memory. @throws {RangeError} when there is none to be had */
export function sharedNumbers(count: number): Uint32Array<SharedArrayBuffer> {
  return new Uint32Array(new SharedArrayBuffer(count * Uint32Array.BYTES_PER_ELEMENT))
}
