import { join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import type { Settings } from '../../platform/settings.ts'
import { beginningOf, extended, openCleanReader, type ReadCounts, type ReadPosition } from '../read-clean.ts'
import { checkSnapshot, type Snapshot, snapshotNow } from '../snapshot.ts'
import { type About, type Dataset, manifestPath, openDataset, type Standing, tarPath, telling } from './dataset.ts'
import type { Sums } from './dataset-sums.ts'
import { writeDescription } from './describe.ts'
import { digestsOn } from './manifest.ts'
import { type KnownRecalls, readRecalls, recallOf } from './recall-file.ts'
import { createShardWriter, type ShardWriter } from './shard-writer.ts'

export type ExportOptions = {
  folder: string
  /** a shard ends behind the item that makes it so long, payloads together */
  shardBytes: number
  shardItems: number
  /** only these; default: as the export was begun, else all */
  partitions?: readonly number[] | undefined
  /** for a dataset that is not there yet: exactly this, instead of all that is cleared by now */
  snapshot?: Snapshot | undefined
  /** also what came since a run that was cut off has begun */
  toNow: boolean
  about: Partial<About>
  onProgress?: (progress: { counts: ReadCounts; shards: number }) => void
}

/** An item that is in a dataset, and was recalled. */
export type RecalledItem = { shard: number; key: string; id: string; sha256: string }

/**
 * What an export has done.
 * @property shards made by this run
 * @property counts of the reader, over all runs
 * @property recalled exported before, recalled since: to be taken out
 */
export type ExportReport = {
  shards: number
  counts: ReadCounts
  total: Sums
  snapshot: Snapshot
  recalled: RecalledItem[]
}

/**
 * Exports what was cleared into shards. One that was cut off, in whatever moment, goes on where it was; one that was complete goes on with what came since.
 * @throws {SluiceError} as the reader; CONFIG_INVALID where the folder is somebody else's or in use; STORE_UNREACHABLE where it can't be written
 */
export async function exportDataset(settings: Settings, options: ExportOptions): Promise<ExportReport> {
  const dataset = await openDataset(options.folder, true)
  try {
    return await telling(options.folder, () => exportInto(dataset, settings, options))
  } finally {
    dataset.close()
  }
}

async function exportInto(dataset: Dataset, settings: Settings, options: ExportOptions): Promise<ExportReport> {
  const standing = await standingOf(dataset, settings, options)
  const { position } = standing
  const shardsBefore = dataset.shards()
  const reader = await openCleanReader(settings, { position, handed: () => itemsIn(dataset) })
  let writer: ShardWriter | null = null
  let end: ReadPosition
  try {
    await dataset.saveStanding(standing)
    for await (const item of reader.items()) {
      writer ??= createShardWriter(dataset.drafts(dataset.shards()), tarPath(dataset.shards()))
      await writer.add(item)
      if (writer.bytes() >= options.shardBytes || writer.items() >= options.shardItems) {
        await dataset.commit(dataset.shards(), await writer.finish(), reader.position())
        writer = null
      }
      options.onProgress?.({ counts: reader.counts(), shards: dataset.shards() })
    }
    end = reader.position()
    if (writer !== null) await dataset.commit(dataset.shards(), await writer.finish(), end)
    writer = null
  } finally {
    await writer?.abandon()
    await reader.close()
  }
  const done = { ...standing, position: end, shards: dataset.shards(), isComplete: true }
  await dataset.saveStanding(done)
  const total = await writeDescription(dataset, done)
  const recalled = await recalledIn(dataset, await readRecalls(settings, Date.now()))
  return {
    shards: dataset.shards() - shardsBefore,
    counts: end.counts,
    total,
    snapshot: end.snapshot,
    recalled,
  }
}

/** Where to go on, and up to where. */
async function standingOf(
  dataset: Dataset,
  settings: Settings,
  { partitions, snapshot: given, toNow, about }: ExportOptions,
): Promise<Standing> {
  const former = dataset.standing()
  if (former === null) {
    const snapshot = given ?? (await snapshotNow(settings, partitions))
    return {
      version: 1,
      about: { name: 'clean', url: null, creator: null, ...about },
      partitions: partitions?.toSorted((a, b) => a - b) ?? null,
      shards: 0,
      isComplete: false,
      position: beginningOf(snapshot),
    }
  }
  if (given !== undefined) {
    throw new SluiceError('USAGE', `${dataset.folder} has been begun already: export a snapshot into another folder`)
  }
  const wanted = partitions?.toSorted((a, b) => a - b)
  if (wanted !== undefined && wanted.join() !== former.partitions?.join()) {
    const had = former.partitions === null ? 'all partitions' : `the partitions ${former.partitions.join(', ')}`
    throw new SluiceError('USAGE', `${dataset.folder} has been begun with ${had}: export others into another folder`)
  }
  // A shard that was made since says more than what was written before it.
  const isAhead = dataset.shards() > former.shards
  const position = isAhead ? (await dataset.record(dataset.shards() - 1)).position : former.position
  const going = {
    ...former,
    about: { ...former.about, ...about },
    shards: dataset.shards(),
    position,
    isComplete: false,
  }
  if (!former.isComplete && !toNow) return going
  await checkSnapshot(settings, position.snapshot)
  const now = await snapshotNow(settings, former.partitions ?? undefined)
  return { ...going, position: extended(position, now) }
}

/** What is in the dataset, as its manifests say, and was recalled. */
export async function recalledIn(dataset: Dataset, recalls: KnownRecalls): Promise<RecalledItem[]> {
  const recalled: RecalledItem[] = []
  if (recalls.recalls.size === 0) return recalled
  for await (const item of itemsIn(dataset)) {
    if (recallOf(recalls, item.sha256) !== null) recalled.push(item)
  }
  return recalled
}

/** All that is in the dataset, as its manifests say. */
async function* itemsIn(dataset: Dataset): AsyncGenerator<RecalledItem> {
  for (let shard = 0; shard < dataset.shards(); shard++) {
    for (const item of await digestsOn(join(dataset.folder, manifestPath(shard)))) yield { shard, ...item }
  }
}
