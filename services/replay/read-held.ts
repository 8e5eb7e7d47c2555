import { SluiceError } from '../domain/errors.ts'
import { contentOf } from '../domain/hash-list.ts'
import {
  createHeldFilter,
  type FilteredVerdict,
  filteredFields,
  type HeldFilter,
  isInRanges,
} from '../domain/held-filter.ts'
import type { VerdictRecord } from '../domain/records.ts'
import type { ReplayRuns } from '../domain/replay/replay-runs.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import type { FollowedRecord } from '../platform/kafka/follow-topic.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { offsetsAt, type PartitionBounds, topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { readWithdrawn } from './withdrawn.ts'

const VERDICTS = 'gate.verdicts' satisfies Topic
const SLASH = 0x2f
/** Brokers write down when a verdict came; a gate says when it judged. So far their clocks may be apart. */
const CLOCKS_APART_MS = 3_600_000
/** What stands at the beginning of a verdict, and tells of most of them that they are not wanted. */
const headFields = ['input', 'judgedAt', 'outcome'] as const
type Head = Pick<VerdictRecord, (typeof headFields)[number]>

type Field = keyof VerdictRecord
type Told<Name extends Field> = Pick<VerdictRecord, Name | keyof FilteredVerdict | 'sha256'>

export type ReadHeldOptions<Name extends Field> = {
  settings: Settings
  registry: Registry
  filter: HeldFilter
  /** what has been put through the gate again */
  replays: Pick<ReplayRuns, 'isReplayed' | 'attempts'>
  /** what to read of gate.verdicts; default: all that is there now */
  bounds?: readonly PartitionBounds[]
  /** What is to be told of a verdict, beside what filters look at; default: everything. Without the fingerprint, and what stands behind it, decoding takes a third. */
  fields?: readonly Name[]
  /** told how many records have been read, and of how many about */
  onRead?: (read: number, total: number) => void
  /**
   * Called with one after the other, in the order of the door within a partition.
   * @property attempts how often it has been replayed @property offset of the verdict on gate.verdicts
   */
  onHeld: (verdict: Told<Name>, more: { attempts: number; offset: number }) => Promise<void> | void
}

/**
 * Reads gate.verdicts once, and tells what is held: what the gate did not clear, what the filter means, what no replay has put through the gate
 * again. Keeps nothing. Where the filter means what had its recall withdrawn, tells that instead.
 * @throws {SluiceError} as `readTopic`; USAGE for a partition that there is not
 */
export async function readHeld<Name extends Field = Field>(options: ReadHeldOptions<Name>): Promise<void> {
  const { settings, registry, filter, replays, onRead, onHeld } = options
  const topic = prefixed(settings.prefix, VERDICTS)
  const bounds = options.bounds ?? (await topicBounds(createKafka(settings, 'sluice-replay'), topic)).bounds
  const { from, to } = await spanOf(settings, filter, bounds, topic)
  const total = bounds.reduce((sum, { partition }) => sum + (to.get(partition) ?? 0) - (from.get(partition) ?? 0), 0)
  let read = 0

  const decodeHead = registry.fieldsDecoder<VerdictRecord, keyof Head>(VERDICTS, headFields)
  const mayBeMeant = createRawFilter(filter)
  const isMeant = createHeldFilter<Told<Name>>(filter, ({ input }) => replays.attempts(input.partition, input.offset))

  const recalls = filter.withdrawn === true ? await readWithdrawn(settings, registry) : null
  if (recalls?.isEmpty) return
  const isOfOutcome = ({ outcome }: Pick<Head, 'outcome'>): boolean => (outcome === 'clean') === (recalls !== null)

  const untilLast = createUntilLast(filter)
  const enough = new AbortController()

  await readTopic<Told<Name>>({
    // Instances share what they know of offsets.
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: VERDICTS,
    from,
    to,
    enough: enough.signal,
    ...(options.fields && {
      decode: registry.fieldsDecoder<VerdictRecord, keyof Told<Name>>(VERDICTS, [
        ...filteredFields,
        'sha256',
        ...options.fields,
      ]),
    }),
    isWanted(record) {
      if (record.offset >= (to.get(record.partition) ?? 0)) return false
      read += 1
      onRead?.(read, total)
      if (record.value === null) return false
      const head = decodeHead(record.value)
      if (head === null) return mayBeMeant(record)
      if (untilLast(head.input)) enough.abort()
      return isOfOutcome(head) && isInTime(head, filter) && isInRange(head, filter) && mayBeMeant(record)
    },
    onValue(verdict, record) {
      const { input } = verdict
      const { offset } = record
      const recall = recalls?.find(verdict, record)
      if (recall === null || !isOfOutcome(verdict)) return
      // What holds it is what had recalled it.
      const told = { ...verdict, ...recall }
      if (!isMeant(told) || replays.isReplayed(input.partition, input.offset)) return
      return onHeld(told, { attempts: replays.attempts(input.partition, input.offset), offset })
    },
  })
}

/**
 * Told of one door offset after the other, in order within a partition, it says whether the last ones that the filter means are behind: verdicts
 * come in the order of the door.
 */
function createUntilLast({ partitions = [] }: HeldFilter): (input: VerdictRecord['input']) => boolean {
  const lasts = new Map<number, number>()
  for (const { partition, last = Number.POSITIVE_INFINITY } of partitions) {
    lasts.set(partition, Math.max(last, lasts.get(partition) ?? 0))
  }
  return ({ partition, offset }) => {
    if (offset <= (lasts.get(partition) ?? Number.POSITIVE_INFINITY)) return false
    lasts.delete(partition)
    return lasts.size === 0
  }
}

function isInTime(
  { judgedAt }: Head,
  { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: HeldFilter,
) {
  return since <= judgedAt && judgedAt < until
}

function isInRange({ input }: Head, { partitions }: HeldFilter): boolean {
  return partitions === undefined || isInRanges(input, partitions)
}

/** Where reading begins and ends, by partition; of one that the filter does not mean at its end. */
async function spanOf(
  settings: Settings,
  { partitions, since }: HeldFilter,
  bounds: readonly PartitionBounds[],
  topic: string,
): Promise<{ from: Map<number, number>; to: Map<number, number> }> {
  const missing = partitions?.find((meant) => !bounds.some(({ partition }) => partition === meant.partition))
  if (missing !== undefined) {
    const sentence = `${topic} has no partition ${missing.partition}: expected one of ${bounds.map(({ partition }) => partition).join(', ')}`
    throw new SluiceError('USAGE', sentence)
  }
  const begins =
    since === undefined ? null : await offsetsAt(createKafka(settings, 'sluice-replay'), topic, since - CLOCKS_APART_MS)
  const spans = bounds.map(({ partition, low, high }) => {
    const isMeant = partitions?.some((meant) => meant.partition === partition) ?? true
    const begin = Math.min(high, Math.max(low, begins?.get(partition) ?? low))
    return { partition, begin: isMeant ? begin : high, high }
  })
  return {
    from: new Map(spans.map(({ partition, begin }) => [partition, begin])),
    to: new Map(spans.map(({ partition, high }) => [partition, high])),
  }
}

/**
 * Whether a verdict may be one that is meant, as far as its bytes tell: texts stand in them as they are. Says no only where the filter would.
 */
function createRawFilter(filter: HeldFilter): (record: FollowedRecord) => boolean {
  const { outcomes, reasons, policyHashes, suppliers, datasets, supplyKinds, itemIds } = filter
  const entries = filter.withdrawn ? undefined : filter.entries?.map(({ entry }) => entry)
  // What recalled an item does not stand in its verdict.
  const lists = filter.withdrawn ? undefined : filter.lists
  const versions = filter.listVersions?.map(({ version }) => contentOf(version))
  const alternatives = [outcomes, reasons, lists, entries, policyHashes, versions, suppliers, datasets, supplyKinds]
  const needles = alternatives.flatMap((texts) => (texts === undefined ? [] : [texts.map((text) => Buffer.from(text))]))
  const ids = itemIds === undefined ? null : new Set(itemIds)
  return ({ key, value }) =>
    (ids === null || mayBeOf(key, ids)) && needles.every((some) => some.some((needle) => value?.includes(needle)))
}

/** Where key and id contradict each other the key is the coordinates, which have slashes; item ids have none. */
function mayBeOf(key: Buffer | null, ids: ReadonlySet<string>): boolean {
  return key === null || key.includes(SLASH) || ids.has(key.toString('latin1'))
}
