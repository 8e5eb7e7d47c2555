import { z } from 'zod'
import { DigestSet } from '../domain/digest-set.ts'
import { SluiceError } from '../domain/errors.ts'
import type { Receipt } from '../domain/receipt.ts'
import type { CleanItem } from '../domain/records.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import type { Store } from '../platform/stores/store.ts'
import { type CleanRecord, cleanRecords } from './clean-records.ts'
import { nameOf } from './item-name.ts'
import { type Claim, createProve, type Prove } from './prove.ts'
import { followRecalls, type Recalls } from './recalls.ts'
import { checkSnapshot, type Snapshot, snapshotNow, snapshotSchema } from './snapshot.ts'

/** Items whose bytes are read and hashed ahead of the one that is handed out, and their bytes together. */
const MOST_AHEAD = 32
const BYTES_AHEAD = 67_108_864

/** An item that a gate has cleared, proven, with its bytes. */
export type ProvenItem = {
  id: string
  bytes: Buffer
  /** as the topic has it, with the receipt's text */
  item: CleanItem
  receipt: Receipt
  /** where it lies on the clean topic */
  partition: number
  offset: number
}

const counted = z.int().nonnegative()
const countsSchema = z.strictObject({ handed: counted, bytes: counted, recalled: counted, repeated: counted })
/** What became of the items so far: `handed` out, `bytes` of them, skipped because `recalled`, or `repeated`: (item id, sha256) seen before. */
export type ReadCounts = z.infer<typeof countsSchema>

export const positionSchema = z.strictObject({
  snapshot: snapshotSchema,
  /** first offset that was not looked at, by partition as in the ranges */
  next: z.array(counted),
  turn: counted.nullable(),
  counts: countsSchema,
  /** names of items that were recalled when it was their turn: withdrawn, they may come again */
  leftOut: z.array(z.string()),
})
/** How far a reader is; whoever keeps it can go on from there. */
export type ReadPosition = z.infer<typeof positionSchema>

/** Where a reader of a snapshot begins. */
export function beginningOf(snapshot: Snapshot): ReadPosition {
  const counts = { handed: 0, bytes: 0, recalled: 0, repeated: 0 }
  return { snapshot, next: snapshot.ranges.map(({ from }) => from), turn: null, counts, leftOut: [] }
}

/** The same position in a snapshot that reaches as far as things are now; partitions that are new are read from where they begin. */
export function extended(position: ReadPosition, now: Snapshot): ReadPosition {
  const before = position.snapshot.ranges
  const ranges = now.ranges.map((range) => ({
    ...range,
    from: before.find(({ partition }) => partition === range.partition)?.from ?? range.from,
  }))
  const next = ranges.map(({ partition, from }) => {
    const index = before.findIndex((range) => range.partition === partition)
    return position.next[index] ?? from
  })
  return { ...position, snapshot: { ...position.snapshot, ranges }, next }
}

export type CleanReader = {
  snapshot: ReadPosition['snapshot']
  /**
   * Hands out one proven item after the other. Bytes are read ahead only as far as they are asked for.
   * @throws {SluiceError} RECEIPT_*, KEY_*, PAYLOAD_TAMPERED or PAYLOAD_MISSING, naming the item, when something is not what a gate has cleared: nothing
   *   behind it is handed out; POSITION_JUMPED when some of the snapshot has gone meanwhile; MESSAGE_UNDECODABLE; BROKER_UNREACHABLE, STORE_UNREACHABLE, REGISTRY_UNREACHABLE
   */
  items(): AsyncGenerator<ProvenItem, void>
  /** Behind the last item that was handed out. */
  position(): ReadPosition
  counts(): ReadCounts
  close(): Promise<void>
}

export type ReadCleanOptions = {
  /** where a reader that was closed stood; default: the beginning of what is there now */
  position?: ReadPosition
  /** only these partitions; an item is looked for among them when it is asked whether it comes a second time */
  partitions?: readonly number[]
  /**
   * What was handed out before, where somebody knows it better than the topic, which is asked else: a dataset that holds it, less what was taken
   * out of it since.
   */
  handed?: () => AsyncIterable<{ id: string; sha256: string }>
}

/**
 * Opens a reader of the clean topic: the only way by which anything gets into training. It knows all recalls before the first item.
 * @param settings keyring: the public keys that this reader trusts, a file of its own
 * @throws {SluiceError} CONFIG_INVALID without a keyring; POSITION_JUMPED where a position is of something else; TOPICS_MISSING, BROKER_UNREACHABLE,
 *   REGISTRY_UNREACHABLE, ACCESS_DENIED
 */
