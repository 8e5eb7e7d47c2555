import { z } from 'zod'
import type { ListState } from '../domain/hash-list-state.ts'
import { listsInForce } from '../domain/judge/lists-in-force.ts'
import type { Policy } from '../domain/judge/policy.ts'
import type { Waiting } from './pauses.ts'
import type { DoorPartition } from './watch.ts'

const count = z.number().int().nonnegative()
const time = z.iso.datetime()

const lane = z.object({
  partition: count,
  /** `elsewhere`: another gate of the group has it, or none */
  state: z.enum(['judging', 'caught up', 'starting', 'waits', 'elsewhere']),
  /** first offset that is not judged; null while nobody knows */
  position: count.nullable(),
  /** end of the partition; null while the brokers have not told it */
  end: count.nullable(),
  lag: count.nullable(),
  /** of the lag, items older than half of the door's retention */
  overdue: count.nullable(),
})
export type LaneStatus = z.infer<typeof lane>

const list = z.object({
  list: z.string(),
  /** `enforce` also for lists that policy does not name */
  mode: z.enum(['enforce', 'shadow']),
  /** in force; null when no version is complete */
  version: z.string().nullable(),
  entries: count,
  /** since it was last checked against its source; null when no version is complete */
  ageSeconds: z.number().nullable(),
  /** why nothing may be judged with it; null when it may */
  problem: z.object({ code: z.string(), sentence: z.string() }).nullable(),
})
export type ListInGate = z.infer<typeof list>

/**
 * What a gate says of itself under `/status`: the one schema of those who serve it and those who read it. It holds codes, counts and
 * coordinates, never content.
 */
export const gateStatus = z.object({
  at: time,
  startedAt: time,
  ready: z.boolean(),
  /** everything that is waited for; partition null where it concerns the whole gate */
  waiting: z.array(
    z.object({ partition: count.nullable(), code: z.string(), sentence: z.string(), action: z.string(), since: time }),
  ),
  lanes: z.array(lane),
  lists: z.array(list),
  /** since the gate was started */
  judged: z.object({
    items: count,
    outcomes: z.record(z.string(), count),
    reasons: z.record(z.string(), count),
    /** items a second in the last minute */
    perSecond: z.number().nonnegative(),
  }),
  scanners: z.object({
    running: count,
    most: count,
    restarts: count,
    /** what keeps a scanner apart from the gate; null until the first is started */
    isolation: z
      .object({ uid: z.boolean(), network: z.boolean(), memory: z.boolean(), why: z.string().nullable() })
      .nullable(),
  }),
  transactionFailures: count,
})
export type GateStatus = z.infer<typeof gateStatus>

/**
 * Every partition of the door, and those of this gate that the brokers have not told of yet.
 * @param door what was last seen of the door
 * @param ends offset behind what is judged, by partition, of the lanes of this gate
 */
export function laneStatuses(
  door: readonly DoorPartition[],
  ends: ReadonlyMap<number, number>,
  waiting: readonly Waiting[],
): LaneStatus[] {
  const gateWaits = waiting.some(({ partition }) => partition === null)
  const codes = new Map(waiting.flatMap(({ partition, code }) => (partition === null ? [] : [[partition, code]])))
  const partitions = new Set([...door.map(({ partition }) => partition), ...ends.keys(), ...codes.keys()])

  function stateOf(partition: number, lag: number | null): LaneStatus['state'] {
    const code = codes.get(partition)
    if (code !== undefined) return code === 'STARTING' ? 'starting' : 'waits'
    if (!ends.has(partition)) return 'elsewhere'
    if (gateWaits) return 'waits'
    return lag === 0 ? 'caught up' : 'judging'
  }

  return [...partitions]
    .sort((one, other) => one - other)
    .map((partition) => {
      const seen = door.find((each) => each.partition === partition)
      const position = Math.max(seen?.position ?? -1, ends.get(partition) ?? -1)
      const lag = seen === undefined ? null : Math.max(0, seen.end - position)
      return {
        partition,
        state: stateOf(partition, lag),
        position: position < 0 ? null : position,
        end: seen?.end ?? null,
        lag,
        overdue: seen?.overdue ?? null,
      }
    })
}

/**
 * Every list that policy names or that the topic has.
 * @param now milliseconds since the epoch
 */
export function listStatuses(policy: Pick<Policy, 'lists'>, states: readonly ListState[], now: number): ListInGate[] {
  const names = new Set([...Object.keys(policy.lists), ...states.map((state) => state.list)])
  return [...names].sort().map((name) => {
    const wanted = Object.hasOwn(policy.lists, name) ? policy.lists[name] : undefined
    const inForce = states.find((state) => state.list === name)?.inForce ?? null
    const problem = wanted === undefined ? null : listsInForce({ lists: { [name]: wanted } }, states, now)
    return {
      list: name,
      mode: wanted?.mode ?? 'enforce',
      version: inForce?.version ?? null,
      entries: inForce?.entries.length ?? 0,
      ageSeconds: inForce === null ? null : Math.round((now - inForce.checkedAt) / 1000),
      problem: problem === null ? null : { code: problem.code, sentence: problem.message },
    }
  })
}
