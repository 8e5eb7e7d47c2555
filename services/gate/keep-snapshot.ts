import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { HashListCollector, type KnownList, type SavedLists } from '../domain/hash-list-state.ts'
import type { PackedEntries } from '../domain/packed-entries.ts'
import type { HashListManifest, HashListRecord } from '../domain/records.ts'
import { prefixed } from '../domain/topics.ts'
import { codeOf } from '../platform/error-code.ts'
import { inTime } from '../platform/in-time.ts'
import { withAdmin } from '../platform/kafka/client.ts'
import { HASH_ENTRIES } from '../platform/kafka/follow-hash-lists.ts'
import type { ReadMark } from '../platform/kafka/follow-topic.ts'
import { withPartitionReader } from '../platform/kafka/partition-reader.ts'
import type { Registry } from '../platform/registry.ts'
import { type ListsSnapshot, readSnapshot, removeSnapshot, writeSnapshot } from './lists-snapshot.ts'

/** Ten million entries are most of a gigabyte: not with every import of a busy day. What has come since is read from the topic. */
const WRITE_EVERY_MS = 600_000
/** Fewer are read from the topic sooner than a snapshot of them is held against it. */
export const LEAST_ENTRIES = 20_000
/** A disk that takes longer is slower than the topic. */
const READ_MS = 60_000
const AGAIN_MS = 1000
const ATTEMPTS = 3

/** What became of a snapshot, for the log. */
export type SnapshotEvent =
  | { what: 'used' | 'written'; entries: number; offset: number; seconds: number }
  | { what: 'refused' | 'unwritten'; why: string }

/** What was known when a snapshot was taken, to go on from. */
export type Resumed = { after: ReadMark; lists: HashListCollector }

/** Keeps what is known of the hash lists in a file, so that the next start need not read all of their topic. */
export type SnapshotKeeper = {
  /** What the file knows, where all of it is proven but what comes behind it; null where there is none that can be used. Never rejects. */
  load(signal: AbortSignal): Promise<Resumed | null>
  /** What was loaded has led to the end of the topic. */
  used(): void
  /** What was loaded, or lies there, is not to be used any more: it is removed. */
  refuse(why: string): void
  /**
   * Writes a file soon, where the entries in force are many, and others than in the one that is there. It may still be under way when the next
   * version comes.
   */
  save(inForce: readonly PackedEntries[], take: TakeLists): void
}

/** All that is known at this moment; null: nothing that is worth keeping. */
export type TakeLists = () => { mark: ReadMark; lists: SavedLists } | null

export type KeepSnapshotOptions = {
  folder: string
  kafka: Kafka
  registry: Pick<Registry, 'decode'>
  prefix: string
  onEvent: (event: SnapshotEvent) => void
  onTrouble: (error: unknown) => void
  writeEveryMs?: number
  /** entries in force of which a snapshot is worth while */
  leastEntries?: number
}

/**
 * A snapshot is used only where the topic still says the same: same cluster, same beginning, the manifests of the versions in force in their
 * places, and their digests are those of the entries in the file. That these were the newest is believed of a file that only this user can write;
 * that its last record is still there, and nothing missing behind it, is for who reads on from there to see. Where that is not so, it is
 * removed, and the topic is read from its beginning.
 */