export async function openCleanReader(settings: Settings, options: ReadCleanOptions = {}): Promise<CleanReader> {
  const prove = createProve(readKeyring(settings.keyring))
  const registry = createRegistry(settings)
  const store = await openStore(settings, 'clean')
  if (options.position !== undefined) await checkSnapshot(settings, options.position.snapshot)
  const given = options.position ?? beginningOf(await snapshotNow(settings, options.partitions))
  const { snapshot } = given
  const recalls = await followRecalls(settings, registry)
  const reading = { settings, registry }
  const next = new Map(snapshot.ranges.map(({ partition, from }, index) => [partition, given.next[index] ?? from]))
  const counts: ReadCounts = { ...given.counts }
  let { turn } = given
  const leftOut = new Set(given.leftOut)

  async function* items(): AsyncGenerator<ProvenItem, void> {
    const seen = await seenBefore()
    const rest = snapshot.ranges.map((range) => ({ ...range, from: next.get(range.partition) ?? range.from }))
    for await (const looked of ahead(cleanRecords(reading, rest, turn), (record) => look(record, seen))) {
      const { record, found } = looked
      const name = nameOf(record.item)
      // Where nobody can say, it stays before this one.
      const isRecalled = found === 'recalled' || recalls.has(record.item.payload.reference)
      next.set(record.partition, record.offset + 1)
      turn = partitionAfter(record.partition)
      if (isRecalled) {
        counts.recalled += 1
        if (options.handed === undefined && !seen.has(name)) leftOut.add(shortly(name))
      } else if (found === 'repeated' || !seen.add(name)) counts.repeated += 1
      else {
        leftOut.delete(shortly(name))
        counts.handed += 1
        counts.bytes += found.bytes.length
        yield found
      }
    }
    // What is taken off the topic while it is read looks like its end, or like the marks of transactions.
    await checkSnapshot(settings, snapshot)
  }

  function partitionAfter(partition: number): number | null {
    const index = snapshot.ranges.findIndex((range) => range.partition === partition)
    return snapshot.ranges[(index + 1) % snapshot.ranges.length]?.partition ?? null
  }

  /** By whoever knows it, or by the topic: what was handed out before is there still. What was only read ahead of it has not been seen. */
  async function seenBefore(): Promise<DigestSet> {
    const seen = new DigestSet()
    if (options.handed !== undefined) {
      for await (const { id, sha256 } of options.handed()) seen.add(nameOf({ id, payload: { reference: sha256 } }))
      return seen
    }
    const before = snapshot.ranges.map((range) => ({ ...range, to: next.get(range.partition) ?? range.from }))
    for await (const { item } of cleanRecords(reading, before)) {
      const name = nameOf(item)
      if (!leftOut.has(shortly(name))) seen.add(name)
    }
    return seen
  }

  function look(record: CleanRecord, seen: DigestSet): Promise<Looked> {
    const isRepeated = seen.has(nameOf(record.item))
    return proveRecord(record, isRepeated, {
      prove,
      store,
      recalls,
      snapshot,
      doorTopic: prefixed(settings.prefix, DOOR),
    })
  }

  return {
    snapshot,
    items,
    position: () => ({
      snapshot,
      next: snapshot.ranges.map(({ partition, from }) => next.get(partition) ?? from),
      turn,
      counts: { ...counts },
      leftOut: [...leftOut],
    }),
    counts: () => ({ ...counts }),
    close: () => recalls.stop(),
  }
}

/** As much of a name as a position keeps of it. */
function shortly(name: Buffer): string {
  return name.toString('base64url', 0, 16)
}

/** What was found of a record ahead of its turn; of two that are the same, both may still be `found`. */
type Looked = { record: CleanRecord; found: ProvenItem | 'recalled' | 'repeated' }

/** Also of what will not be handed out the receipt has to hold: who repeats an item may have forged the second one. */
async function proveRecord(
  record: CleanRecord,
  isRepeated: boolean,
  parts: { prove: Prove; store: Pick<Store, 'read'>; recalls: Recalls; snapshot: Snapshot; doorTopic: string },
): Promise<Looked> {
  const { prove, store, recalls, snapshot, doorTopic } = parts
  const { partition, offset, item, key } = record
  // What a gate writes goes to the partition that it has read.
  const door = { cluster: snapshot.cluster, topic: doorTopic, partition }
  const claim: Claim = { place: `${snapshot.topic}/${partition}/${offset}`, key: key ?? '', door, item }
  const receipt = await prove.claim(claim)
  const { sha256, size } = receipt.payload
  if (recalls.has(sha256)) return { record, found: 'recalled' }
  if (isRepeated) return { record, found: 'repeated' }
  try {
    const bytes = await store.read(sha256, size)
    prove.bytes(claim, receipt, bytes)
    return { record, found: { id: item.id, item, receipt, partition, offset, bytes } }
  } catch (error) {
    if (!(error instanceof SluiceError) || error.fault === 'surroundings' || error.fault === 'evidence') throw error
    // A recall takes it out of the store when it is on its topic, which may have been a moment ago; withdrawn, it comes back through the door only.
    if (error.code === 'PAYLOAD_MISSING' && (await recalls.wasRecalled(sha256))) {
      return { record, found: 'recalled' }
    }
    const isThere = error.code !== 'PAYLOAD_MISSING'
    const sentence = `item ${item.id} at ${claim.place} is not handed out: its bytes are ${isThere ? 'more than what was checked' : 'not in the clean store, and it was not recalled'}`
    throw new SluiceError(isThere ? 'PAYLOAD_TAMPERED' : 'PAYLOAD_MISSING', sentence, { cause: error })
  }
}

/**
 * Works on some records ahead of the one that is asked for, and hands the results out in their order; a failure too has its place behind what
 * came before it.
 */
async function* ahead(
  records: AsyncGenerator<CleanRecord>,
  work: (record: CleanRecord) => Promise<Looked>,
): AsyncGenerator<Looked> {
  const begun: Array<{ size: number; result: Promise<Looked> }> = []
  let bytes = 0
  let ending: { error: unknown } | 'done' | null = null
  try {
    for (;;) {
      while (ending === null && begun.length < MOST_AHEAD && (bytes < BYTES_AHEAD || begun.length === 0)) {
        try {
          const { done, value } = await records.next()
          if (done) {
            ending = 'done'
          } else {
            // A claim only: but its receipt has to hold before anything of that length is read.
            const size = Math.max(0, value.item.payload.size)
            const result = work(value)
            result.catch(() => undefined)
            begun.push({ size, result })
            bytes += size
          }
        } catch (error) {
          ending = { error }
        }
      }
      const first = begun.shift()
      if (first !== undefined) {
        const looked = await first.result
        bytes -= first.size
        yield looked
      } else if (ending !== null && ending !== 'done') throw ending.error
      else return
    }
  } finally {
    await records.return(undefined)
  }
}
