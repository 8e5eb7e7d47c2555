import { parseHashListKey } from './hash-list.ts'
import { type PackedEntries, PackedList, type SavedEntries } from './packed-entries.ts'
import type { HashListManifest, HashListRecord } from './records.ts'

/** A whole version of a list, proven by its manifest. Never changed once it is handed out. */
export type KnownVersion = {
  list: string
  version: string
  /** lower-case hex, see `listDigest` */
  digest: string
  /** milliseconds since the epoch: when this version was last known to be the source's current one */
  checkedAt: number
  /** ids of entries that are in shadow by somebody's word, or `ALL_ENTRIES` */
  shadowed: readonly string[]
  /** how many there are; of a {@link KnownList} themselves */
  entries: { readonly length: number }
  /** how many of them have a hash that this engine can match; absent where nobody has counted them */
  matchable?: number
}
export type KnownList = KnownVersion & { entries: PackedEntries }

/** What is known of a list on gate.hash-entries. */
export type ListState<Version extends KnownVersion = KnownVersion> = {
  list: string
  /** the last complete version; null when there is none */
  inForce: Version | null
  /** the newest manifest, when the entries do not add up to it; null when they do */
  broken: { version: string; expected: number; found: number } | null
  /** entries have changed since the newest manifest: an import is under way, or has stopped half-way */
  changing: boolean
}

type Kept = ListState<KnownList> & {
  newestVersion: string | null
  /** where the manifest of the version in force stands on the topic */
  manifestAt: number
}
type Collected = Kept & {
  entries: PackedList
  /** the manifest that the entries do not add up to, and where it stands; null where none is */
  unproven: { manifest: HashListManifest; offset: number } | null
}

/** All that a collector knows at one moment. */
export type SavedLists = {
  malformed: number
  /** where nothing has changed since a version's manifest, the places collected are those of the version */
  lists: Array<Kept & { collected: SavedEntries }>
}

/**
 * Collects the records of gate.hash-entries into whole list versions. An entry counts only from the manifest on that closes its
 * version: when count and digest of what was collected equal the manifest's, that is a complete version. What changes after a manifest is
 * not seen in the version in force. Where they do not add up, the list stays at its last complete version and is marked broken.
 *
 * Feed it the topic from the beginning, in order. Compaction is allowed for: a manifest whose entries have since been replaced or removed
 * does not add up, and only the newest manifest decides whether the list is broken.
 */
export class HashListCollector {
  readonly #lists = new Map<string, Collected>()
  /** records whose key or value makes no sense; where one should have been an entry, its list's next manifest does not add up */
  malformed = 0

  /** @param saved what another one knew: this one goes on from there, and nobody else may */
  constructor(saved: SavedLists = { malformed: 0, lists: [] }) {
    this.malformed = saved.malformed
    for (const { collected, ...state } of saved.lists) {
      this.#lists.set(state.list, { ...state, entries: new PackedList(state.list, collected), unproven: null })
    }
  }

  /**
   * @param key the record's key; null where it has none
   * @param record the decoded value; null for a tombstone; undefined where it could not be decoded
   * @param offset where the record stands on the topic
   * @returns what the record did: `version` when the list's version in force, its checked-at or its being broken may have changed
   */
  apply(key: string | null, record: HashListRecord | null | undefined, offset = -1): 'version' | 'entry' | 'malformed' {
    const place = key === null ? null : parseHashListKey(key)
    if (place === null) return this.#malformed()
    const list = this.#list(place.list)
    if (place.kind === 'entry') {
      list.changing = true
      const entry = record?.entry
      if (entry && entry.list === place.list && entry.id === place.name) {
        list.entries.put(entry)
        return 'entry'
      }
      list.entries.delete(place.name)
      return record === null ? 'entry' : this.#malformed()
    }
    if (list.newestVersion === null || place.name > list.newestVersion) list.newestVersion = place.name
    const manifest = record?.manifest
    if (manifest && manifest.list === place.list && manifest.version === place.name) close(list, manifest, offset)
    else if (record === null) withdraw(list, place.name)
    else {
      list.unproven = null
      list.broken = { version: place.name, expected: 0, found: list.entries.size }
      this.#malformed()
    }
    return 'version'
  }

