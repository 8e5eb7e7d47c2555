import { coordinatesText } from '../domain/coordinates.ts'
import { AS_FETCHED, fetchedDigests } from '../domain/fetched-digests.ts'
import { createFloodCount, type Flood } from '../domain/flood.ts'
import { ALL_ENTRIES } from '../domain/hash-list.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { newsAfter, type PlacedVersion, type VersionPlaces } from '../domain/list-news.ts'
import { buildMatchIndex, type MatchIndex } from '../domain/match/match-index.ts'
import { packEntries } from '../domain/packed-entries.ts'
import { areSame, heldBy, isRecalled, MOST_MATCHES, matchAgain, matchesOnRecord } from '../domain/recall.ts'
import type { EnvelopeRecord, Match, RecallRecord, VerdictRecord } from '../domain/records.ts'
import type { FollowedRecord } from '../platform/kafka/follow-topic.ts'
import type { ListsNow } from './lists-now.ts'
import { type News, noNews } from './news.ts'
import {
  type Acceptance,
  type ComparedVersion,
  type Hit,
  hasVersion,
  type Places,
  type Positions,
  type Progress,
  type SavedPass,
} from './progress.ts'
import type { Recall } from './set-aside.ts'

/** So many envelopes are remembered at once, until their verdicts are looked up. */
const MOST_CLAIMS = 10_000

export type ComparisonParts = {
  policy: Policy
  lists: ListsNow
  places: VersionPlaces
  recalls: Map<string, RecallRecord>
  before: Progress | null
  /** of the flood that waits; where none does, there is nothing to accept */
  accepted: Acceptance | null
  readNews: (after: ReadonlyMap<string, number>) => Promise<News>
  /** milliseconds since the epoch */
  now: () => number
}

/** What a comparison did, in numbers. */
export type ComparisonCounts = { read: number; recalled: number; withdrawn: number; changed: number }

/** Which records a comparison has to be told, and from where on. */
export type Comparison = {
  counts: ComparisonCounts
  /** by how many entries things were compared with */
  entries(): number
  hasDigests(): boolean
  /** Reads what a comparison that goes on needs to have. To be called first. */
  begin(): Promise<void>
  from(): Places
  /** Tells it of a record of gate.verdicts before it is known whether it is worth decoding. */
  passVerdict(record: FollowedRecord): void
  /** Takes a verdict. Waits where entries have to be read first. */
  takeVerdict(verdict: VerdictRecord, record: FollowedRecord): Promise<void> | void
  /** Where the next envelopes are to be read from. */
  beginEnvelopes(): Positions
  /** Takes an envelope. Those behind the verdicts that it was told of it does not look at, nor those for which it has no room. */
  takeEnvelope(envelope: EnvelopeRecord, record: FollowedRecord): void
  /** Keys of records whose envelopes tell a digest that is known: their verdicts are to be looked up. */
  claims: { has(key: string): boolean; readonly size: number }
  /** Takes a verdict that a claim is about. */
  takeClaimed(verdict: VerdictRecord, record: FollowedRecord): void
  /** All of them are looked up. @returns whether there are more envelopes to be read */
  endClaims(): boolean
  /** how much would be written and moved now */
  unsaved(): number
  /** What is to be written and moved now; told once. */
  takeRecalls(isEnd: boolean): Recall[]
  floods(): Flood[]
  /** What is to be kept, to go on from here. */
  progress(isEnd: boolean): Progress
}

/** That an envelope tells a digest that is known. */
type Claim = { input: string; matches: Match[] }

/**
 * Compares everything ever cleared with what its verdict could not know: the entries that came after the version it was judged by, or that it was
 * compared with before. Where the versions are others than those of the comparison before, it begins at the beginning; else where that one
 * ended. Keeps hits in memory up to policy's bounds, and beyond them only counts.
 */
