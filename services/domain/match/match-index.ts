import { AS_IT_STANDS, type Fingerprint } from '../fingerprint.ts'
import type { KnownList } from '../hash-list-state.ts'
import type { PdqTiers } from '../judge/policy.ts'
import type { HashListEntry, Match } from '../records.ts'
import { exactMatcher } from './exact.ts'
import { type KnownValues, type Matcher, matchClasses } from './matcher.ts'
import { pdqMatcher } from './pdq.ts'

/** The signals that can be matched, each with its length in bytes. A new one is a new file here and a line in this table. */
const matchers: Readonly<Record<string, { bytes: number; create: (values: KnownValues, bytes: number) => Matcher }>> = {
  md5: { bytes: 16, create: exactMatcher },
  sha1: { bytes: 20, create: exactMatcher },
  sha256: { bytes: 32, create: exactMatcher },
  pdq: { bytes: 32, create: pdqMatcher },
}

/** A known PDQ hash within a radius; distance in bits. */
export type PdqHit = { list: string; entry: string; distance: number }

/** An index over whole list versions. It never changes: a new version means a new index. */
export type MatchIndex = {
  /**
   * Everything in the fingerprint that is known.
   * @returns at most one match for each list, entry, signal kind and class: the one of the least distance, then the earliest frame, then the
   *   transform that comes first in the alphabet. Ascending by class (exact, near, wide) and distance; the order depends on nothing but the content.
   *   `enforced` is true throughout: the judge sets it by policy.
   */
  match(fingerprint: Fingerprint, tiers: PdqTiers): Match[]
  /**
   * Hamming radius search over the known PDQ hashes. Exact: finds every entry within the radius.
   * @param hash 32 bytes, big-endian as printed by the reference implementation
   * @param radius bits, 0..47
   * @returns one hit an entry, ascending by distance, then list, then entry
   * @throws {RangeError} for another radius or length
   */
  search(hash: Uint8Array, radius: number): PdqHit[]
  /** known hashes that can not be matched: of a kind that the engine does not know, or of a wrong length */
  unmatchable: number
}

type Ref = { list: KnownList; entry: HashListEntry }

/** Builds the index over the lists' versions in force. */
export function buildMatchIndex(lists: readonly KnownList[]): MatchIndex {
  const refs: Ref[] = lists.flatMap((list) => list.entries.map((entry) => ({ list, entry })))
  let unmatchable = 0
  const counts = new Map<string, number>(Object.keys(matchers).map((signal) => [signal, 0]))
  for (const { signal, value } of signalsOf(refs)) {
    if (matchers[signal]?.bytes === value.length) counts.set(signal, (counts.get(signal) ?? 0) + 1)
    else unmatchable += 1
  }
  const values = new Map<string, KnownValues & { filled: number }>()
  for (const [signal, { bytes }] of Object.entries(matchers)) {
    const count = counts.get(signal) ?? 0
    values.set(signal, { refs: new Uint32Array(count), bytes: new Uint8Array(count * bytes), filled: 0 })
  }
  for (const { ref, signal, value } of signalsOf(refs)) {
    const known = values.get(signal)
    if (known === undefined || matchers[signal]?.bytes !== value.length) continue
    known.refs[known.filled] = ref
    known.bytes.set(value, known.filled * value.length)
    known.filled += 1
  }
  const bySignal = new Map<string, Matcher>()
  for (const [signal, { bytes, create }] of Object.entries(matchers)) {
    const known = values.get(signal)
    if (known !== undefined) bySignal.set(signal, create(known, bytes))
  }

  return {
    unmatchable,
    match(fingerprint, tiers) {
      const found: Match[] = []
      for (const signal of fingerprint) {
        for (const { ref, distance, class: matchClass } of bySignal.get(signal.signal)?.match(signal, tiers) ?? []) {
          const known = refs[ref]
          if (known === undefined) continue
          const match: Match = {
            list: known.list.list,
            listVersion: known.list.version,
            entry: known.entry.id,
            signal: signal.signal,
            distance,
            quality: signal.quality,
            frame: signal.frame,
            transform: signal.transform,
            class: matchClass,
            enforced: true,
            classification: known.entry.classification,
          }
          found.push(match)
        }
      }
      return strongest(found)
    },
    search(hash, radius) {
      if (hash.length !== matchers.pdq?.bytes) throw new RangeError('expected a hash of 32 bytes')
      const nearest = new Map<number, number>()
      for (const { ref, distance } of bySignal.get('pdq')?.search(hash, radius) ?? []) {
        nearest.set(ref, Math.min(distance, nearest.get(ref) ?? distance))
      }
      const hits = [...nearest].flatMap(([ref, distance]): PdqHit[] => {
        const known = refs[ref]
        return known ? [{ list: known.list.list, entry: known.entry.id, distance }] : []
      })
      return hits.sort((a, b) => a.distance - b.distance || byText(a.list, b.list) || byText(a.entry, b.entry))
    },
  }
}

function* signalsOf(refs: readonly Ref[]): Generator<{ ref: number; signal: string; value: Uint8Array }> {
  for (const [ref, { entry }] of refs.entries()) {
    for (const { signal, value } of entry.signals) yield { ref, signal, value }
  }
}

/** Of several matches of one list, entry, signal kind and class the strongest; strongest first. */
export function strongest(matches: readonly Match[]): Match[] {
  const best = new Map<string, Match>()
  for (const match of matches) {
    const key = JSON.stringify([match.list, match.entry, match.signal, match.class])
    const before = best.get(key)
    if (before === undefined || byStrength(match, before) < 0) best.set(key, match)
  }
  return [...best.values()].sort(byStrength)
}

const classRank = new Map<string, number>(matchClasses.map((name, rank) => [name, rank]))

function byStrength(a: Match, b: Match): number {
  return (
    (classRank.get(a.class) ?? 0) - (classRank.get(b.class) ?? 0) ||
    a.distance - b.distance ||
    a.frame - b.frame ||
    byTransform(a.transform, b.transform) ||
    byText(a.list, b.list) ||
    byText(a.entry, b.entry) ||
    byText(a.signal, b.signal)
  )
}

function byTransform(a: string, b: string): number {
  return Number(b === AS_IT_STANDS) - Number(a === AS_IT_STANDS) || byText(a, b)
}

function byText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
