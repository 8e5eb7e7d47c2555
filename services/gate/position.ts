import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, Kafka, KafkaMessage } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { timeText } from '../domain/time-text.ts'
import { orderedHeaders } from '../platform/kafka/header-order.ts'
import { withPartitionReader } from '../platform/kafka/partition-reader.ts'

/** A partition of the door. */
export type Place = { cluster: string; topic: string; partition: number }

/** What is known about where a lane stopped. */
export type Witnesses = {
  /** offset behind the item of the last verdict in the partition; 0 where there is no verdict */
  judged: number
  /** the group's committed offset; negative where there is none, or where the client library has lost it */
  committed: number
  /** what the door has: its first offset, and the one behind its last */
  low: number
  high: number
}

const ATTEMPTS = 5
const WAIT_MS = 400

/**
 * The first offset to judge. A verdict and its committed offset are written in one transaction, so they agree, unless somebody
 * has moved the offset since: going on would judge items twice, or never.
 * - Where the offset is gone (expired, deleted), the verdicts tell it.
 * - An offset beyond the verdicts counts where the door has nothing left in between: somebody has given up what is lost.
 * @throws {SluiceError} POSITION_JUMPED, with both numbers and what to do
 */
export function firstToJudge({ topic, partition }: Omit<Place, 'cluster'>, witnesses: Witnesses): number {
  const { judged, committed, low, high } = witnesses
  const where = `partition ${partition} of ${topic}`
  if (committed > judged && committed <= low) return committed
  if (committed >= 0 && committed !== judged) {
    throw new SluiceError(
      'POSITION_JUMPED',
      `the committed offset of ${where} is ${committed}, but its verdicts end at ${judged}: somebody has moved it; set it to ${judged} while no gate runs`,
    )
  }
  if (low > judged) {
    throw new SluiceError(
      'POSITION_JUMPED',
      `${where} begins at ${low}, but its verdicts end at ${judged}: what lies between is lost; to go on without it, set the committed offset to ${low} while no gate runs`,
    )
  }
  if (high < judged) {
    throw new SluiceError(
      'POSITION_JUMPED',
      `${where} ends at ${high}, but its verdicts end at ${judged}: it was cut short or made anew`,
    )
  }
  return judged
}

/**
 * Asks all witnesses for the first offset to judge. To be called when the partition's former owner is fenced: then whatever
 * that one has begun is settled.
 * @param names of the verdicts topic and of the gate's group
 * @throws {SluiceError} POSITION_JUMPED
 */
export async function positionOf(
  place: Place,
  names: { verdicts: string; group: string },
  kafka: Kafka,
  admin: Admin,
): Promise<number> {
  const { topic, partition } = place
  for (let attempt = 1; ; attempt++) {
    const groupOffsets = await admin.fetchOffsets({ groupId: names.group, topics: [topic] })
    const committed = Number(groupOffsets[0]?.partitions.find((each) => each.partition === partition)?.offset ?? -1)
    const { low, high } = await endsOf(admin, topic, partition)
    try {
      return await withPartitionReader(kafka, async (reader) => {
        const verdict = await reader.last(names.verdicts, partition)
        const judged = verdict === null ? 0 : judgedBy(verdict, place)
        const first = firstToJudge(place, { judged, committed, low, high })
        if (verdict !== null && judged > low && judged <= high) {
          assertSame(place, verdict, await reader.at(topic, partition, judged - 1))
        }
        return first
      })
    } catch (error) {
      // A broker that has just taken over a partition may for a moment not know yet how far it is committed.
      if (attempt === ATTEMPTS || !(error instanceof SluiceError)) throw error
      await sleep(WAIT_MS)
    }
  }
}

/**
 * The first offset that the brokers still have, and the one behind the last.
 * @throws {SluiceError} TOPICS_MISSING
 */
export async function endsOf(admin: Admin, topic: string, partition: number): Promise<{ low: number; high: number }> {
  const ends = (await admin.fetchTopicOffsets(topic)).find((each) => each.partition === partition)
  if (ends === undefined) throw new SluiceError('TOPICS_MISSING', `${topic} has no partition ${partition}`)
  return { low: Number(ends.low), high: Number(ends.high) }
}

/** A topic that was deleted and made anew counts from nought again: its items are others, at the offsets of those that were judged. */
function assertSame({ topic, partition }: Place, verdict: KafkaMessage, item: KafkaMessage | null): void {
  if (item === null || header(verdict, 'ce_time') === timeText(Number(item.timestamp))) return
  throw new SluiceError(
    'POSITION_JUMPED',
    `offset ${item.offset} of partition ${partition} of ${topic} is not the item that was judged there: the topic was made anew`,
  )
}

/** Offset behind the item that a verdict is about; 0 when that lies on another cluster or topic, which says nothing about this one. */
function judgedBy(verdict: KafkaMessage, { cluster, topic, partition }: Place): number {
  const id = header(verdict, 'ce_id')
  const [itsCluster, itsTopic, itsPartition, offset] = id.split('/')
  if (itsPartition !== String(partition) || offset === undefined || !/^\d+$/.test(offset)) {
    throw new SluiceError(
      'POSITION_JUMPED',
      `record ${verdict.offset} of the verdicts' partition ${partition} does not tell which item it is about: no gate wrote it`,
    )
  }
  return itsCluster === cluster && itsTopic === topic ? Number(offset) + 1 : 0
}

function header({ headers }: KafkaMessage, wanted: string): string {
  return (
    orderedHeaders(headers ?? {})
      .find(({ name }) => name === wanted)
      ?.value?.toString() ?? ''
  )
}