export function createComparison(parts: ComparisonParts): Comparison {
  const { policy, lists, places, recalls, readNews } = parts
  const targets = lists.versions
  const last = parts.before?.pass ?? null
  const unfinished = last !== null && areEqual(last.versions, targets) ? last : null
  // One by other versions that did not come to its end may have recalled and withdrawn by what is no longer in force: nothing counts as compared.
  const before = last === null || unfinished !== null ? parts.before : null
  const accepted = unfinished?.accepted ?? (unfinished?.flooded.length ? parts.accepted : null)
  const saved = unfinished !== null && isResumable(unfinished) ? unfinished : null
  const settled = before !== null && before.pass === null && areEqual(before.versions, targets)
  const start: Places = saved ?? (settled ? before : nowhere())
  const verdicts = new Map(start.verdicts)
  const door = new Map(start.door)
  const envelopes = new Map(start.envelopes)
  const targetOf = new Map(targets.map((target) => [target.list, target]))
  // Checked since, a version has another name.
  const count = createFloodCount(
    saved?.counts.map((one) => ({ ...one, version: targetOf.get(one.list)?.version ?? one.version })),
  )
  if (saved === null) for (const recall of recalls.values()) countAlso(recall)
  const hits = new Map<string, Hit>(saved?.hits.map((hit) => [hit.sha256, hit]))
  const flooded = new Set(saved?.flooded)
  let news: News = noNews
  /** behind these offsets the entries are among the news */
  const after = new Map(targets.map(({ list, offset }) => [list, saved?.after.get(list) ?? offset]))
  let holders: Holders | null = null
  const changes = new Map<string, Recall>()
  const claims = new Map<string, Claim[]>()
  /** partitions of gate.envelopes that have been read as far as they may be now */
  const full = new Set<number>()
  let claimed = 0
  const counts: ComparisonCounts = { read: 0, recalled: 0, withdrawn: 0, changed: 0 }

  /** What a version has recalled already is a part of what it recalls, unless somebody has accepted that. */
  function countAlso(recall: RecallRecord): void {
    if (!isRecalled(recall) || recall.acceptedBy !== null) return
    count.add(recall.matches.filter(({ list, listVersion }) => targetOf.get(list)?.version === listVersion))
  }

  /** A flood of which hits were left out is compared anew once somebody has accepted it, or policy allows more. */
  function isResumable(pass: SavedPass): boolean {
    const still = new Set(
      createFloodCount(pass.counts)
        .floods(policy.flood)
        .map(({ list }) => list),
    )
    return pass.flooded.every((list) => accepted === null && still.has(list))
  }

  /** Of each list that has entries which a verdict could not know, behind which offset they are. */
  function missedBy({ listVersions }: VerdictRecord, { partition, offset }: FollowedRecord): Map<string, number> {
    const missed = new Map<string, number>()
    const isCompared = before !== null && offset < (before.verdicts.get(partition) ?? 0)
    for (const target of targets) {
      const judged = listVersions.find(({ list }) => list === target.list)?.version
      let known = newsAfter(target, judged, places)
      if (isCompared) {
        const compared = before.versions.find(({ list }) => list === target.list)
        // What has come out of shadow since was not compared, though it was there.
        const isOut = compared?.shadowed.some((entry) => !target.shadowed.includes(entry)) ?? false
        if (compared !== undefined && !isOut) known = Math.max(known, newsAfter(target, compared.version, places))
      }
      if (known < target.offset) missed.set(target.list, known)
    }
    return missed
  }

  /** @returns whether the news reach back far enough */
  function reachesBack(missed: ReadonlyMap<string, number>): boolean {
    let isEnough = true
    for (const [list, from] of missed) {
      if (from >= (after.get(list) ?? from)) continue
      after.set(list, from)
      isEnough = false
    }
    return isEnough
  }

  function tryOn(verdict: VerdictRecord, missed: ReadonlyMap<string, number>): void {
    const found = news.entries === 0 || missed.size === 0 ? [] : news.index.match(verdict.fingerprint, policy.pdq)
    note(verdict, [...found.filter(({ list }) => missed.has(list)), ...outOfShadow(verdict)])
  }

  /** What the gate found when policy ran the list, or its version the entry, in shadow, where they no longer do. */
  function outOfShadow({ matches, fingerprint }: VerdictRecord): Match[] {
    return matches.flatMap((match): Match[] => {
      const target = targetOf.get(match.list)
      if (match.enforced || target === undefined || isShadowed(target, match.entry)) return []
      const entry = lists.entryOf(match.list, match.entry)
      const again = entry === undefined || entry === 'unknown' ? entry : matchAgain(match, fingerprint, entry)
      if (again === undefined || again === null) return []
      return [{ ...(again === 'unknown' ? match : again), listVersion: target.version, enforced: true }]
    })
  }

  function note(verdict: VerdictRecord, matches: readonly Match[]): void {
    const { sha256, input, inputTimestamp } = verdict
    const held = matches.length === 0 ? null : heldBy(matches, policy)
    if (held === null || sha256 === null) return
    count.add(held)
    if (accepted === null) for (const match of held) if (count.isFlood(match, policy.flood)) leaveOut(match.list)
    const kept = held.filter(({ list }) => !flooded.has(list))
    if (kept.length === 0) return
    const known = hits.get(sha256)
    const isFirst = known === undefined || isEarlier({ input, inputTimestamp }, known)
    hits.set(sha256, {
      sha256,
      ...(isFirst ? { input, inputTimestamp } : { input: known.input, inputTimestamp: known.inputTimestamp }),
      matches: matchesOnRecord([], [...kept, ...(known?.matches ?? [])]),
    })
  }

  /** What a list holds beyond policy's bounds is only counted from here on. */
  function leaveOut(list: string): void {
    if (flooded.has(list)) return
    flooded.add(list)
    for (const hit of hits.values()) {
      const matches = hit.matches.filter((match) => !flooded.has(match.list))
      if (matches.length === 0) hits.delete(hit.sha256)
      else hits.set(hit.sha256, { ...hit, matches })
    }
  }

  /** Sees whether what was recalled is still held, and by what. Each of its verdicts tells the same, for they are of the same bytes. */
  function reexamine(verdict: VerdictRecord, recall: RecallRecord): void {
    holders ??= holdersOf(recalls.values(), lists)
    const found = [
      ...(news.entries === 0 ? [] : news.index.match(verdict.fingerprint, policy.pdq)),
      ...holders.index.match(verdict.fingerprint, policy.pdq),
      ...recall.matches.filter((match) => isStillTold(match, holders)),
      ...outOfShadow(verdict),
    ]
    const held = heldBy(found, policy)
    if (held === null) {
      // Others than those that there was room for may hold it.
      if (recall.matches.length < MOST_MATCHES) change({ ...recall, state: 'withdrawn' })
      return
    }
    const matches = matchesOnRecord(recall.matches, held)
    if (!areSame(matches, recall.matches)) change({ ...recall, matches })
    // A gate that did not know the entry yet may have put it into the clean store again.
    else if (!changes.has(recall.sha256)) changes.set(recall.sha256, { sha256: recall.sha256, record: null })
  }

  /** What the fingerprint does not show: an entry of a list without any complete version, a digest that an envelope tells. */
  function isStillTold({ list, entry, transform }: Match, holders: Holders | null): boolean {
    const target = targetOf.get(list)
    if (target === undefined) return true
    return transform === AS_FETCHED && holders?.ids.get(list)?.has(entry) === true && !isShadowed(target, entry)
  }

  function change(recall: RecallRecord): void {
    const record = { ...recall, recalledAt: parts.now() }
    counts[isRecalled(record) ? 'changed' : 'withdrawn'] += 1
    recalls.set(record.sha256, record)
    changes.set(record.sha256, { sha256: record.sha256, record })
  }

  function recall({ sha256, input, matches }: Hit): void {
    const known = recalls.get(sha256)
    if (known !== undefined && isRecalled(known) && areSame(known.matches, matches)) {
      changes.set(sha256, { sha256, record: null })
      return
    }
    counts.recalled += 1
    const record: RecallRecord = {
      sha256,
      state: 'recalled',
      input: known?.input ?? input,
      matches: matchesOnRecord(known?.matches ?? [], matches),
      recalledAt: parts.now(),
      acceptedBy: accepted?.by ?? null,
      acceptedReason: accepted?.reason ?? null,
    }
    recalls.set(sha256, record)
    changes.set(sha256, { sha256, record })
  }

  function take(verdict: VerdictRecord, missed: ReadonlyMap<string, number>): void {
    const recalled = verdict.sha256 === null ? undefined : recalls.get(verdict.sha256)
    if (recalled !== undefined && isRecalled(recalled)) reexamine(verdict, recalled)
    else tryOn(verdict, missed)
  }

  function floods(): Flood[] {
    return count.floods(policy.flood).filter(({ list }) => flooded.has(list))
  }

  return {
    counts,
    claims,
    floods,
    entries: () => news.entries,
    hasDigests: () => news.hasDigests,
    from: () => start,
    async begin() {
      if (saved !== null) news = await readNews(after)
    },

    passVerdict({ partition, offset }) {
      counts.read += 1
      verdicts.set(partition, offset + 1)
    },

    takeVerdict(verdict, record) {
      door.set(verdict.input.partition, verdict.input.offset)
      // Nothing is cleared without bytes.
      if (verdict.outcome !== 'clean' || verdict.sha256 === null) return
      const missed = missedBy(verdict, record)
      if (reachesBack(missed)) return take(verdict, missed)
      return readNews(after).then((found) => {
        news = found
        take(verdict, missed)
      })
    },

    beginEnvelopes() {
      full.clear()
      return new Map(envelopes)
    },

    takeEnvelope({ input, envelope }, { partition, offset, key }) {
      if (full.has(partition) || claimed >= MOST_CLAIMS) return
      if (input.offset > (door.get(input.partition) ?? -1)) return void full.add(partition)
      envelopes.set(partition, offset + 1)
      const digests = fetchedDigests(envelope)
      const matches = digests.length === 0 ? [] : news.index.match(digests, policy.pdq)
      if (matches.length === 0) return
      const name = key?.toString('utf8') ?? ''
      const ofKey = claims.get(name) ?? []
      claims.set(name, ofKey)
      ofKey.push({ input: coordinatesText(input), matches })
      claimed += 1
    },

    endClaims() {
      const hasMore = claimed >= MOST_CLAIMS
      claims.clear()
      claimed = 0
      return hasMore
    },

    takeClaimed(verdict, record) {
      if (verdict.outcome !== 'clean' || verdict.sha256 === null) return
      const name = coordinatesText(verdict.input)
      const claim = claims.get(record.key?.toString('utf8') ?? '')?.find(({ input }) => input === name)
      if (claim === undefined) return
      const recalled = recalls.get(verdict.sha256)
      if (recalled === undefined || !isRecalled(recalled)) {
        const missed = missedBy(verdict, record)
        return note(
          verdict,
          claim.matches.filter(({ list }) => missed.has(list)),
        )
      }
      const matches = matchesOnRecord(recalled.matches, [...recalled.matches, ...claim.matches])
      if (!areSame(matches, recalled.matches)) change({ ...recalled, matches })
    },

    unsaved: () => changes.size + (accepted === null ? 0 : hits.size),

    takeRecalls(isEnd) {
      if (accepted !== null || isEnd) {
        for (const hit of hits.values()) recall(hit)
        hits.clear()
      }
      const taken = [...changes.values()]
      changes.clear()
      return taken
    },

    progress(isEnd) {
      const here: Places = { verdicts, door, envelopes }
      const versions = targets.map(({ list, version, digest, shadowed }) => ({ list, version, digest, shadowed }))
      if (isEnd && flooded.size === 0) return { ...here, versions, pass: null }
      const pass = {
        ...here,
        versions,
        after,
        hits: [...hits.values()],
        counts: count.counts(),
        flooded: [...flooded],
        accepted,
      }
      return { ...(before ?? { ...nowhere(), versions: [] }), pass }
    },
  }
}

