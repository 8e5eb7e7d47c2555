import type { Reason } from '../domain/reasons.ts'
import type { HeldItem, Match } from '../domain/records.ts'
import { heldTopics, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { offsetsAt } from '../platform/kafka/topic-bounds.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { readNewestVerdicts } from './newest-verdicts.ts'

/**
 * How many items each list has held since then.
 * @param since milliseconds since the epoch
 * @throws {SluiceError} as `readTopic`
 */
export async function countHeld(settings: Settings, since: number): Promise<ReadonlyMap<string, number>> {
  const hits = createCount(true)
  for (const topic of heldTopics) {
    await readTopic<HeldItem>({
      kafka: createKafka(settings, 'sluice-lists'),
      registry: createRegistry(settings),
      prefix: settings.prefix,
      topic,
      from: await offsetsAt(createKafka(settings, 'sluice-lists'), prefixed(settings.prefix, topic), since),
      isWanted: () => true,
      onValue: ({ matches }) => hits.add(matches),
    })
  }
  return hits.byList
}

/** How many items each list would have held if it, or the entries that it found, had not been in shadow. */
export type Marked = {
  byList: ReadonlyMap<string, number>
  /** since when none is left out, in milliseconds since the epoch: later than was asked for where there are too many verdicts */
  since: number
}

/** So many verdicts take a few seconds. */
const MARKED_VERDICTS = 200_000
/** Stands in the bytes of each verdict with a match in shadow. */
const SHADOW = Buffer.from('KNOWN_SHADOW' satisfies Reason)

/**
 * Counts what lists have only marked, being in shadow, among the newest verdicts: most of it was cleared, so that it stands there alone.
 * @param since milliseconds since the epoch
 * @throws {SluiceError} as `readTopic`
 */
export async function countMarked(
  settings: Settings,
  since: number,
  onRead: (read: number, total: number) => void,
): Promise<Marked> {
  const { add, byList } = createCount(false)
  const whole = await readNewestVerdicts(settings, {
    last: MARKED_VERDICTS,
    since,
    isWanted: ({ value }) => value?.includes(SHADOW) ?? false,
    onVerdict: ({ matches }) => add(matches),
    onRead,
  })
  return { byList, since: whole }
}

/** Counts items by the lists that match them with effect, or without. */
function createCount(enforced: boolean): { add(matches: readonly Match[]): void; byList: ReadonlyMap<string, number> } {
  const byList = new Map<string, number>()
  return {
    byList,
    add(matches) {
      const lists = new Set(matches.filter((match) => match.enforced === enforced).map(({ list }) => list))
      for (const list of lists) byList.set(list, (byList.get(list) ?? 0) + 1)
    },
  }
}
