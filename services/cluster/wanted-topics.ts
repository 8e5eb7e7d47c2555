import { z } from 'zod'
import { parseCheckedYaml } from '../domain/checked-yaml.ts'
import { DOOR, prefixed, type Topic, topics } from '../domain/topics.ts'

const DAY_MS = 86_400_000
const MOST_PARTITIONS = 10_000
// A reader that was away for less sees what was deleted; one that was away longer starts over anyway.
const TOMBSTONES_MS = 7 * DAY_MS

const count = z.number().int().positive()
const partitionCount = count.max(MOST_PARTITIONS)
const topicSchema = z.strictObject({
  partitions: z.union([z.literal('door'), partitionCount], { error: 'expected `door` or a number of partitions' }),
  kept: z.string().regex(/^([1-9]\d*d|forever|compacted)$/, 'expected days like 7d, forever or compacted'),
  compression: z.enum(['uncompressed', 'producer', 'gzip', 'snappy', 'lz4', 'zstd']),
  timestamps: z.enum(['broker', 'producer']),
  maxMessageBytes: count,
})
type TopicLine = z.infer<typeof topicSchema>

const topicsFileSchema = z.strictObject({
  version: z.literal(1),
  doorPartitions: partitionCount,
  replicationFactor: count.max(100),
  minInsyncReplicas: count.max(100),
  topics: z.record(z.enum(topics), topicSchema).refine((lines) => lines[DOOR].partitions === 'door', {
    path: [DOOR, 'partitions'],
    message: 'expected `door`: the number is doorPartitions',
  }),
})
/** `infra/topics.yaml`, checked. */
export type TopicsFile = z.infer<typeof topicsFileSchema>

/** A topic as it shall be. */
export type WantedTopic = {
  topic: Topic
  /** With the prefix */
  name: string
  /** Whether its partitions answer to those of the door topic */
  followsDoor: boolean
  partitions: number
  replicationFactor: number
  /** as many copies must have a write before it counts, where a topic has so many */
  minInsyncReplicas: number
  /** Kafka's own names and values; min.insync.replicas fits `replicationFactor` */
  config: Record<string, string>
}

/** @throws {SluiceError} CONFIG_INVALID naming file, line, field and what was expected */
export function parseTopicsFile(text: string, fileName: string): TopicsFile {
  return parseCheckedYaml(text, fileName, topicsFileSchema, 'CONFIG_INVALID')
}

/**
 * Every topic as the file wants it on a cluster of `brokers` brokers, those that are away for a while included.
 * @param doorPartitions instead of the file's; null: as the file says
 */
export function wantedTopics(
  file: TopicsFile,
  { brokers, prefix, doorPartitions }: { brokers: number; prefix: string; doorPartitions: number | null },
): WantedTopic[] {
  const replicationFactor = Math.min(file.replicationFactor, brokers)
  return topics.map((topic) => {
    const line = file.topics[topic]
    return {
      topic,
      name: prefixed(prefix, topic),
      followsDoor: line.partitions === 'door',
      partitions: line.partitions === 'door' ? (doorPartitions ?? file.doorPartitions) : line.partitions,
      replicationFactor,
      minInsyncReplicas: file.minInsyncReplicas,
      config: configOf(line, Math.min(file.minInsyncReplicas, replicationFactor)),
    }
  })
}

function configOf(line: TopicLine, minInsyncReplicas: number): Record<string, string> {
  const days = /^(\d+)d$/.exec(line.kept)?.[1]
  return {
    'cleanup.policy': line.kept === 'compacted' ? 'compact' : 'delete',
    'retention.ms': days === undefined ? '-1' : String(Number(days) * DAY_MS),
    'retention.bytes': '-1',
    ...(line.kept === 'compacted' ? { 'delete.retention.ms': String(TOMBSTONES_MS) } : {}),
    'compression.type': line.compression,
    'message.timestamp.type': line.timestamps === 'broker' ? 'LogAppendTime' : 'CreateTime',
    'max.message.bytes': String(line.maxMessageBytes),
    'min.insync.replicas': String(minInsyncReplicas),
    // A replica that missed confirmed writes must never become the truth.
    'unclean.leader.election.enable': 'false',
  }
}
