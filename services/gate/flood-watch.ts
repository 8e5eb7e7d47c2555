import { setTimeout as sleep } from 'node:timers/promises'
import { SluiceError } from '../domain/errors.ts'
import { createFloodWindow, type WatchedVersion } from '../domain/flood-window.ts'
import type { Policy } from '../domain/judge/policy.ts'
import type { HeldItem } from '../domain/records.ts'
import { heldTopics, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { type FollowedRecord, followTopic, type TopicFollower } from '../platform/kafka/follow-topic.ts'
import { offsetsAt } from '../platform/kafka/topic-bounds.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** Between two counts; what every chunk asks in between has the same answer. */
const COUNT_EVERY_MS = 100
const AGAIN_MS = 1000

export type FloodWatch = {
  /** LIST_FLOOD while what is in force has held more than policy allows, in the whole cluster; null while it has not */
  problem(): SluiceError | null
  stop(): Promise<void>
}

/**
 * Follows what all gates of the cluster hold. Where it can't be followed, gates go on judging: this is a brake and not the gate.
 * @param inForce the versions by which the gate judges
 */
export function watchFloods({
  settings,
  registry,
  policy,
  inForce,
  onTrouble,
}: {
  settings: Settings
  registry: Registry
  policy: Pick<Policy, 'flood'>
  inForce: () => readonly WatchedVersion[]
  onTrouble: (error: unknown) => void
}): FloodWatch {
  const window = createFloodWindow(policy.flood)
  let problem: SluiceError | null = null
  let countedAt = Number.NEGATIVE_INFINITY
  const stopping = new AbortController()
  const following = Promise.all(heldTopics.map(persist))

  async function persist(topic: (typeof heldTopics)[number]): Promise<TopicFollower | null> {
    while (!stopping.signal.aborted) {
      try {
        return await follow(topic)
      } catch (error) {
        onTrouble(error)
        await sleep(AGAIN_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
      }
    }
    return null
  }

  async function follow(topic: (typeof heldTopics)[number]): Promise<TopicFollower | null> {
    const name = prefixed(settings.prefix, topic)
    const since = Date.now() - policy.flood.minutes * 60_000
    const from = await offsetsAt(createKafka(settings, 'sluice-gate-flood'), name, since)
    if (stopping.signal.aborted) return null
    return followTopic({
      kafka: createKafka(settings, 'sluice-gate-flood'),
      topic: name,
      from,
      async onRecord({ value, timestamp }: FollowedRecord) {
        const held = value === null ? null : await read(topic, value)
        if (held !== null) window.add(timestamp, held.matches)
      },
      onTrouble,
    })
  }

  /** @returns null for what is no held item: nobody but gates writes there, and it would come again and again */
  async function read(topic: (typeof heldTopics)[number], value: Buffer): Promise<HeldItem | null> {
    try {
      return (registry.decodeKnown<HeldItem>(topic, value) ?? (await registry.decode<HeldItem>(topic, value))).value
    } catch (error) {
      if (error instanceof SluiceError && error.fault === 'item') return null
      throw error
    }
  }

  return {
    problem() {
      const now = performance.now()
      if (now - countedAt < COUNT_EVERY_MS) return problem
      countedAt = now
      const flood = window.flood(inForce(), Date.now())
      problem = null
      if (flood !== null) {
        const { list, version, entry, items, most } = flood
        const what = entry === null ? `list ${list}, version ${version},` : `entry ${entry} of list ${list}`
        const sentence = `${what} has held ${items} items within ${policy.flood.minutes} minutes, and policy allows ${most}`
        const instead = entry === null ? list : `${list}/${entry}`
        problem = new SluiceError(
          'LIST_FLOOD',
          `${sentence}; if that is wrong: \`sluice lists shadow ${instead} --why ...\` or \`sluice lists rollback ${list} ...\``,
        )
      }
      return problem
    },
    async stop() {
      stopping.abort()
      const followers = await following
      await Promise.all(followers.map((follower) => follower?.stop()))
    },
  }
}
