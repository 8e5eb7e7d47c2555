import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { type PartitionBounds, topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Settings } from '../platform/settings.ts'

export const CLEAN = 'gate.clean' satisfies Topic

const offset = z.int().nonnegative()
export const snapshotSchema = z.strictObject({
  cluster: z.string(),
  topic: z.string(),
  ranges: z.array(z.strictObject({ partition: offset, from: offset, to: offset })),
})

/**
 * What is read of the clean topic: the same ranges give the same items, in the same order, whenever they are read again.
 * @property topic its name on the cluster
 * @property ranges by partition; `to` is the first offset that does not belong to it any more
 */
export type Snapshot = z.infer<typeof snapshotSchema>

/**
 * A snapshot that was kept: alone, or in the `dataset.json` of an export.
 * @throws {SluiceError} USAGE, naming the file, where there is none in it
 */
export function readSnapshot(file: string): Snapshot {
  let found: unknown = null
  try {
    found = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new SluiceError('USAGE', `${file} can't be read: expected JSON, e.g. the dataset.json of an export`, {
      cause,
    })
  }
  const parsed = snapshotSchema.safeParse(Reflect.get(Object(found), 'snapshot') ?? found)
  if (parsed.success) return parsed.data
  throw new SluiceError('USAGE', `${file} holds no snapshot: expected one as in the dataset.json of an export`)
}

/**
 * All that is on the clean topic now.
 * @param partitions only these; default: all
 * @throws {SluiceError} TOPICS_MISSING, BROKER_UNREACHABLE, ACCESS_DENIED; USAGE for a partition that is not there
 */
export async function snapshotNow(settings: Settings, partitions?: readonly number[]): Promise<Snapshot> {
  const { cluster, topic, bounds } = await boundsNow(settings)
  const unknown = partitions?.find((partition) => !bounds.some((each) => each.partition === partition))
  if (unknown !== undefined) {
    const sentence = `${topic} has no partition ${unknown}: expected 0 to ${bounds.length - 1}`
    throw new SluiceError('USAGE', sentence)
  }
  const ranges = bounds
    .filter(({ partition }) => partitions === undefined || partitions.includes(partition))
    .map(({ partition, low, high }) => ({ partition, from: low, to: high }))
  return { cluster, topic, ranges }
}

/**
 * Whether everything in a snapshot can still be read.
 * @throws {SluiceError} POSITION_JUMPED where it can not: another cluster, another topic, or records that are gone
 */
export async function checkSnapshot(settings: Settings, snapshot: Snapshot): Promise<void> {
  const { cluster, topic, bounds } = await boundsNow(settings)
  if (cluster !== snapshot.cluster || topic !== snapshot.topic) {
    const sentence = `the snapshot is of ${snapshot.topic} on cluster ${snapshot.cluster}; this is ${topic} on cluster ${cluster}`
    throw new SluiceError('POSITION_JUMPED', sentence)
  }
  for (const { partition, from, to } of snapshot.ranges) {
    const found = bounds.find((each) => each.partition === partition)
    if (found !== undefined && found.low <= from && to <= found.high) continue
    const there = found === undefined ? 'no such partition' : `offsets ${found.low} to ${found.high}`
    const sentence = `${topic}, partition ${partition}: the snapshot has offsets ${from} to ${to}, but there is ${there}: was the topic made anew?`
    throw new SluiceError('POSITION_JUMPED', sentence)
  }
}

async function boundsNow(settings: Settings): Promise<{ cluster: string; topic: string; bounds: PartitionBounds[] }> {
  const topic = prefixed(settings.prefix, CLEAN)
  return { topic, ...(await topicBounds(createKafka(settings, 'sluice-train'), topic)) }
}
