/**
 * What a training job in TypeScript or JavaScript imports: `import { openCleanReader } from 'sluice/train'`.
 */
import { SluiceError } from '../domain/errors.ts'
import type { ClientSettings } from '../platform/client-settings.ts'
import { checkGiven, readSettings } from '../platform/settings.ts'
import {
  beginningOf,
  type CleanReader,
  extended,
  openCleanReader as open,
  positionSchema,
  type ReadPosition,
} from './read-clean.ts'
import { checkSnapshot, type Snapshot, snapshotNow } from './snapshot.ts'

export { type ErrorCode, type Fault, SluiceError } from '../domain/errors.ts'
export type { Receipt } from '../domain/receipt.ts'
export type { CleanItem, TrainingView } from '../domain/records.ts'
export type { Credentials } from '../platform/settings.ts'
export type { CleanReader, ProvenItem, ReadCounts, ReadPosition } from './read-clean.ts'
export type { Snapshot } from './snapshot.ts'

/** How to reach what is cleared, and which keys to trust. */
export type TrainerSettings = ClientSettings & {
  /** The folder that the gate's stores are in, as this process sees it, or s3://NAME for buckets; else SLUICE_STORES. Only `clean` of it is read. */
  stores?: string | undefined
  /** file of the public keys that this job trusts, a copy of its own; else SLUICE_KEYRING */
  keyring?: string | undefined
  /** where a reader stood, as its `position()` said; default: the beginning of what is cleared by now */
  position?: ReadPosition | undefined
  /** exactly these ranges, as a `position()` or the `dataset.json` of an export has them; default: what is cleared by now */
  snapshot?: Snapshot | undefined
  /** with a position: also what was cleared since its snapshot was taken; default: what is left of that */
  toNow?: boolean | undefined
  /** only these partitions, where several jobs share them; an item that comes again is noticed among them */
  partitions?: number[] | undefined
}

/**
 * Opens a reader of what is cleared: each item is proven before it is handed out, and comes once.
 * @throws {SluiceError} CONFIG_INVALID, naming the setting; USAGE for a position that is none; POSITION_JUMPED where it is of something else;
 *   TOPICS_MISSING, BROKER_UNREACHABLE, REGISTRY_UNREACHABLE, ACCESS_DENIED
 */
export async function openCleanReader({
  position,
  snapshot,
  toNow,
  partitions,
  ...options
}: TrainerSettings = {}): Promise<CleanReader> {
  const settings = readSettings({ SLUICE_PRINCIPAL: 'trainer', ...process.env }, checkGiven(options))
  const given = position ?? (snapshot && beginningOf(snapshot))
  if (given === undefined) return await open(settings, partitions === undefined ? {} : { partitions })
  // It comes from a file, as likely as not.
  const parsed = positionSchema.safeParse(given)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const sentence = `the position is none that a reader has told: ${issue?.path.join('.')}: ${issue?.message}`
    throw new SluiceError('USAGE', sentence)
  }
  if (toNow !== true) return await open(settings, { position: parsed.data })
  await checkSnapshot(settings, parsed.data.snapshot)
  return await open(settings, { position: extended(parsed.data, await snapshotNow(settings, partitions)) })
}
