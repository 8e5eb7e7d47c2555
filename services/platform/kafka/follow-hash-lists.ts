import type { Kafka } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import { HashListCollector } from '../../domain/hash-list-state.ts'
import type { HashListRecord } from '../../domain/records.ts'
import { prefixed, type Topic } from '../../domain/topics.ts'
import type { Registry } from '../registry.ts'
import { followTopic, type TopicFollower } from './follow-topic.ts'

export const HASH_ENTRIES = 'gate.hash-entries' satisfies Topic

export type FollowHashListsOptions = {
  kafka: Kafka
  registry: Pick<Registry, 'decode'>
  /** put before the topic's name */
  prefix: string
  /** Called after each record that may have changed a version in force, or whether there is one. */
  onVersion?: () => void
  /** Called with every failure to read; the follower tries again by itself. */
  onTrouble?: (error: unknown) => void
}

/** Reads gate.hash-entries into whole list versions and keeps them current. */
export function followHashLists(options: FollowHashListsOptions): TopicFollower & { lists: HashListCollector } {
  const lists = new HashListCollector()
  const follower = followTopic({
    kafka: options.kafka,
    topic: prefixed(options.prefix, HASH_ENTRIES),
    async onRecord({ key, value }) {
      const record = value && (await decode(value))
      if (lists.apply(key?.toString('utf8') ?? null, record) === 'version') options.onVersion?.()
    },
    ...(options.onTrouble ? { onTrouble: options.onTrouble } : {}),
  })
  return { ...follower, lists }

  /** @returns undefined for what is not a hash list record: it then counts as missing, and its list does not add up */
  async function decode(value: Buffer): Promise<HashListRecord | undefined> {
    try {
      return (await options.registry.decode<HashListRecord>(HASH_ENTRIES, value)).value
    } catch (error) {
      if (error instanceof SluiceError && error.fault === 'item') return undefined
      throw error
    }
  }
}