export function keepSnapshot(options: KeepSnapshotOptions): SnapshotKeeper {
  const { folder, kafka, registry, prefix, onEvent, onTrouble } = options
  const { writeEveryMs = WRITE_EVERY_MS, leastEntries = LEAST_ENTRIES } = options
  const topic = prefixed(prefix, HASH_ENTRIES)
  /** the entries in force that the file has, as it was read or written last */
  let kept: PackedEntries[] | null = null
  let loaded: SnapshotEvent | null = null
  /** how often what there was has been refused */
  let refusals = 0
  let hasWarned = false
  let isWriting = false
  let isWanted = false
  let triedAt = Number.NEGATIVE_INFINITY

  async function load(signal: AbortSignal): Promise<Resumed | null> {
    const began = performance.now()
    const found = await inTime(readSnapshot(folder, topic), READ_MS, slowDisk).catch((error: unknown) => {
      onTrouble(error)
      return null
    })
    if (found === null) return null
    if ('why' in found) return discard(found.why)
    const { snapshot } = found
    try {
      const why = await persistently(() => doubtsAbout(snapshot, signal), signal)
      if (why !== null) return discard(why)
      const lists = new HashListCollector(snapshot.lists)
      kept = entriesOf(snapshot.lists)
      loaded = eventOf('used', snapshot, began)
      return { after: snapshot.mark, lists }
    } catch (error) {
      if (error instanceof RangeError) return discard('its entries are not whole')
      // It may be as good as any: it could not be held against the topic.
      if (!signal.aborted) onTrouble(error)
      return null
    }
  }

  /** A broker that stumbles once is no reason to read everything. */
  async function persistently<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (attempt === ATTEMPTS || error instanceof RangeError || signal.aborted) throw error
        await sleep(AGAIN_MS, undefined, { signal })
      }
    }
  }

  /** Why it is not what the topic says; null where there is no reason. */
  async function doubtsAbout({ cluster, mark, lists }: ListsSnapshot, signal: AbortSignal): Promise<string | null> {
    if ((await askedCluster(signal)) !== cluster) return 'it is of another cluster'
    const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic))
    const [low, high] = [Number(offsets[0]?.low), Number(offsets[0]?.high)]
    if (offsets.length !== 1 || low !== mark.low || !(high > mark.offset)) return 'the topic begins or ends elsewhere'
    const lacking = await withPartitionReader(kafka, async (reader) => {
      for (const { inForce, manifestAt } of lists.lists) {
        if (inForce === null) continue
        const isThere = manifestAt >= low && manifestAt <= mark.offset
        const record = isThere ? await reader.at(topic, 0, manifestAt) : null
        const value = record?.value && (await registry.decode<HashListRecord>(HASH_ENTRIES, record.value)).value
        if (!value?.manifest || !isManifestOf(inForce, value.manifest)) return 'the topic lacks one of its manifests'
      }
      return null
    })
    // Last, as it takes seconds where there are many millions.
    if (lacking !== null) return lacking
    const isProven = lists.lists.every(({ inForce }) => inForce === null || inForce.entries.digest() === inForce.digest)
    return isProven ? null : 'its entries are not those of their manifest'
  }

  /** Brokers may come up later than their clients. */
  async function askedCluster(signal: AbortSignal): Promise<string> {
    for (;;) {
      try {
        return await clusterId()
      } catch (error) {
        onTrouble(error)
        await sleep(AGAIN_MS, undefined, { signal })
      }
    }
  }

  async function clusterId(): Promise<string> {
    return (await withAdmin(kafka, (admin) => admin.describeCluster())).clusterId
  }

  function discard(why: string): null {
    kept = null
    loaded = null
    refusals += 1
    removeSnapshot(folder, topic).catch(onTrouble)
    onEvent({ what: 'refused', why })
    return null
  }

  async function write(take: TakeLists): Promise<void> {
    const cluster = await clusterId()
    // Between two records, not amid one.
    await setImmediate()
    const taken = take()
    if (taken === null) return
    const [snapshot, before, began] = [{ cluster, topic, ...taken }, refusals, performance.now()]
    await writeSnapshot(folder, snapshot)
    if (refusals > before) return await removeSnapshot(folder, topic)
    kept = entriesOf(taken.lists)
    hasWarned = false
    onEvent(eventOf('written', snapshot, began))
  }

  async function keepWriting(take: TakeLists): Promise<void> {
    while (isWanted) {
      await sleep(Math.max(0, triedAt + writeEveryMs - performance.now()), undefined, { ref: false })
      isWanted = false
      triedAt = performance.now()
      await write(take).catch((error: unknown) => {
        if (!hasWarned) onEvent({ what: 'unwritten', why: codeOf(error) ?? 'the cluster does not answer' })
        hasWarned = true
      })
    }
  }

  return {
    load,
    used() {
      if (loaded !== null) onEvent(loaded)
      loaded = null
    },
    refuse(why) {
      refusals += 1
      if (kept !== null) discard(why)
    },
    save(inForce, take) {
      if (inForce.reduce((sum, { length }) => sum + length, 0) < leastEntries) return
      if (inForce.length === kept?.length && inForce.every((entries) => kept?.includes(entries))) return
      isWanted = true
      if (isWriting) return
      isWriting = true
      keepWriting(take).finally(() => {
        isWriting = false
      })
    },
  }
}

function entriesOf({ lists }: SavedLists): PackedEntries[] {
  return lists.flatMap(({ inForce }) => inForce?.entries ?? [])
}

function eventOf(what: 'used' | 'written', { mark, lists }: ListsSnapshot, began: number): SnapshotEvent {
  const entries = entriesOf(lists).reduce((sum, { length }) => sum + length, 0)
  return { what, entries, offset: mark.offset, seconds: Math.round(performance.now() - began) / 1000 }
}

function isManifestOf(known: KnownList, { entries, shadowed, ...manifest }: HashListManifest): boolean {
  const isSame = (['list', 'version', 'digest', 'checkedAt'] as const).every(
    (field) => known[field] === manifest[field],
  )
  return isSame && known.entries.length === entries && known.shadowed.join() === shadowed.join()
}

function slowDisk(): SluiceError {
  const sentence = `the snapshot of the hash lists could not be read within ${READ_MS / 1000} s`
  return new SluiceError('STORE_UNREACHABLE', `${sentence}; their topic is read instead`)
}
