import { SluiceError } from '../domain/errors.ts'
import type { HashListCollector, KnownList, ListState } from '../domain/hash-list-state.ts'
import { buildMatchTables, type MatchTables } from '../domain/match/match-index.ts'
import type { PackedEntries } from '../domain/packed-entries.ts'
import type { HashListManifest } from '../domain/records.ts'
import { type FollowHashListsOptions, followHashLists } from '../platform/kafka/follow-hash-lists.ts'
import type { Resumed, SnapshotKeeper, TakeLists } from './keep-snapshot.ts'

/** An index that could not be built is tried again after this long. */
const BUILD_AGAIN_MS = 10_000
const BROKEN = 'a version does not add up'
/** Whoever listens hears at least this often, also when there is nothing new. */
const TELL_EVERY_MS = 1000

/** What is known of the lists at one moment, all of it together. It may be handed to another thread. */
export type ListsNews = {
  /** the topic has been read to its end, from its beginning */
  isRead: boolean
  /** every list on the topic; of entries only the number */
  states: ListState[]
  /** milliseconds since the cluster last said that the topic is there */
  silence: number
  /** why there is no index of the versions in force; null when there is one */
  unbuilt: SluiceError | null
  /** the index of the versions in force, where that is another one than was told before */
  tables?: MatchTables
}

export type CollectListsOptions = Omit<FollowHashListsOptions, 'onVersion' | 'resumed'> & {
  onNews: (news: ListsNews) => void
  onTrouble: (error: unknown) => void
  /** how an index is built, if not as usual */
  build?: typeof buildMatchTables
  /** The entries of a version that the topic does not have any more. @throws {SluiceError} VERSION_MISSING, STORE_UNREACHABLE */
  readKept: (manifest: HashListManifest) => Promise<PackedEntries>
  /** where what is known is kept for the next start */
  snapshot?: SnapshotKeeper | undefined
}

/** Who collects: until it is stopped. */
export type ListsCollecting = { stop(): Promise<void> }

/**
 * Follows the hash lists and builds an index of their versions in force, when the topic has first been read to its end and again at each
 * manifest after that; entries whose manifest is still to come are not in it. Where there is a snapshot that holds, only what came after it is
 * read; whatever does not agree with it has the topic read from its beginning. Collecting, proving and building take their thread for many
 * seconds where there are many millions of entries.
 */
