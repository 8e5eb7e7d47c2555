import { isItemFault, type Outcome, outcomes } from '../domain/reasons.ts'
import type { VerdictRecord } from '../domain/records.ts'
import { prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { followTopic } from '../platform/kafka/follow-topic.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Log } from '../platform/log.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** So many of the newest outcomes are looked at together. */
const WINDOW = 200

/** What became of an item that was replayed. @property isFault whether it was held for a fault, and not for what is known of it */
export type Came = { outcome: Outcome | null; isFault: boolean }

/** What the gate makes of what a run has written. */
export type Outcomes = {
  /** To be told before it is committed: where a replayed item stands, and whether it is certain to be held again. */
  expect(partition: number, offset: number, isForeseen: boolean): void
  /** null where it has not been judged yet */
  of(partition: number, offset: number): Came | null
  /** Of the newest outcomes, how many there are and how many of them are faults that nobody has foreseen. */
  newest(): { items: number; faults: number }
  /** Looks at new ones only, from now on. */
  forget(): void
  /** How far the gate is behind on these partitions: records on the door that have no verdict yet, about. @throws {SluiceError} BROKER_UNREACHABLE */
  lag(partitions: readonly number[]): Promise<number>
  close(): Promise<void>
}

/**
 * Follows gate.verdicts.
 * @param from by partition; others from their end
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING
 */
export async function followOutcomes(
  { settings, registry, log }: { settings: Settings; registry: Registry; log: Log },
  from: ReadonlyMap<number, number>,
): Promise<Outcomes> {
  const expected = new Map<string, Came | null>()
  const foreseen = new Set<string>()
  let recent: boolean[] = []
  /** offset behind the last item that has a verdict, by partition */
  const judged = new Map<number, number>()
  const topic = prefixed(settings.prefix, 'gate.verdicts')
  const { bounds } = await topicBounds(createKafka(settings, 'sluice-replay'), topic)
  await registry.learn('gate.verdicts')
  const follower = followTopic({
    kafka: createKafka(settings, 'sluice-replay'),
    topic,
    from: new Map(bounds.map(({ partition, high }) => [partition, Math.min(high, from.get(partition) ?? high)])),
    async onRecord({ value }) {
      if (value === null) return
      const { value: verdict } = await registry.decode<VerdictRecord>('gate.verdicts', value)
      const { partition, offset } = verdict.input
      judged.set(partition, offset + 1)
      const name = `${partition}/${offset}`
      if (expected.get(name) !== null) return
      const isFault = verdict.reasons.some(isItemFault)
      expected.set(name, { outcome: outcomes.find((outcome) => outcome === verdict.outcome) ?? null, isFault })
      recent = [...recent.slice(1 - WINDOW), isFault && !foreseen.has(name)]
    },
    onTrouble: (error) => log.warn({ event: 'replay-waits', err: error }),
  })
  return {
    expect(partition, offset, isForeseen) {
      expected.set(`${partition}/${offset}`, null)
      if (isForeseen) foreseen.add(`${partition}/${offset}`)
      // The gate may be standing still since before.
      if (!judged.has(partition)) judged.set(partition, offset)
    },
    of: (partition, offset) => expected.get(`${partition}/${offset}`) ?? null,
    newest: () => ({ items: recent.length, faults: recent.filter(Boolean).length }),
    forget() {
      recent = []
    },
    async lag(partitions) {
      const door = await topicBounds(createKafka(settings, 'sluice-replay'), prefixed(settings.prefix, 'crawl.items'))
      return door.bounds
        .filter(({ partition }) => partitions.includes(partition))
        .reduce((sum, { partition, high }) => sum + Math.max(0, high - (judged.get(partition) ?? high)), 0)
    },
    close: () => follower.stop(),
  }
}
