import { SluiceError } from '../domain/errors.ts'
import type { Flood } from '../domain/flood.ts'
import { isEnforced } from '../domain/judge/judge.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { createVersionPlaces, type PlacedVersion } from '../domain/list-news.ts'
import type { EnvelopeRecord, VerdictRecord } from '../domain/records.ts'
import { connectProducer, createKafka } from '../platform/kafka/client.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { type ReadTopicOptions, readTopic } from '../platform/kafka/read-topic.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import { askCluster } from './ask-cluster.ts'
import { type Comparison, type ComparisonCounts, createComparison } from './compare.ts'
import { listsNow } from './lists-now.ts'
import { readNews } from './news.ts'
import { type Acceptance, openProgress, type Positions, type Progress } from './progress.ts'
import { createWriteRecalls, readRecalls } from './recalls.ts'
import { createSetAside, type SetAsideCounts } from './set-aside.ts'

const SAVE_EVERY_MS = 5000
/** What is recalled is not kept in memory for long, where much of it was accepted. */
const MOST_UNSAVED = 500

/** What one round of recall did. */
export type RoundReport = ComparisonCounts &
  SetAsideCounts & {
    /** what was compared with */
    versions: PlacedVersion[]
    /** of these, entries that somebody had not been compared with */
    entries: number
    /** waits for a person */
    floods: Flood[]
  }

export type Recalling = {
  /**
   * Compares what has not been compared, recalls what is held now, and takes back what is held no more.
   * @param onRead told how many records have been read, and of how many about
   * @throws {SluiceError} as `readTopic`; STORE_UNREACHABLE
   */
  round(accepted: Acceptance | null, onRead: (read: number, total: number) => void): Promise<RoundReport>
  /** Resolves when a list has another version in force than in the last round, or after so many milliseconds. */
  untilNews(patience: number): Promise<void>
  close(): Promise<void>
}

/** @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE, STORE_UNREACHABLE */
export async function openRecalling(settings: Settings, policy: Policy): Promise<Recalling> {
  const registry = createRegistry(settings)
  const progress = openProgress(settings.recall, settings.prefix, (await askCluster(settings)).id)
  const kafka = createKafka(settings, 'sluice-recall')
  const stores = { clean: await openStore(settings, 'clean'), held: await openStore(settings, 'held') }
  const places = createVersionPlaces()
  const lists = await openLists({ kafka, registry, prefix: settings.prefix, onVersion: places.note })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  let known: PlacedVersion[] = []
  try {
    await connectProducer(producer)
    await registry.warm(['gate.recalls'])
  } catch (error) {
    await lists.close()
    throw error
  }
  const setAside = createSetAside(stores, createWriteRecalls(producer, registry, settings.prefix))

  async function round(
    before: Progress | null,
    accepted: Acceptance | null,
    onRead: (read: number, total: number) => void,
  ): Promise<RoundReport> {
    const recalls = await readRecalls(settings, registry)
    const now = listsNow(lists.collector, places, policy)
    known = now.versions
    const comparison = createComparison({
      policy,
      lists: now,
      places,
      recalls,
      before,
      accepted,
      readNews: (after) => readNews(settings, registry, now.versions, after),
      now: Date.now,
    })
    const aside: SetAsideCounts = { moved: 0, missing: 0, damaged: 0 }
    const save = async (isEnd: boolean): Promise<void> => {
      const taken = comparison.takeRecalls(isEnd)
      await setAside(taken, aside)
      await progress.write(comparison.progress(isEnd))
    }
    await comparison.begin()
    // Before anything is recalled: what these versions recall has to be looked at again, should they not be in force the next time.
    await progress.write(comparison.progress(false))
    await readVerdicts(comparison, save, onRead)
    await readClaims(comparison)
    await save(true)
    const { versions } = now
    return { ...comparison.counts, ...aside, versions, entries: comparison.entries(), floods: comparison.floods() }
  }

  async function readVerdicts(
    comparison: Comparison,
    save: (isEnd: boolean) => Promise<void>,
    onRead: (read: number, total: number) => void,
  ): Promise<void> {
    const from = comparison.from().verdicts
    const total = lengthFrom(from, (await askCluster(settings)).ends)
    let savedAt = performance.now()
    await read<VerdictRecord>({
      topic: 'gate.verdicts',
      from,
      isWanted(record) {
        comparison.passVerdict(record)
        onRead(comparison.counts.read, total)
        return true
      },
      onValue(verdict, record) {
        const taking = comparison.takeVerdict(verdict, record)
        const isDue = comparison.unsaved() >= MOST_UNSAVED || performance.now() - savedAt > SAVE_EVERY_MS
        if (!isDue) return taking
        return Promise.resolve(taking).then(async () => {
          await save(false)
          savedAt = performance.now()
        })
      },
    })
  }

  /** What envelopes tell of the bytes as they were fetched is no part of a fingerprint; the gate heeds it all the same. */
  async function readClaims(comparison: Comparison): Promise<void> {
    for (let hasMore = comparison.hasDigests(); hasMore; hasMore = comparison.endClaims()) {
      await read<EnvelopeRecord>({
        topic: 'gate.envelopes',
        from: comparison.beginEnvelopes(),
        isWanted: () => true,
        onValue: comparison.takeEnvelope,
      })
      if (comparison.claims.size === 0) return
      await read<VerdictRecord>({
        topic: 'gate.verdicts',
        isWanted: ({ key }) => comparison.claims.has(key?.toString('utf8') ?? ''),
        onValue: comparison.takeClaimed,
      })
    }
  }

  function read<Value>(
    options: Pick<ReadTopicOptions<Value>, 'topic' | 'isWanted' | 'onValue'> & { from?: Positions },
  ): Promise<void> {
    // Instances share what they know of offsets.
    return readTopic<Value>({
      kafka: createKafka(settings, 'sluice-recall'),
      registry,
      prefix: settings.prefix,
      ...options,
    })
  }

  return {
    async round(accepted, onRead) {
      const before = await progress.read()
      try {
        return await round(before, accepted, onRead)
      } catch (error) {
        // A topic that was made anew is none that was compared.
        if (before === null || !(error instanceof SluiceError) || error.code !== 'POSITION_JUMPED') throw error
        return await round(null, accepted, onRead)
      }
    },
    async untilNews(patience) {
      await lists.waitFor(({ list, inForce }) => {
        const before = known.find((version) => version.list === list)
        return isEnforced(policy, list) && inForce !== null && inForce.digest !== before?.digest
      }, patience)
    },
    async close() {
      await producer.disconnect()
      await lists.close()
    },
  }
}

/** Records from these places on, control records included. */
function lengthFrom(from: Positions, ends: Positions): number {
  return [...ends].reduce((sum, [partition, end]) => sum + Math.max(0, end - (from.get(partition) ?? 0)), 0)
}
