import type { Kafka, Producer } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { ALL_ENTRIES, entryKey, entryText, manifestKey, parseHashListKey, versionName } from '../domain/hash-list.ts'
import type { KnownList } from '../domain/hash-list-state.ts'
import type { ListChange } from '../domain/list-plan.ts'
import { countHashes } from '../domain/match/match-index.ts'
import { type PackedEntries, PackedList } from '../domain/packed-entries.ts'
import type { HashListEntry, HashListManifest, HashListRecord, VersionCause } from '../domain/records.ts'
import { prefixed } from '../domain/topics.ts'
import { connectProducer } from '../platform/kafka/client.ts'
import { HASH_ENTRIES, type VersionRecord } from '../platform/kafka/follow-hash-lists.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { keepVersion } from '../platform/kept-versions.ts'
import type { Registry } from '../platform/registry.ts'
import type { Store } from '../platform/stores/store.ts'
import type { ListsPlace } from './lists-place.ts'

/** Well below what the topic takes at once. */
const REQUEST_BYTES = 1_048_576
const RECORDS_PER_REQUEST = 1000
const CONFIRM_MS = 60_000
/** Each with a producer of its own. */
const WRITE_ATTEMPTS = 3

export type ImportOptions = {
  kafka: Kafka
  registry: Registry
  prefix: string
  /** where versions are kept */
  store: Store
  list: string
  /** the version to come, or what makes it of what there is */
  next: NextVersion | ((known: KnownVersions) => NextVersion | Promise<NextVersion>)
  /** milliseconds since the epoch */
  now: number
  /** Called before anything is written, and may refuse by throwing. */
  check?: (change: ListChange) => Promise<void>
  /** Called as records are written. */
  onProgress?: (done: number, total: number) => void
}

/** A version that is about to be written. */
export type NextVersion = {
  /** all of them */
  entries: PackedEntries
  /** when the source was last known to be current; milliseconds since the epoch */
  checkedAt: number
  /** ids of entries in shadow, or `ALL_ENTRIES`; default: as in the version in force */
  shadowed?: readonly string[]
  cause: VersionCause
}

/** The versions of a list that there are. */
export type KnownVersions = { inForce: KnownList | null; manifests: HashListManifest[]; shadowed: readonly string[] }

/** What an import did, in numbers of entries. */
export type ImportReport = {
  list: string
  version: string
  digest: string
  checkedAt: string
  entries: number
  added: number
  changed: number
  removed: number
  unchanged: number
}

/**
 * Brings a list on gate.hash-entries to a new version: writes what is new or changed, takes back what is gone, then closes it with a manifest, and
 * reads all that back. Until the manifest is there, readers stay at the version before. It compares with what the topic holds, complete or
 * not, so it also mends an import that stopped half-way.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE; LISTS_INCOMPLETE when another version of the list
 *   came between
 */
