import type { Admin } from 'kafkajs'
import { topicSettings } from '../platform/kafka/topic-settings.ts'
import type { Metrics } from '../platform/metrics.ts'

/** How far one partition of the door is judged, by this gate or another of its group. */
export type DoorPartition = {
  partition: number
  /** first offset that is not judged */
  position: number
  /** end of the partition */
  end: number
  /** offsets between the two */
  lag: number
  /** of these, items older than half of the door's retention: in as much time again the broker deletes them unjudged */
  overdue: number
}

export type Watch = {
  /** Asks the brokers, brings the gauges up to date and tells what it saw. Rejects when the brokers do not answer. */
  look(): Promise<DoorPartition[]>
  /** What the last look saw; empty before the first. */
  last(): DoorPartition[]
}

const RETENTION = 'retention.ms'

/**
 * Watches the whole door, also the partitions that no gate has: those are the ones to be told of.
 * @param ends offset behind what is judged, by partition, where a lane knows better than the committed offset: what follows that may
 *   be control records, which only a lane sees to be none of its business
 * @param admin connected
 */
export function createWatch(parts: {
  admin: Admin
  door: string
  groupId: string
  ends: () => ReadonlyMap<number, number>
  metrics: Metrics
}): Watch {
  const { admin, door, groupId, ends, metrics } = parts
  let seen: DoorPartition[] = []

  async function look(): Promise<DoorPartition[]> {
    const retention = await retentionOf(admin, door)
    const [committed, marks, halfway] = await Promise.all([
      admin.fetchOffsets({ groupId, topics: [door] }),
      admin.fetchTopicOffsets(door),
      retention === null ? [] : admin.fetchTopicOffsetsByTimestamp(door, Date.now() - retention / 2),
    ])
    seen = marks.map(({ partition, low, high }) => {
      const of = (list: ReadonlyArray<{ partition: number; offset: string }> = []): number =>
        Number(list.find((each) => each.partition === partition)?.offset ?? -1)
      const end = Number(high)
      const position = Math.max(of(committed[0]?.partitions), Number(low), ends().get(partition) ?? 0)
      return {
        partition,
        position,
        end,
        lag: Math.max(0, end - position),
        overdue: Math.max(0, of(halfway) - position),
      }
    })
    for (const { partition, lag, overdue } of seen) {
      metrics.lag.set({ partition }, lag)
      metrics.overdue.set({ partition }, overdue)
    }
    return seen
  }

  return { look, last: () => seen }
}

/** How long the brokers keep a record of this topic, in milliseconds; null where that is for ever. */
async function retentionOf(admin: Admin, topic: string): Promise<number | null> {
  const milliseconds = Number((await topicSettings(admin, topic, [RETENTION])).get(RETENTION) ?? -1)
  return milliseconds < 0 ? null : milliseconds
}
