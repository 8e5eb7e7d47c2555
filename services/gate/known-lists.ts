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
  },
): KnownLists {
  const { policy, now = Date.now, onChange, ...source } = options
  let readOnce = false
  let index = buildMatchIndex([])
  let versions: ListVersion[] = []

  const follower = followHashLists({
    ...source,
    onVersion: () => {
      if (readOnce) rebuild()
    },
  })
  const reading = follower.reachedEnd.then(() => {
    readOnce = true
    rebuild()
  })
  reading.catch((error: unknown) => source.onTrouble?.(error))

  function rebuild(): void {
    const states = follower.lists.states()
    const known = states.flatMap(({ inForce }): KnownList[] => (inForce ? [inForce] : []))
    index = buildMatchIndex(known)
    versions = known.map(({ list, version }) => ({ list, version }))
    onChange?.(states)
  }

  return {
    current() {
      const problem = readOnce
        ? listsInForce(policy, follower.lists.states(), now())
        : new SluiceError(
            'LISTS_INCOMPLETE',
            'the hash lists have not been read to their end yet; this goes on by itself',
          )
      return { index, versions, problem }
    },
    states: () => follower.lists.states(),
    stop: () => follower.stop(),
  }
}
