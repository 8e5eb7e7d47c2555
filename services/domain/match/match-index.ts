import { AS_IT_STANDS, type Fingerprint } from '../fingerprint.ts'
import { ALL_ENTRIES } from '../hash-list.ts'
import type { KnownList } from '../hash-list-state.ts'
import type { PdqTiers } from '../judge/policy.ts'
import { type EntryPlaces, PackedEntries } from '../packed-entries.ts'
import type { HashListEntry, Match } from '../records.ts'
import { standingOf } from '../standing.ts'
import { type ExactTable, exactMatcher, exactValues } from './exact.ts'
import { type KnownValues, type Matcher, matchClasses } from './matcher.ts'
import { type PdqTable, pdqMatcher, pdqValues } from './pdq.ts'

type Table = ExactTable | PdqTable

/** The signals that can be matched, each with its length in bytes. A new one is a new file here and a line in this table. */
const kinds: Readonly<Record<string, { bytes: number; values: (count: number, bytes: number) => KnownValues<Table> }>> =
  {
    md5: { bytes: 16, values: exactValues },
    sha1: { bytes: 20, values: exactValues },
    sha256: { bytes: 32, values: exactValues },
    pdq: { bytes: 32, values: pdqValues },
  }

/** Whether a known hash of this kind and length, in bytes, can be matched. */
export function isMatchable(signal: string, bytes: number): boolean {
  return kinds[signal]?.bytes === bytes
}

/** Hashes of a list's entries: of each signal how many there are, and how many of these can be matched; and entries that have one of the latter. */
export type HashCounts = { signals: Map<string, { hashes: number; matchable: number }>; matchableEntries: number }

/** Goes over all hashes once; about a second for ten million entries. */
export function countHashes(entries: PackedEntries): HashCounts {
  const signals: HashCounts['signals'] = new Map()
  let [matchableEntries, last] = [0, -1]
  entries.eachHash((entry, signal, _, from, to) => {
    const count = signals.get(signal) ?? { hashes: 0, matchable: 0 }
    if (count.hashes === 0) signals.set(signal, count)
    count.hashes += 1
    if (!isMatchable(signal, to - from)) return
    count.matchable += 1
    // An entry's hashes come one after the other.
    if (entry !== last) matchableEntries += 1
    last = entry
  })
  return { signals, matchableEntries }
}

function matcherOf(table: Table): Matcher {
  return 'memory' in table ? pdqMatcher(table) : exactMatcher(table)
}

/** All that an index consists of. What is large in it is shared memory: it may be handed to another thread, and opened there. */
export type MatchTables = {
  /** the lists' versions; their entries are numbered through from the first list's first on */
  lists: Array<Required<Pick<KnownList, 'list' | 'version' | 'shadowed' | 'matchable'>> & { entries: EntryPlaces }>
  bySignal: Array<{ signal: string; table: Table }>
  unmatchable: number
}

/** A known PDQ hash within a radius; distance in bits. */
export type PdqHit = { list: string; entry: string; distance: number }