  /** Every list that has a record, by name. */
  states(): Array<ListState<KnownList>> {
    return [...this.#lists.values()]
      .map(({ list, inForce, broken, changing }) => ({ list, inForce, broken, changing }))
      .sort((a, b) => (a.list < b.list ? -1 : 1))
  }

  /** All that it knows; what comes later does not change it. */
  save(): SavedLists {
    const lists = [...this.#lists.values()].map(({ entries, unproven: _, ...state }) => {
      return { ...state, collected: entries.save(state.changing ? undefined : state.inForce?.entries.places.places) }
    })
    return { malformed: this.malformed, lists }
  }

  /** The newest manifests that the topic's entries do not add up to: of imports that came between, compaction may have taken away what they replace. */
  unproven(): HashListManifest[] {
    return [...this.#lists.values()].flatMap(({ unproven }) => unproven?.manifest ?? [])
  }

  /**
   * Takes a version's entries from elsewhere. They have to prove themselves just as those of the topic do.
   * @returns whether that version is in force now: not where a newer manifest has come meanwhile
   */
  supply({ list: name, version }: Pick<HashListManifest, 'list' | 'version'>, entries: PackedEntries): boolean {
    const list = this.#lists.get(name)
    const unproven = list?.unproven
    if (list === undefined || unproven?.manifest.version !== version) return false
    const { manifest, offset } = unproven
    if (entries.length !== manifest.entries || entries.digest() !== manifest.digest) return false
    enforce(list, manifest, entries, offset)
    return true
  }

  /** What the topic holds of a list at this moment, complete or not: what an import compares with. */
  collected(list: string): PackedList {
    return this.#lists.get(list)?.entries ?? new PackedList(list)
  }

  /** The newest version that a manifest names, complete or not; null when there is no manifest. */
  newestVersion(list: string): string | null {
    return this.#lists.get(list)?.newestVersion ?? null
  }

  #list(list: string): Collected {
    let found = this.#lists.get(list)
    if (found === undefined) {
      const nothing = { inForce: null, broken: null, changing: false, newestVersion: null, manifestAt: -1 }
      found = { list, ...nothing, entries: new PackedList(list), unproven: null }
      this.#lists.set(list, found)
    }
    return found
  }

  #malformed(): 'malformed' {
    this.malformed += 1
    return 'malformed'
  }
}

function close(list: Collected, manifest: HashListManifest, offset: number): void {
  const { version, digest } = manifest
  const previous = list.inForce
  const isUnchanged = !list.changing && previous?.digest === digest && previous.entries.length === manifest.entries
  const entries = isUnchanged ? previous.entries : provenBy(manifest, list.entries)
  if (entries === null) {
    list.broken = { version, expected: manifest.entries, found: list.entries.size }
    list.unproven = { manifest, offset }
    return
  }
  enforce(list, manifest, entries, offset)
  list.changing = false
}

function enforce(list: Collected, manifest: HashListManifest, entries: PackedEntries, offset: number): void {
  const { version, digest, checkedAt, shadowed } = manifest
  list.inForce = { list: list.list, version, digest, checkedAt, shadowed, entries }
  list.manifestAt = offset
  list.broken = null
  list.unproven = null
}

/** What was collected, where it is what a manifest says; else null. */
function provenBy(manifest: HashListManifest, collected: PackedList): PackedEntries | null {
  if (collected.size !== manifest.entries) return null
  const entries = collected.snapshot()
  return entries.digest() === manifest.digest ? entries : null
}

/** Taking back the manifest of the version in force takes back the version: a reader that starts later does not see it either. */
function withdraw(list: Collected, version: string): void {
  if (list.inForce?.version === version) list.inForce = null
  if (list.broken?.version === version) list.broken = null
  if (list.unproven?.manifest.version === version) list.unproven = null
}
