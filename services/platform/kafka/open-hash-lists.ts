import { setTimeout as wait } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import type { HashListCollector, KnownList, ListState } from '../../domain/hash-list-state.ts'
import { prefixed } from '../../domain/topics.ts'
import type { Registry } from '../registry.ts'
import { withAdmin } from './client.ts'
import { type FollowHashListsOptions, followHashLists, HASH_ENTRIES } from './follow-hash-lists.ts'
import { isPassing } from './kafka-failure.ts'

/** How long a broker that has just started, or has just made the topic, may answer that it is not there yet. What comes later is waited for with the caller's patience. */
const START_PATIENCE_MS = 20_000
/** How long a broker may not know of a topic that there is. */
const MADE_PATIENCE_MS = 3000
const AGAIN_MS = 200

/** All lists as gate.hash-entries has them, read to its end and followed from there until closed. */
export type OpenLists = {
  collector: HashListCollector
  /** The first list in the wanted state, as soon as there is one; null when there is none after `patience` milliseconds. */
  waitFor(wanted: (state: ListState) => boolean, patience: number): Promise<ListState<KnownList> | null>
  close(): Promise<void>
}

/**
 * Reads the hash lists, once and for a command: where the gate would wait for its surroundings, this gives up.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE
 */
export async function openLists({
  kafka,
  registry,
  prefix,
  onVersion,
}: {
  kafka: Kafka
  registry: Registry
  prefix: string
  onVersion?: FollowHashListsOptions['onVersion']
}): Promise<OpenLists> {
  await checkTopic(kafka, prefixed(prefix, HASH_ENTRIES))
  await registry.warm([HASH_ENTRIES])
  const patienceUntil = performance.now() + START_PATIENCE_MS
  let isRead = false
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  let changed = Promise.withResolvers<void>()
  const follower = followHashLists({
    kafka,
    registry,
    prefix,
    onVersion(record) {
      onVersion?.(record)
      changed.resolve()
      changed = Promise.withResolvers<void>()
    },
    onTrouble(cause) {
      if ((isRead || performance.now() < patienceUntil) && isPassing(cause)) return
      failed.reject(cause instanceof SluiceError ? cause : new SluiceError('BROKER_UNREACHABLE', undefined, { cause }))
    },
  })
  try {
    await Promise.race([follower.reachedEnd, failed.promise])
    isRead = true
  } catch (error) {
    await follower.stop()
    throw error
  }
  return {
    collector: follower.lists,
    async waitFor(wanted, patience) {
      const done = new AbortController()
      const late = wait(patience, null, { signal: done.signal }).catch(() => null)
      try {
        for (;;) {
          const state = follower.lists.states().find(wanted)
          if (state !== undefined) return state
          const woken = await Promise.race([changed.promise.then(() => true), failed.promise, late])
          if (woken === null) return null
        }
      } finally {
        done.abort()
      }
    },
    close: () => follower.stop(),
  }
}

/** Order between entries and manifests is order within one partition. */
async function checkTopic(kafka: Kafka, topic: string): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    // Each of the brokers may be asked, and one may not have heard yet of what another has made.
    const until = performance.now() + MADE_PATIENCE_MS
    while (!(await admin.listTopics()).includes(topic)) {
      if (performance.now() < until) {
        await wait(AGAIN_MS)
        continue
      }
      const sentence = `the topic ${topic} does not exist, or this principal may not see it`
      throw new SluiceError('TOPICS_MISSING', `${sentence}: \`sluice topics apply\`, \`sluice access apply\``)
    }
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]?.partitions.length
    if (partitions !== 1) {
      throw new SluiceError(
        'TOPICS_MISSING',
        `the topic ${topic} has ${partitions} partitions; hash lists need exactly one`,
      )
    }
  })
}