export function collectLists(options: CollectListsOptions): ListsCollecting {
  const { onNews, onTrouble, build = buildMatchTables, snapshot, readKept, ...source } = options
  let isRead = false
  let unbuilt: SluiceError | null = null
  /** what the newest index was built of */
  let built: { known: KnownList[]; tables: MatchTables } | null = null
  const doubted = new Set<string>()
  const ended: Promise<void>[] = []
  const stopping = new AbortController()
  let follower: ReturnType<typeof followHashLists> | null = null
  const begun = begin()
  const telling = setInterval(tell, TELL_EVERY_MS)

  async function begin(): Promise<void> {
    const resumed = (await snapshot?.load(stopping.signal)) ?? null
    if (!stopping.signal.aborted) follower = follow(resumed)
  }

  function follow(resumed: Resumed | null): ReturnType<typeof followHashLists> {
    const isCurrent = (): boolean => follower === mine
    const mine = followHashLists({
      ...source,
      resumed,
      onVersion: () => {
        if (!isRead || !isCurrent()) return
        rebuild()
        doubt()
      },
      onTrouble: (error) => {
        const jump = error instanceof SluiceError && error.code === 'POSITION_JUMPED' && isCurrent() ? error : null
        // Of a snapshot it only says that it is of no use.
        if (jump === null || resumed === null || isRead) onTrouble(error)
        if (jump !== null) followAnew(jump.message)
      },
    })
    const reading = mine.reachedEnd.then(async () => {
      if (!isCurrent()) return
      if (resumed !== null && mine.lists.states().some(({ broken }) => broken)) return followAnew(BROKEN)
      await supplyAll(mine.lists)
      if (!isCurrent()) return
      isRead = true
      snapshot?.used()
      rebuild()
    })
    reading.catch(onTrouble)
    return mine
  }

  /**
   * In the middle of an import, compaction may have taken away what the last complete version had: that is kept elsewhere. Where it can't be had,
   * the list waits for its next version.
   */
  async function supplyAll(lists: HashListCollector): Promise<void> {
    for (const manifest of lists.unproven()) {
      try {
        lists.supply(manifest, await readKept(manifest))
      } catch (error) {
        onTrouble(error)
      }
    }
  }

  /** What is on the topic is not what was read: nothing that was known counts until it has been read from the beginning. */
  function followAnew(why: string): void {
    if (stopping.signal.aborted) return
    isRead = false
    snapshot?.refuse(why)
    if (follower !== null) ended.push(follower.stop())
    follower = follow(null)
    tell()
  }

  /** A version that does not add up may be one of a topic that was made anew behind our back: seen once more, from the beginning. */
  function doubt(): void {
    const broken = states().flatMap(({ list, broken }) => (broken ? [`${list}/${broken.version}`] : []))
    const news = broken.filter((version) => !doubted.has(version))
    for (const version of news) doubted.add(version)
    if (news.length > 0) followAnew(BROKEN)
  }

  /** Nothing is judged by an index that is not that of the versions in force. */
  function rebuild(): void {
    const known = states().flatMap(({ inForce }): KnownList[] => (inForce ? [inForce] : []))
    try {
      built = { known, tables: renamed(known) ?? build(known) }
      unbuilt = null
      snapshot?.save(
        known.map(({ entries }) => entries),
        take,
      )
    } catch (cause) {
      const sentence = 'the hash lists have been read, but no index of them could be built'
      unbuilt = new SluiceError('LISTS_INCOMPLETE', `${sentence}: is there enough memory? It is tried again`, { cause })
      onTrouble(unbuilt)
      setTimeout(() => {
        if (unbuilt !== null && isRead) rebuild()
      }, BUILD_AGAIN_MS).unref()
    }
    tell(unbuilt === null ? built?.tables : undefined)
  }

  /** What a snapshot holds: only where it has led to versions that are whole. */
  function take(): ReturnType<TakeLists> {
    const mark = isRead ? follower?.mark() : null
    if (!follower || !mark || states().some(({ broken }) => broken)) return null
    return { mark, lists: follower.lists.save() }
  }

  function states(): Array<ListState<KnownList>> {
    return follower?.lists.states() ?? []
  }

  /** The tables there are, where only the versions' names are others: lists are checked far more often than they change. */
  function renamed(known: readonly KnownList[]): MatchTables | null {
    if (built === null || known.length !== built.known.length) return null
    if (known.some(({ entries }, at) => entries !== built?.known[at]?.entries)) return null
    const { tables } = built
    const lists = known.map(({ list, version, shadowed, entries }, at) => {
      return { list, version, shadowed, entries: entries.places, matchable: tables.lists[at]?.matchable ?? 0 }
    })
    return { ...tables, lists }
  }

  function tell(tables?: MatchTables): void {
    const told = states().map((state): ListState => {
      const { inForce } = state
      if (inForce === null) return { ...state, inForce }
      const matchable = built?.tables.lists[built.known.indexOf(inForce)]?.matchable
      const counted = matchable === undefined ? {} : { matchable }
      return { ...state, inForce: { ...inForce, entries: { length: inForce.entries.length }, ...counted } }
    })
    onNews({ isRead, states: told, silence: follower?.silence() ?? 0, unbuilt, ...(tables ? { tables } : {}) })
  }

  return {
    async stop() {
      clearInterval(telling)
      stopping.abort()
      await begun
      await Promise.all([...ended, follower?.stop()])
    },
  }
}