/** The entries that hold what was recalled, as they are now; ids by list. */
type Holders = { index: MatchIndex; ids: ReadonlyMap<string, ReadonlySet<string>> }

function holdersOf(recalls: Iterable<RecallRecord>, { versions, entriesOf }: ListsNow): Holders {
  const wanted = new Map(versions.map(({ list }) => [list, new Set<string>()]))
  for (const { matches } of recalls) for (const { list, entry } of matches) wanted.get(list)?.add(entry)
  const lists = versions.map(({ list, version, digest, shadowed }) => {
    const entries = entriesOf(list, wanted.get(list) ?? new Set())
    return { list, version, digest, shadowed, checkedAt: 0, entries: packEntries(list, entries) }
  })
  const ids = lists.map(({ list, entries }) => [list, new Set([...entries].map(({ id }) => id))] as const)
  return { index: buildMatchIndex(lists), ids: new Map(ids) }
}

function isShadowed({ shadowed }: PlacedVersion, entry: string): boolean {
  return shadowed.includes(entry) || shadowed.includes(ALL_ENTRIES)
}

/** Each list is there once. */
function areEqual(one: readonly ComparedVersion[], other: readonly ComparedVersion[]): boolean {
  return one.length === other.length && one.every((version) => hasVersion(other, version))
}

function isEarlier(one: Pick<Hit, 'input' | 'inputTimestamp'>, other: Pick<Hit, 'input' | 'inputTimestamp'>): boolean {
  const by =
    one.inputTimestamp - other.inputTimestamp ||
    one.input.partition - other.input.partition ||
    one.input.offset - other.input.offset
  return by < 0
}

function nowhere(): Places {
  const none: Positions = new Map()
  return { verdicts: none, door: none, envelopes: none }
}