export async function importList(options: ImportOptions): Promise<ImportReport> {
  const { list, store, next } = options
  const manifests = new Map<string, HashListManifest>()
  const lists = await openLists({ ...options, onVersion: (record) => noteVersion(manifests, list, record) })
  // No version was kept before versions told how they came about.
  const isFirst = ![...manifests.values()].some(({ cause }) => cause !== null)
  const writer = createWriter(options)
  try {
    const inForce = lists.collector.states().find((state) => state.list === list)?.inForce ?? null
    // What a person has put in shadow stays so, also where the newest version is not whole.
    const newestKnown = lists.collector.newestVersion(list)
    const newest = manifests.get(newestKnown ?? '')
    const known = { inForce, manifests: [...manifests.values()], shadowed: newest?.shadowed ?? [] }
    const { checkedAt, shadowed = known.shadowed, cause, ...wanted } = await madeOf(next, known)
    const entries = wanted.entries.byId()
    await options.check?.(changeOf(list, inForce, entries, shadowed))
    const before = lists.collector.collected(list).snapshot().byId()
    const digest = entries.digest()
    const version = versionName(options.now, digest, newestKnown)
    const { added, changed, removed } = compare(before, entries)
    const manifest: HashListManifest = {
      list,
      version,
      entries: entries.length,
      digest,
      checkedAt,
      shadowed: [...shadowed],
      signals: [...countHashes(entries).signals].map(([signal, { hashes }]) => ({ signal, hashes })),
      cause,
    }

    refuseOutdated(list, newestKnown, lists.collector.newestVersion(list))
    await (isFirst ? store.make() : store.find())
    // First of all: a version that is in force can be had again.
    await keepVersion(store, entries, digest)
    await send(entries, before, [...added, ...changed], removed)
    refuseOutdated(list, newestKnown, lists.collector.newestVersion(list))
    await writer.write([{ key: manifestKey(list, version), value: await encode({ entry: null, manifest }) }])
    // By its own record, not by its name: what was made in the same moment may have a later one.
    const closed = await lists.waitFor((state) => state.list === list && manifests.has(version), CONFIRM_MS)
    if (closed?.inForce?.version !== version) {
      const what = `list ${list}, version ${version}, was written but is not in force`
      throw new SluiceError('LISTS_INCOMPLETE', `${what}: was there another import at the same time? Import it again`)
    }
    const undone = [...manifests.keys()].find((name) => name !== version && name > (newestKnown ?? ''))
    if (undone !== undefined) {
      const what = `list ${list}, version ${version}, is in force and undoes version ${undone}, which was made at the same moment`
      throw new SluiceError(
        'LISTS_INCOMPLETE',
        `${what}: do again what that was for, see \`sluice lists versions ${list}\``,
      )
    }
    return {
      list,
      version,
      digest,
      checkedAt: new Date(checkedAt).toISOString(),
      entries: entries.length,
      added: added.length,
      changed: changed.length,
      removed: removed.length,
      unchanged: entries.length - added.length - changed.length,
    }
  } finally {
    await writer.close()
    await lists.close()
  }

  /** @param wanted numbers of entries to write @param gone numbers of entries of `before` to take back */
  async function send(
    entries: PackedEntries,
    before: PackedEntries,
    wanted: readonly number[],
    gone: readonly number[],
  ): Promise<void> {
    const total = wanted.length + gone.length
    let messages: Entry[] = []
    let bytes = 0
    for (let at = 0; at < total; at++) {
      const isWanted = at < wanted.length
      const entry = isWanted ? entries.at(wanted[at] ?? -1) : before.at(gone[at - wanted.length] ?? -1)
      if (entry === undefined) throw new RangeError('an entry that is to be written is not there')
      const value = isWanted ? await encode({ entry, manifest: null }) : null
      messages.push({ key: entryKey(list, entry.id), value })
      bytes += entry.id.length + (value?.length ?? 0)
      if (bytes < REQUEST_BYTES && messages.length < RECORDS_PER_REQUEST && at + 1 < total) continue
      await writer.write(messages)
      options.onProgress?.(at + 1, total)
      messages = []
      bytes = 0
    }
  }

  function encode(record: HashListRecord): Promise<Buffer> {
    return options.registry.encode(HASH_ENTRIES, record)
  }
}

type Entry = { key: string; value: Buffer | null }

/** Writes records of the lists' topic. An entry that is written twice is the same one. */
function createWriter({ kafka, prefix }: Pick<ImportOptions, 'kafka' | 'prefix'>) {
  const topic = prefixed(prefix, HASH_ENTRIES)
  let producer: Producer | null = null

  async function connect(): Promise<Producer> {
    const fresh = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
    await connectProducer(fresh)
    return fresh
  }

  async function close(): Promise<void> {
    await producer?.disconnect()
    producer = null
  }

  return {
    close,
    /** @throws {SluiceError} BROKER_UNREACHABLE */
    async write(entries: readonly Entry[]): Promise<void> {
      const messages = entries.map((entry) => ({ ...entry, partition: 0 }))
      for (let attempt = 1; ; attempt++) {
        try {
          producer ??= await connect()
          await producer.send({ topic, acks: -1, messages })
          return
        } catch (cause) {
          // After a machine's sleep the brokers may no longer know the numbers of its requests.
          await close().catch(() => undefined)
          producer = null
          if (attempt < WRITE_ATTEMPTS) continue
          throw new SluiceError('BROKER_UNREACHABLE', `${topic} could not be written; import the list again`, { cause })
        }
      }
    },
  }
}

/**
 * How a version to come differs from the one in force; nothing is written.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE
 */
