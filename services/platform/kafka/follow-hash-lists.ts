import type { Kafka } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import { HashListCollector } from '../../domain/hash-list-state.ts'
import type { HashListManifest, HashListRecord } from '../../domain/records.ts'
import { prefixed, type Topic } from '../../domain/topics.ts'
import type { Registry } from '../registry.ts'
import { followTopic, type ReadMark, type TopicFollower } from './follow-topic.ts'

export const HASH_ENTRIES = 'gate.hash-entries' satisfies Topic

/** A record that closes a version of a list, or takes one back. */
export type VersionRecord = {
  key: string | null
  /** where it stands on the topic: entries behind it came later */
  offset: number
  /** null where the version is taken back, or the record makes no sense */
  manifest: HashListManifest | null
}

export type FollowHashListsOptions = {
  kafka: Kafka
  registry: Pick<Registry, 'decode' | 'decodeKnown' | 'learn'>
  /** put before the topic's name */
  prefix: string
  /** What was read before, and up to where; default: nothing. POSITION_JUMPED when it can't be gone on from there. */
  resumed?: { after: ReadMark; lists: HashListCollector } | null
  /** Called after each record that may have changed a version in force, or whether there is one. */
  onVersion?: (record: VersionRecord) => void
  /** Called with every failure to read; the follower tries again by itself. */
  onTrouble?: (error: unknown) => void
}

/** Reads gate.hash-entries into whole list versions and keeps them current. */
export function followHashLists(options: FollowHashListsOptions): TopicFollower & { lists: HashListCollector } {
  const lists = options.resumed?.lists ?? new HashListCollector()
  // While the cluster is being asked; where the registry can't tell, the first record that needs it asks again, and is told why.
  options.registry.learn(HASH_ENTRIES).catch(() => undefined)
  const follower = followTopic({
    kafka: options.kafka,
    topic: prefixed(options.prefix, HASH_ENTRIES),
    after: options.resumed?.after,
    onRecord({ key, value, offset }) {
      const record = value && read(value)
      return record instanceof Promise ? record.then((later) => apply(key, later, offset)) : apply(key, record, offset)
    },
    ...(options.onTrouble ? { onTrouble: options.onTrouble } : {}),
  })
  return { ...follower, lists }

  function apply(key: Buffer | null, record: HashListRecord | null | undefined, offset: number): void {
    const text = key?.toString('utf8') ?? null
    if (lists.apply(text, record, offset) !== 'version') return
    options.onVersion?.({ key: text, offset, manifest: record?.manifest ?? null })
  }

  /** @returns undefined for what is not a hash list record: it then counts as missing, and its list does not add up */
  function read(value: Buffer): HashListRecord | undefined | Promise<HashListRecord | undefined> {
    const { registry } = options
    try {
      const known = registry.decodeKnown<HashListRecord>(HASH_ENTRIES, value)
      if (known !== null) return known.value
      return registry.decode<HashListRecord>(HASH_ENTRIES, value).then((decoded) => decoded.value, noRecord)
    } catch (error) {
      return noRecord(error)
    }
  }
}

/** @throws {unknown} the error, where it is not the record's fault */
function noRecord(error: unknown): undefined {
  if (error instanceof SluiceError && error.fault === 'item') return undefined
  throw error
}
