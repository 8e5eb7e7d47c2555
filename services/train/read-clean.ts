import { createHash } from 'node:crypto'
import { z } from 'zod'
import { DigestSet } from '../domain/digest-set.ts'
import { SluiceError } from '../domain/errors.ts'
import type { Receipt } from '../domain/receipt.ts'
import type { CleanItem } from '../domain/records.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { createFileStore } from '../platform/stores/file-store.ts'
import type { Store } from '../platform/stores/store.ts'
import { type CleanRecord, cleanRecords } from './clean-records.ts'
import { type Claim, createProve, type Prove } from './prove.ts'
import { followRecalls, type Recalls } from './recalls.ts'
import { checkSnapshot, snapshotNow, snapshotSchema } from './snapshot.ts'

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
})
/** How far a reader is; whoever keeps it can go on from there. */
export type ReadPosition = z.infer<typeof positionSchema>

export type CleanReader = {
  snapshot: ReadPosition['snapshot']
  /**
   * Hands out one proven item after the other. Bytes are read ahead only as far as they are asked for.
   * @throws {SluiceError} RECEIPT_*, KEY_*, PAYLOAD_TAMPERED or PAYLOAD_MISSING, naming the item, when something is not what a gate has cleared: nothing
   *   behind it is handed out; MESSAGE_UNDECODABLE; BROKER_UNREACHABLE, STORE_UNREACHABLE, REGISTRY_UNREACHABLE
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
  const store = createFileStore(settings.stores, 'clean')
  const given = options.position
  if (given !== undefined) await checkSnapshot(settings, given.snapshot)
  const snapshot = given?.snapshot ?? (await snapshotNow(settings, options.partitions))
  const recalls = await followRecalls(settings, registry)
  const reading = { settings, registry }
  const next = new Map(snapshot.ranges.map(({ partition, from }, index) => [partition, given?.next[index] ?? from]))
  const counts: ReadCounts = { ...(given?.counts ?? { handed: 0, bytes: 0, recalled: 0, repeated: 0 }) }
  let turn = given?.turn ?? null
  const seen = new DigestSet()

  async function* items(): AsyncGenerator<ProvenItem, void> {
    // What was seen before this reader began is on the topic still.
    const before = snapshot.ranges.map((range) => ({ ...range, to: next.get(range.partition) ?? range.from }))
    for await (const { item } of cleanRecords(reading, before)) seen.add(nameOf(item))
    const rest = snapshot.ranges.map((range) => ({ ...range, from: next.get(range.partition) ?? range.from }))
    for await (const looked of ahead(cleanRecords(reading, rest, turn), look)) {
      const { record, proven, isRepeated } = looked
      next.set(record.partition, record.offset + 1)
      turn = partitionAfter(record.partition)
      if (proven === null || recalls.has(record.item.payload.reference)) counts.recalled += 1
      else if (isRepeated) counts.repeated += 1
      else {
        counts.handed += 1
        counts.bytes += proven.bytes.length
        yield proven
      }
    }
  }

  function partitionAfter(partition: number): number | null {
    const index = snapshot.ranges.findIndex((range) => range.partition === partition)
    return snapshot.ranges[(index + 1) % snapshot.ranges.length]?.partition ?? null
  }

  /** Begun in the order of the records; what comes first of two that are the same is handed out. */
  function look(record: CleanRecord): Promise<Looked> {
    const isRepeated = !seen.add(nameOf(record.item))
    return proveRecord(record, isRepeated, { prove, store, recalls, topic: snapshot.topic })
  }

  return {
    snapshot,
    items,
    position: () => ({
      snapshot,
      next: snapshot.ranges.map(({ partition, from }) => next.get(partition) ?? from),
      turn,
      counts: { ...counts },
    }),
    counts: () => ({ ...counts }),
    close: () => recalls.stop(),
  }
}

/** @property proven null where it was recalled */
type Looked = { record: CleanRecord; proven: ProvenItem | null; isRepeated: boolean; bytes: number }

/** Also of what will not be handed out the receipt has to hold: who repeats an item may have forged the second one. */
async function proveRecord(
  record: CleanRecord,
  isRepeated: boolean,
  parts: { prove: Prove; store: Pick<Store, 'read'>; recalls: Recalls; topic: string },
): Promise<Looked> {
  const { prove, store, recalls } = parts
  const { partition, offset, item, key } = record
  const claim: Claim = { place: `${parts.topic}/${partition}/${offset}`, key: key ?? '', item }
  const receipt = await prove.claim(claim)
  const { sha256, size } = receipt.payload
  const nothing = { record, isRepeated, bytes: 0 }
  if (recalls.has(sha256)) return { ...nothing, proven: null }
  const empty = { id: item.id, item, receipt, partition, offset }
  if (isRepeated) return { ...nothing, proven: { ...empty, bytes: Buffer.alloc(0) } }
  try {
    const bytes = await store.read(sha256, size)
    prove.bytes(claim, receipt, bytes)
    return { record, isRepeated, proven: { ...empty, bytes }, bytes: bytes.length }
  } catch (error) {
    if (!(error instanceof SluiceError) || error.fault === 'surroundings' || error.fault === 'evidence') throw error
    // A recall takes it out of the store when it is on its topic, which may have been a moment ago.
    if (error.code === 'PAYLOAD_MISSING' && (await recalls.ask(sha256))) return { ...nothing, proven: null }
    const isThere = error.code !== 'PAYLOAD_MISSING'
    const sentence = `item ${item.id} at ${claim.place} is not handed out: its bytes are ${isThere ? 'more than what was checked' : 'not in the clean store, and it was not recalled'}`
    throw new SluiceError(isThere ? 'PAYLOAD_TAMPERED' : 'PAYLOAD_MISSING', sentence, { cause: error })
  }
}

/** What makes two records the same item: 32 bytes for item id and sha256. */
function nameOf({ id, payload }: CleanItem): Buffer {
  return createHash('sha256').update(`${id}\n${payload.reference}`).digest()
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