/** An index over whole list versions. It never changes: a new version means a new index. */
export type MatchIndex = {
  /**
   * Everything in the fingerprint that is known.
   * @returns at most one match for each list, entry, signal kind and class: the one of the least distance, then the earliest frame, then the
   *   transform that comes first in the alphabet. Ascending by class (exact, near, wide) and distance; the order depends on nothing but the content.
   *   `enforced` is false where the version has the entry in shadow; policy has its say after that, in the judge.
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

/** Makes the tables of an index over the lists' versions. @throws {RangeError} when there is not enough memory */
export function buildMatchTables(lists: readonly KnownList[]): MatchTables {
  const counts = lists.map(({ entries }) => countHashes(entries))
  const matchable = (signal: string): number =>
    counts.reduce((sum, { signals }) => sum + (signals.get(signal)?.matchable ?? 0), 0)
  const unmatchable = counts
    .flatMap(({ signals }) => [...signals.values()])
    .reduce((sum, count) => sum + count.hashes - count.matchable, 0)
  const values = new Map<string, KnownValues<Table> & { filled: number }>()
  for (const [signal, { bytes, values: make }] of Object.entries(kinds)) {
    values.set(signal, { ...make(matchable(signal), bytes), filled: 0 })
  }
  eachHash(lists, (ref, signal, chunk, from, to) => {
    const known = values.get(signal)
    if (known === undefined || !isMatchable(signal, to - from)) return
    known.refs[known.filled] = ref
    for (let at = from, target = known.filled * (to - from); at < to; at++, target++) {
      known.bytes[target] = chunk[at] ?? 0
    }
    known.filled += 1
  })
  return {
    lists: lists.map(({ list, version, shadowed, entries }, at) => {
      return { list, version, shadowed, entries: entries.places, matchable: counts[at]?.matchableEntries ?? 0 }
    }),
    bySignal: [...values].map(([signal, { build }]) => ({ signal, table: build() })),
    unmatchable,
  }
}

function eachHash(
  lists: readonly KnownList[],
  tell: (ref: number, signal: string, chunk: Buffer, from: number, to: number) => void,
): void {
  let first = 0
  for (const { entries } of lists) {
    const begin = first
    entries.eachHash((index, signal, chunk, from, to) => tell(begin + index, signal, chunk, from, to))
    first += entries.length
  }
}

/** Makes an index of tables that this thread or another has built; the tables serve one thread at a time. */
export function openMatchIndex({ lists, bySignal, unmatchable }: MatchTables): MatchIndex {
  const matchers = new Map(bySignal.map(({ signal, table }) => [signal, matcherOf(table)]))
  let first = 0
  const opened = lists.map(({ list, version, shadowed, entries: places }) => {
    const entries = new PackedEntries(places)
    const begin = first
    first += entries.length
    return { list, version, shadowed: new Set(shadowed), entries, begin }
  })

  /** The entry of this number. */
  function known(
    ref: number,
  ): { list: string; version: string; entry: HashListEntry; isShadowed: boolean } | undefined {
    const found = opened.findLast(({ begin }) => begin <= ref)
    const entry = found?.entries.at(ref - found.begin)
    if (found === undefined || entry === undefined) return undefined
    const { list, version, shadowed } = found
    return { list, version, entry, isShadowed: shadowed.has(entry.id) || shadowed.has(ALL_ENTRIES) }
  }

  return {
    unmatchable,
    match(fingerprint, tiers) {
      const found: Match[] = []
      for (const signal of fingerprint) {
        for (const { ref, distance, class: matchClass } of matchers.get(signal.signal)?.match(signal, tiers) ?? []) {
          const origin = known(ref)
          if (origin === undefined) continue
          const { list, version, entry, isShadowed } = origin
          const match: Match = {
            list,
            listVersion: version,
            entry: entry.id,
            signal: signal.signal,
            distance,
            quality: signal.quality,
            frame: signal.frame,
            transform: signal.transform,
            class: matchClass,
            enforced: !isShadowed,
            classification: entry.classification,
            standing: standingOf(entry),
          }
          found.push(match)
        }
      }
      return strongest(found)
    },
    search(hash, radius) {
      if (hash.length !== kinds.pdq?.bytes) throw new RangeError('expected a hash of 32 bytes')
      const nearest = new Map<number, number>()
      for (const { ref, distance } of matchers.get('pdq')?.search(hash, radius) ?? []) {
        nearest.set(ref, Math.min(distance, nearest.get(ref) ?? distance))
      }
      const hits = [...nearest].flatMap(([ref, distance]): PdqHit[] => {
        const found = known(ref)
        return found ? [{ list: found.list, entry: found.entry.id, distance }] : []
      })
      return hits.sort((a, b) => a.distance - b.distance || byText(a.list, b.list) || byText(a.entry, b.entry))
    },
  }
}

/** An index over the lists' versions, in this thread. */
export function buildMatchIndex(lists: readonly KnownList[]): MatchIndex {
  return openMatchIndex(buildMatchTables(lists))
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
