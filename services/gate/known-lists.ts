import { SluiceError } from '../domain/errors.ts'
import type { ListState } from '../domain/hash-list-state.ts'
import { listsInForce } from '../domain/judge/lists-in-force.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { buildMatchIndex, type MatchIndex, openMatchIndex } from '../domain/match/match-index.ts'
import type { ListVersion } from '../domain/records.ts'
import type { CollectListsOptions, ListsCollecting, ListsNews } from './collect-lists.ts'

/** What a chunk is judged with: taken once a chunk, so that it is one set of versions. */
export type ListsInForce = {
  index: MatchIndex
  /** every list in force, by name */
  versions: ListVersion[]
  /** why nothing may be judged now (LISTS_INCOMPLETE, LISTS_STALE); null when it may */
  problem: SluiceError | null
}

/** Lists that can't be asked for are believed for this long, as long as brokers may take to restart. */
const LONGEST_SILENCE_MS = 60_000

export type KnownLists = {
  current(): ListsInForce
  /** every list on the topic, for metrics and logs */
  states(): ListState[]
  stop(): Promise<void>
}

/**
 * The hash lists in force, as somebody collects them, in this thread or another, and an index to search them by. A new index takes the
 * place of the one before in one step.
 */
export function followKnownLists(options: {
  policy: Pick<Policy, 'lists'>
  /** starts the collecting */
  collect: (to: Pick<CollectListsOptions, 'onNews' | 'onTrouble'>) => ListsCollecting
  /** Called with every failure to read or build; it is tried again. */
  onTrouble?: (error: unknown) => void
  /** Called after each rebuild, with the lists as they are. */
  onChange?: (states: ListState[]) => void
  /** the clock; milliseconds since the epoch */
  now?: () => number
}): KnownLists {
  const { policy, collect, onTrouble = () => undefined, onChange, now = Date.now } = options
  let index = buildMatchIndex([])
  let versions: ListVersion[] = []
  let news: ListsNews = { isRead: false, states: [], silence: 0, unbuilt: null }
  let heardAt = performance.now()
  const collecting = collect({ onNews: take, onTrouble })

  function take(latest: ListsNews): void {
    const { tables, ...rest } = latest
    if (tables !== undefined) {
      index = openMatchIndex(tables)
      versions = tables.lists.map(({ list, version }) => ({ list, version }))
    }
    const isChange = tables !== undefined || rest.unbuilt?.message !== news.unbuilt?.message
    news = rest
    heardAt = performance.now()
    if (isChange) onChange?.(news.states)
  }

  function problem(): SluiceError | null {
    if (!news.isRead) {
      const sentence = 'the hash lists have not been read to their end yet; this goes on by itself'
      return new SluiceError('LISTS_INCOMPLETE', sentence)
    }
    if (news.silence + performance.now() - heardAt > LONGEST_SILENCE_MS) {
      const sentence = `nothing has been heard of the topic of the hash lists for over ${LONGEST_SILENCE_MS / 1000} s`
      return new SluiceError('LISTS_INCOMPLETE', `${sentence}, so what has changed is not known`)
    }
    return news.unbuilt ?? otherIndex() ?? listsInForce(policy, news.states, now())
  }

  /** Index and versions are told together: that they differ should not be, and then nothing is judged. */
  function otherIndex(): SluiceError | null {
    const inForce = news.states.flatMap(({ list, inForce }) => (inForce ? [`${list}/${inForce.version}`] : []))
    const indexed = versions.map(({ list, version }) => `${list}/${version}`)
    if (inForce.join() === indexed.join()) return null
    return new SluiceError('LISTS_INCOMPLETE', 'the index is not that of the versions in force; this goes on by itself')
  }

  return {
    current: () => ({ index, versions, problem: problem() }),
    states: () => news.states,
    stop: () => collecting.stop(),
  }
}
