import { SluiceError } from '../domain/errors.ts'
import type { CleanItem, HeldItem, RecallRecord, VerdictRecord } from '../domain/records.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** Stores of which every object is referred to by a record. */
export type ReferredStore = 'clean' | 'held'

type Place = { settings: Settings; registry: Registry }
type Source = {
  topic: Topic
  /** whether it is kept for ever: then nothing may be missing at its beginning */
  isWhole: boolean
  /** Reads the topic to what is its end now. @param onNames what each record refers to */
  read(place: Place, onNames: (names: readonly (string | null)[]) => void): Promise<void>
}

function source<Value>(topic: Topic, isWhole: boolean, names: (value: Value) => readonly (string | null)[]): Source {
  return {
    topic,
    isWhole,
    read: ({ settings, registry }, onNames) =>
      readTopic<Value>({
        kafka: createKafka(settings, 'sluice-stores'),
        registry,
        prefix: settings.prefix,
        topic,
        isWanted: () => true,
        onValue: (value) => onNames(names(value)),
      }),
  }
}

const heldNames = ({ heldReference, payloadReference }: HeldItem) => [heldReference, payloadReference]

/** Where records name objects. Held items are kept for 400 days, their verdicts for ever: so those count too. */
const sources: Readonly<Record<ReferredStore, readonly Source[]>> = {
  clean: [source<CleanItem>('gate.clean', true, ({ payload }) => [payload.reference])],
  held: [
    source<HeldItem>('gate.quarantine', false, heldNames),
    source<HeldItem>('gate.review', false, heldNames),
    source<VerdictRecord>('gate.verdicts', true, ({ heldReference, sha256 }) =>
      heldReference === null ? [] : [heldReference, sha256],
    ),
    source<RecallRecord>('gate.recalls', false, ({ sha256 }) => [sha256]),
  ],
}

/** Held in memory at once: half a gigabyte. */
const MOST_AT_ONCE = 67_108_864

/** Some of the references to a store: those to names in one range. */
export type References = {
  count: number
  /** Whether names of this kind are among those that these speak of. */
  covers(sha256: string): boolean
  has(sha256: string): boolean
}

/**
 * What records refer to, in as many rounds as memory asks for; each is a range of names. Of a name its first 64 bits are kept: another one that
 * begins with the same is then taken for referred to, and stays.
 * @param onRead told how many records have been read, and of how many about
 * @throws {SluiceError} as `readTopic`; CONFIG_INVALID where records are gone that should be kept for ever
 */
export async function* readReferences(
  settings: Settings,
  registry: Registry,
  store: ReferredStore,
  onRead: (read: number, total: number) => void,
  mostAtOnce = MOST_AT_ONCE,
): AsyncGenerator<References> {
  const total = await countRecords(settings, sources[store])
  const rounds = Math.max(1, Math.ceil((2 * total) / mostAtOnce))
  let read = 0
  for (let round = 0; round < rounds; round += 1) {
    const covers = (sha256: string): boolean =>
      Math.floor((Number.parseInt(sha256.slice(0, 8), 16) / 2 ** 32) * rounds) === round
    let kept = new BigUint64Array(1024)
    let count = 0
    const keep = (sha256: string): void => {
      if (count === kept.length) {
        const larger = new BigUint64Array(kept.length * 2)
        larger.set(kept)
        kept = larger
      }
      kept[count] = beginningOf(sha256)
      count += 1
    }
    for (const source of sources[store]) {
      await source.read({ settings, registry }, (names) => {
        read += 1
        onRead(read, total * rounds)
        for (const name of names) if (name !== null && covers(name)) keep(name)
      })
    }
    const sorted = kept.subarray(0, count).sort()
    yield { count, covers, has: (sha256) => isAmong(sorted, beginningOf(sha256)) }
  }
}

function beginningOf(sha256: string): bigint {
  return BigInt(`0x${sha256.slice(0, 16)}`)
}

function isAmong(sorted: BigUint64Array, wanted: bigint): boolean {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((sorted[middle] ?? 0n) < wanted) from = middle + 1
    else to = middle
  }
  return sorted[from] === wanted
}

/** How many records there are, control records included; all of them have to be there. */
async function countRecords(settings: Settings, of: readonly Source[]): Promise<number> {
  let sum = 0
  for (const { topic, isWhole } of of) {
    const name = prefixed(settings.prefix, topic)
    const { bounds } = await topicBounds(createKafka(settings, 'sluice-stores'), name)
    for (const { partition, low, high } of bounds) {
      sum += high - low
      if (!isWhole || low === 0) continue
      const sentence = `${name}, partition ${partition}, begins at ${low}: expected all records from the first one on, or nobody knows what they refer to`
      throw new SluiceError('CONFIG_INVALID', sentence)
    }
  }
  return sum
}