export async function readChange(place: ListsPlace, list: string, entries: PackedEntries): Promise<ListChange> {
  const lists = await openLists(place)
  try {
    const inForce = lists.collector.states().find((state) => state.list === list)?.inForce ?? null
    return changeOf(list, inForce, entries.byId(), inForce?.shadowed ?? [])
  } finally {
    await lists.close()
  }
}

/** @param entries in the order of their ids; what comes out of shadow is new as well */
function changeOf(
  list: string,
  inForce: KnownList | null,
  entries: PackedEntries,
  shadowed: readonly string[],
): ListChange {
  const before = inForce?.entries.byId() ?? new PackedList(list).snapshot()
  const { added, changed, removed, lost } = compare(before, entries)
  const gone = new Set(removed.flatMap((at) => before.at(at)?.id ?? []))
  for (const at of changed) gone.add(entries.at(at)?.id ?? '')
  const others = new Set([...added, ...changed, ...outOfShadow(inForce, entries, shadowed)])
  const news = entries.some([...others].toSorted((a, b) => a - b))
  return { list, before: before.length, after: entries.length, lost, news, gone, shadowed }
}

/** Numbers of entries that are in shadow now, and will not be. */
function outOfShadow(inForce: KnownList | null, entries: PackedEntries, shadowed: readonly string[]): number[] {
  const [before, after] = [new Set(inForce?.shadowed), new Set(shadowed)]
  if (after.has(ALL_ENTRIES) || [...before].every((id) => after.has(id))) return []
  const found: number[] = []
  let at = 0
  for (const { id } of entries) {
    if ((before.has(ALL_ENTRIES) || before.has(id)) && !after.has(id)) found.push(at)
    at += 1
  }
  return found
}

function madeOf(next: ImportOptions['next'], known: KnownVersions): NextVersion | Promise<NextVersion> {
  return typeof next === 'function' ? next(known) : next
}

/**
 * What was made of the versions that were known then would undo what came since: a rollback, or what a person has put in shadow or taken out of it.
 * @throws {SluiceError} LISTS_INCOMPLETE
 */
function refuseOutdated(list: string, known: string | null, newest: string | null): void {
  if (newest === known) return
  const sentence = `list ${list}: version ${newest} was made while this one was, which would undo it`
  throw new SluiceError('LISTS_INCOMPLETE', `${sentence}; no version was made, call again`)
}

/** Of all lists' versions those of one list; a version that is taken back is none. */
export function noteVersion(
  manifests: Map<string, HashListManifest>,
  list: string,
  { key, manifest }: VersionRecord,
): void {
  const place = key === null ? null : parseHashListKey(key)
  if (place?.list !== list) return
  if (manifest === null) manifests.delete(place.name)
  else if (manifest.list === list && manifest.version === place.name) manifests.set(place.name, manifest)
}

/**
 * Numbers of entries, both in the order of ids: of those that only `after` has, those that are others there, and those that only `before` has; and
 * how many of `before` are lost.
 */
function compare(
  before: PackedEntries,
  after: PackedEntries,
): { added: number[]; changed: number[]; removed: number[]; lost: number } {
  const difference = { added: [] as number[], changed: [] as number[], removed: [] as number[], lost: 0 }
  let [old, at] = [0, 0]
  while (old < before.length || at < after.length) {
    if (after.isSame(at, before, old)) {
      old += 1
      at += 1
      continue
    }
    const [was, is] = [before.at(old), after.at(at)]
    if (is === undefined || (was !== undefined && was.id < is.id)) difference.removed.push(old++)
    else if (was === undefined || is.id < was.id) difference.added.push(at++)
    else {
      if (entryText(was) !== entryText(is)) difference.changed.push(at)
      if (isLost(was, is)) difference.lost += 1
      old += 1
      at += 1
    }
  }
  difference.lost += difference.removed.length
  return difference
}

/** Whether what an entry knew is known no more: lists of different sources may well have the same ids. */
function isLost(was: HashListEntry, is: HashListEntry): boolean {
  if (is.withdrawn && !was.withdrawn) return true
  return !was.signals.some((old) =>
    is.signals.some(({ signal, value }) => signal === old.signal && value.equals(old.value)),
  )
}
