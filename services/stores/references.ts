import { SluiceError } from '../domain/errors.ts'
import type {
  CleanItem,
  Coordinates,
  EnvelopeRecord,
  HeldItem,
  RecallRecord,
  VerdictRecord,
} from '../domain/records.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { isReference } from '../platform/stores/store.ts'

/** Stores of which every object is referred to by a record. */
export type ReferredStore = 'clean' | 'held'

type Place = { settings: Settings; registry: Registry }
type Source<Value> = {
  topic: Topic
  /** whether it is kept for ever: then nothing may be missing at its beginning */
  isWhole: boolean
  /** Reads the topic to what is its end now. */
  read(place: Place, onValue: (value: Value) => void): Promise<void>
}

function source<Value>(topic: Topic, isWhole: boolean): Source<Value> {
  return {
    topic,
    isWhole,
    read: ({ settings, registry }, onValue) =>
      readTopic<Value>({
        kafka: createKafka(settings, 'sluice-stores'),
        registry,
        prefix: settings.prefix,
        topic,
        isWanted: () => true,
        onValue,
      }),
  }
}

/** What each record of a topic refers to. */
type Naming = Source<readonly (string | null)[]>

function naming<Value>(of: Source<Value>, names: (value: Value) => readonly (string | null)[]): Naming {
  return { ...of, read: (place, onNames) => of.read(place, (value) => onNames(names(value))) }
}

const heldItems = [source<HeldItem>('gate.quarantine', false), source<HeldItem>('gate.review', false)]
const envelopes = source<EnvelopeRecord>('gate.envelopes', true)

/** Where records name objects. Held items are kept for 400 days, their verdicts for ever: so those count too. */
const sources: Readonly<Record<ReferredStore, readonly Naming[]>> = {
  clean: [naming(source<CleanItem>('gate.clean', true), ({ payload }) => [payload.reference])],
  held: [
    ...heldItems.map((items) => naming(items, (item) => [item.heldReference, item.payloadReference])),
    naming(source<VerdictRecord>('gate.verdicts', true), ({ heldReference, sha256 }) =>
      heldReference === null ? [] : [heldReference, sha256],
    ),
    naming(source<RecallRecord>('gate.recalls', false), ({ sha256 }) => [sha256]),
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
    const kept = createNumbers()
    for (const source of sources[store]) {
      await source.read({ settings, registry }, (names) => {
        read += 1
        onRead(read, total * rounds)
        for (const name of names) if (name !== null && covers(name)) kept.add(beginningOf(name))
      })
    }
    const { count, has } = kept.sorted()
    yield { count, covers, has: (sha256) => has(beginningOf(sha256)) }
  }
}

/**
 * What held items need of the intake store: payloads that were not copied to held, because they were not there yet or are too large. Only their
 * envelopes name those. That is for as long as the items are held: an item that was replayed since counts too.
 * @param onRead told how many records have been read, and of how many about
 * @throws {SluiceError} as {@link readReferences}
 */
export async function readIntakeReferences(
  settings: Settings,
  registry: Registry,
  onRead: (read: number, total: number) => void,
): Promise<References> {
  let total = await countRecords(settings, heldItems)
  let read = 0
  const tell = (): void => {
    read += 1
    onRead(read, total)
  }
  const found = createNumbers()
  for (const source of heldItems) {
    await source.read({ settings, registry }, ({ input, payloadReference }) => {
      tell()
      if (payloadReference === null) found.add(placeOf(input))
    })
  }
  const items = found.sorted()
  const kept = createNumbers()
  if (items.count > 0) {
    total += await countRecords(settings, [envelopes])
    await envelopes.read({ settings, registry }, ({ input, envelope }) => {
      tell()
      // A crawler may have written anything there.
      const name = envelope.payload?.reference ?? ''
      if (isReference(name) && items.has(placeOf(input))) kept.add(beginningOf(name))
    })
  }
  const { count, has } = kept.sorted()
  return { count, covers: () => true, has: (sha256) => has(beginningOf(sha256)) }
}

/** Coordinates on the door as one number. */
function placeOf({ partition, offset }: Coordinates): bigint {
  return (BigInt(partition) << 48n) | BigInt(offset)
}

/** Many numbers, eight bytes each. */
function createNumbers() {
  let kept = new BigUint64Array(1024)
  let count = 0
  return {
    add(number: bigint): void {
      if (count === kept.length) {
        const larger = new BigUint64Array(kept.length * 2)
        larger.set(kept)
        kept = larger
      }
      kept[count] = number
      count += 1
    },
    /** To be looked up; none is added any more. */
    sorted(): { count: number; has(number: bigint): boolean } {
      const sorted = kept.subarray(0, count).sort()
      return { count, has: (number) => isAmong(sorted, number) }
    },
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
async function countRecords(
  settings: Settings,
  of: readonly Pick<Source<never>, 'topic' | 'isWhole'>[],
): Promise<number> {
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
