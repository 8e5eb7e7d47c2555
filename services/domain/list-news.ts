import { parseHashListKey } from './hash-list.ts'
import type { HashListManifest } from './records.ts'

/*
 * An entry's record on gate.hash-entries is written when the entry is new or changed, and at no other time. So what is new to somebody who knew a
 * version are the entries whose records stand behind that version's manifest: no former version need be kept to find them.
 */

/** Where versions' manifests stand on gate.hash-entries. */
export type VersionPlaces = {
  /** Takes note of a record that closes a version or takes one back. */
  note(record: { key: string | null; offset: number; manifest: HashListManifest | null }): void
  /** The offset of a version's manifest; -1 where there is none, before all entries. */
  placeOf(list: string, version: string): number
}

export function createVersionPlaces(): VersionPlaces {
  const lists = new Map<string, Map<string, number>>()
  return {
    note({ key, offset, manifest }) {
      const place = key === null ? null : parseHashListKey(key)
      if (place?.kind !== 'version') return
      const versions = lists.get(place.list) ?? new Map<string, number>()
      lists.set(place.list, versions)
      if (manifest === null) versions.delete(place.name)
      // Written twice, the earlier place is the one behind which nothing is missed.
      else versions.set(place.name, Math.min(offset, versions.get(place.name) ?? offset))
    },
    placeOf: (list, version) => lists.get(list)?.get(version) ?? -1,
  }
}

/** A version of a list, and where its manifest stands. */
export type PlacedVersion = {
  list: string
  version: string
  digest: string
  /** ids of entries that are in shadow, or `ALL_ENTRIES` */
  shadowed: readonly string[]
  offset: number
}

/**
 * Behind which offset the entries are that a version has and somebody did not know.
 * @param known the version that he knew; undefined: none
 * @returns the place of that version; that of `target` itself where nothing is new to him; -1 where it is not known what he knew
 */
export function newsAfter(
  target: Pick<PlacedVersion, 'list' | 'version' | 'offset'>,
  known: string | undefined,
  places: VersionPlaces,
): number {
  if (known === undefined) return -1
  // A later version sorts after an earlier one.
  return known >= target.version ? target.offset : Math.min(places.placeOf(target.list, known), target.offset)
}
