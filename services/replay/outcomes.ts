import { isItemFault, type Outcome, outcomes } from '../domain/reasons.ts'
import type { VerdictRecord } from '../domain/records.ts'
import { DOOR, prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { followTopic } from '../platform/kafka/follow-topic.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Log } from '../platform/log.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** So many of the newest outcomes are looked at together. */
const WINDOW = 200
const VERDICTS = 'gate.verdicts' satisfies Topic

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
  /**
   * How far the gate is behind on these partitions: records on the door that have no verdict yet, about.
   * @throws {SluiceError} BROKER_UNREACHABLE
   */
  lag(settings: Settings, partitions: readonly number[]): Promise<number>
  /**
   * Follows gate.verdicts.
   * @param from by partition; others from their end
   * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE
   */
  follow(
    place: { settings: Settings; registry: Registry; log: Log },
    from: ReadonlyMap<number, number>,
  ): Promise<{ stop(): Promise<void> }>
}

export function createOutcomes(): Outcomes {
  /** by place on the door */
  const expected = new Map<string, { isForeseen: boolean; came: Came | null }>()
  let recent: boolean[] = []
  /** offset behind the last item that has a verdict, by partition */
  const judged = new Map<number, number>()

  function note({ input, outcome, reasons }: VerdictRecord): void {
    judged.set(input.partition, input.offset + 1)
    const item = expected.get(`${input.partition}/${input.offset}`)
    if (item === undefined || item.came !== null) return
    const isFault = reasons.some(isItemFault)
    item.came = { outcome: outcomes.find((each) => each === outcome) ?? null, isFault }
    recent = [...recent.slice(1 - WINDOW), isFault && !item.isForeseen]
  }

  return {
    expect(partition, offset, isForeseen) {
      expected.set(`${partition}/${offset}`, { isForeseen, came: null })
      // The gate may be standing still since before.
      if (!judged.has(partition)) judged.set(partition, offset)
    },
    of: (partition, offset) => expected.get(`${partition}/${offset}`)?.came ?? null,
    newest: () => ({ items: recent.length, faults: recent.filter(Boolean).length }),
    forget() {
      recent = []
    },
    async lag(settings, partitions) {
      const door = await topicBounds(createKafka(settings, 'sluice-replay'), prefixed(settings.prefix, DOOR))
      return door.bounds
        .filter(({ partition }) => partitions.includes(partition))
        .reduce((sum, { partition, high }) => sum + Math.max(0, high - (judged.get(partition) ?? high)), 0)
    },
    async follow({ settings, registry, log }, from) {
      const topic = prefixed(settings.prefix, VERDICTS)
      const { bounds } = await topicBounds(createKafka(settings, 'sluice-replay'), topic)
      await registry.learn(VERDICTS)
      return followTopic({
        kafka: createKafka(settings, 'sluice-replay'),
        topic,
        from: new Map(bounds.map(({ partition, high }) => [partition, Math.min(high, from.get(partition) ?? high)])),
        onRecord({ value }) {
          if (value === null) return
          const known = registry.decodeKnown<VerdictRecord>(VERDICTS, value)
          if (known !== null) return note(known.value)
          return registry.decode<VerdictRecord>(VERDICTS, value).then((decoded) => note(decoded.value))
        },
        onTrouble: (error) => log.warn({ event: 'replay-waits', err: error }),
      })
    },
  }
}
