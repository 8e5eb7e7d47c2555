import { entryKey, parseHashListKey } from '../domain/hash-list.ts'
import type { PlacedVersion } from '../domain/list-news.ts'
import { buildMatchIndex, type MatchIndex } from '../domain/match/match-index.ts'
import { PackedList } from '../domain/packed-entries.ts'
import type { HashListRecord } from '../domain/records.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { HASH_ENTRIES } from '../platform/kafka/follow-hash-lists.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** The entries of versions that came after certain places. */
export type News = {
  index: MatchIndex
  entries: number
  /** some of them are digests, which envelopes may tell too */
  hasDigests: boolean
}

export const noNews: News = { index: buildMatchIndex([]), entries: 0, hasDigests: false }

/**
 * Reads what gate.hash-entries got behind certain places, and makes an index of it.
 * @param after by list, the offset behind which its entries are read; of a list that is not in it none are
 * @throws {SluiceError} as `readTopic`
 */
export async function readNews(
  settings: Settings,
  registry: Registry,
  versions: readonly PlacedVersion[],
  after: ReadonlyMap<string, number>,
): Promise<News> {
  const wanted = new Map(
    versions.flatMap((version) => {
      const from = after.get(version.list) ?? version.offset
      return from < version.offset ? [[version.list, { ...version, from, entries: new PackedList(version.list) }]] : []
    }),
  )
  if (wanted.size === 0) return noNews
  let hasDigests = false

  await readTopic<HashListRecord>({
    kafka: createKafka(settings, 'sluice-recall'),
    registry,
    prefix: settings.prefix,
    topic: HASH_ENTRIES,
    from: new Map([[0, Math.min(...[...wanted.values()].map(({ from }) => from)) + 1]]),
    isWanted({ key, value, offset }) {
      const place = key === null ? null : parseHashListKey(key.toString('utf8'))
      const list = place?.kind === 'entry' ? wanted.get(place.list) : undefined
      if (place === null || list === undefined || offset <= list.from || offset > list.offset) return false
      if (value === null) list.entries.delete(place.name)
      return true
    },
    onValue({ entry }, { key }) {
      if (entry === null || key?.toString('utf8') !== entryKey(entry.list, entry.id)) return
      wanted.get(entry.list)?.entries.put(entry)
      hasDigests ||= entry.signals.some(({ signal }) => signal !== 'pdq')
    },
  })
  const lists = [...wanted.values()].map(({ list, version, digest, shadowed, entries }) => {
    return { list, version, digest, shadowed, checkedAt: 0, entries: entries.snapshot() }
  })
  const entries = lists.reduce((sum, list) => sum + list.entries.length, 0)
  return { index: buildMatchIndex(lists), entries, hasDigests }
}
