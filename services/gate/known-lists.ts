import { SluiceError } from '../domain/errors.ts'
import type { KnownList, ListState } from '../domain/hash-list-state.ts'
import { listsInForce } from '../domain/judge/lists-in-force.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { buildMatchIndex, type MatchIndex } from '../domain/match/match-index.ts'
import type { ListVersion } from '../domain/records.ts'
import { type FollowHashListsOptions, followHashLists } from '../platform/kafka/follow-hash-lists.ts'

/** What a chunk is judged with: taken once a chunk, so that it is one set of versions. */
export type ListsInForce = {
  index: MatchIndex
  /** every list in force, by name */
  versions: ListVersion[]
  /** why nothing may be judged now (LISTS_INCOMPLETE, LISTS_STALE); null when it may */
  problem: SluiceError | null
}

/** An index that could not be built is tried again after this long. */
const BUILD_AGAIN_MS = 10_000

/** Lists that can't be asked for are believed for this long, as long as brokers may take to restart. */
const LONGEST_SILENCE_MS = 60_000

export type KnownLists = {
  current(): ListsInForce
  /** every list on the topic, for metrics and logs */
  states(): ListState[]
  stop(): Promise<void>
}

/**
 * Follows the hash lists and keeps an index of their versions in force. The index is built when the topic has first been read to its end, and again at
 * each manifest after that; entries whose manifest is still to come are not in it.
 */
export function followKnownLists(
  options: Omit<FollowHashListsOptions, 'onVersion'> & {
    policy: Pick<Policy, 'lists'>
    /** the clock; milliseconds since the epoch */
    now?: () => number
    /** Called after each rebuild, with the lists as they are. */
    onChange?: (states: ListState[]) => void
    /** how an index is built, if not as usual */
    build?: typeof buildMatchIndex
  },
): KnownLists {
  const { policy, now = Date.now, onChange, onTrouble, build = buildMatchIndex, ...source } = options
  let readOnce = false
  /** why there is no index of the versions in force; null when there is one */
  let unbuilt: SluiceError | null = null
  let index = buildMatchIndex([])
  let versions: ListVersion[] = []
  const doubted = new Set<string>()
  const ended: Promise<void>[] = []
  let follower = follow()

  function follow(): ReturnType<typeof followHashLists> {
    const isCurrent = (): boolean => follower === mine
    const mine = followHashLists({
      ...source,
      onVersion: () => {
        if (!readOnce || !isCurrent()) return
        rebuild()
        doubt()
      },
      onTrouble: (error) => {
        onTrouble?.(error)
        if (error instanceof SluiceError && error.code === 'POSITION_JUMPED' && isCurrent()) followAnew()
      },
    })
    const reading = mine.reachedEnd.then(() => {
      if (!isCurrent()) return
      rebuild()
      readOnce = true
    })
    reading.catch((error: unknown) => onTrouble?.(error))
    return mine
  }

  /** What is on the topic is not what was read: nothing that was known counts until it has been read from the beginning. */
  function followAnew(): void {
    readOnce = false
    ended.push(follower.stop())
    follower = follow()
  }

  /** A version that does not add up may be one of a topic that was made anew behind our back: seen once more, from the beginning. */
  function doubt(): void {
    const broken = follower.lists.states().flatMap(({ list, broken }) => (broken ? [`${list}/${broken.version}`] : []))
    const news = broken.filter((version) => !doubted.has(version))
    for (const version of news) doubted.add(version)
    if (news.length > 0) followAnew()
  }

  /** Nothing is judged by an index that is not that of the versions in force. */
  function rebuild(): void {
    const states = follower.lists.states()
    const known = states.flatMap(({ inForce }): KnownList[] => (inForce ? [inForce] : []))
    try {
      index = build(known)
      versions = known.map(({ list, version }) => ({ list, version }))
      unbuilt = null
    } catch (cause) {
      const sentence = 'the hash lists have been read, but no index of them could be built'
      unbuilt = new SluiceError('LISTS_INCOMPLETE', `${sentence}: is there enough memory? It is tried again`, { cause })
      onTrouble?.(unbuilt)
      setTimeout(() => {
        if (unbuilt !== null) rebuild()
      }, BUILD_AGAIN_MS).unref()
    }
    onChange?.(states)
  }

  function problem(): SluiceError | null {
    if (!readOnce) {
      const sentence = 'the hash lists have not been read to their end yet; this goes on by itself'
      return new SluiceError('LISTS_INCOMPLETE', sentence)
    }
    const silence = follower.silence()
    if (silence > LONGEST_SILENCE_MS) {
      const sentence = `the topic of the hash lists has not been there for over ${LONGEST_SILENCE_MS / 1000} s`
      return new SluiceError('LISTS_INCOMPLETE', `${sentence}, so what has changed is not known`)
    }
    return unbuilt ?? listsInForce(policy, follower.lists.states(), now())
  }

  return {
    current: () => ({ index, versions, problem: problem() }),
    states: () => follower.lists.states(),
    async stop() {
      await Promise.all([...ended, follower.stop()])
    },
  }
}
