import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SluiceError } from '../../domain/errors.ts'
import { unprovenReceipt } from '../../domain/receipt.ts'
import { CLEAN } from '../snapshot.ts'
import { type Dataset, openDataset, type Standing, tarPath, telling } from './dataset.ts'
import { parseItem } from './dataset-item.ts'
import { createSums } from './dataset-sums.ts'
import { removeDescription, writeDescription } from './describe.ts'
import { recalledIn } from './export.ts'
import type { ManifestRow } from './manifest.ts'
import { type KnownRecalls, recallOf, whyUnrelated } from './recall-file.ts'
import { REDACTIONS_FILE, type Redaction, readRedactions, writeRedactions } from './redactions.ts'
import { endOfTar, openShard, ShardDamage } from './shard-tar.ts'
import { hashing, type WrittenShard, writeManifest } from './shard-writer.ts'

/**
 * What was taken out.
 * @property before items that former runs had taken out
 * @property shards with the items that each lacks now
 * @property isComplete false: the export has not come to its end, and only that writes the description
 */
export type RedactReport = {
  items: number
  before: number
  shards: Array<{ shard: number; items: number }>
  isComplete: boolean
}

/**
 * Takes out of a dataset what was recalled since it was exported: each shard that holds some is written anew without it, one after the other. What goes
 * is written down first, so that one that was cut off is finished by calling it again. Where the export has not come to its end, nothing tells of the
 * dataset as a whole until it has.
 * @throws {SluiceError} CONFIG_INVALID where it is no dataset, in use or damaged, or the recalls are not of its items; STORE_UNREACHABLE where it can't be written
 */
export async function redactDataset(
  folder: string,
  recalls: KnownRecalls,
  onProgress?: (done: number, all: number) => void,
): Promise<RedactReport> {
  const dataset = await openDataset(folder, false)
  try {
    return await telling(folder, () => redactIn(dataset, recalls, onProgress))
  } finally {
    dataset.close()
  }
}

async function redactIn(
  dataset: Dataset,
  recalls: KnownRecalls,
  onProgress?: (done: number, all: number) => void,
): Promise<RedactReport> {
  const standing = dataset.standing()
  if (standing === null) throw new SluiceError('CONFIG_INVALID', `${dataset.folder} holds no dataset yet`)
  await checkRecalls(dataset, standing, recalls)
  const former: Redaction[] = []
  const file = join(dataset.folder, REDACTIONS_FILE)
  await readRedactions(file, (redaction) => former.push(redaction)).catch((cause: unknown) => {
    throw new SluiceError('CONFIG_INVALID', `${file} is damaged: remove the dataset, and export it anew`, { cause })
  })
  const known = new Set(former.map(({ key }) => key))
  const fresh: Redaction[] = []
  for (const { shard, key, sha256 } of await recalledIn(dataset, recalls)) {
    const recall = recallOf(recalls, sha256)
    if (recall === null || known.has(key)) continue
    const { cluster, topic } = recalls.head
    const { partition, offset, state, recalledAt } = recall
    fresh.push({ key, shard: tarPath(shard), sha256, recall: { cluster, topic, partition, offset, state, recalledAt } })
  }
  if (fresh.length > 0) await writeRedactions(dataset.folder, [...former, ...fresh])

  const byShard = Map.groupBy([...former, ...fresh], ({ shard }) => shard)
  const shards: RedactReport['shards'] = []
  for (let shard = 0; shard < dataset.shards(); shard++) {
    const gone = byShard.get(tarPath(shard))
    if (gone !== undefined) {
      const items = await rewrite(dataset, shard, new Set(gone.map(({ key }) => key)))
      if (items > 0) shards.push({ shard, items })
    }
    onProgress?.(shard + 1, dataset.shards())
  }
  if (standing.isComplete) await writeDescription(dataset, standing)
  else await removeDescription(dataset)
  return { items: fresh.length, before: former.length, shards, isComplete: standing.isComplete }
}

/** @throws {SluiceError} CONFIG_INVALID: recalls that tell nothing of the items would leave in what was recalled */
async function checkRecalls(dataset: Dataset, { position }: Standing, { head }: KnownRecalls): Promise<void> {
  const total = createSums()
  for (let shard = 0; shard < dataset.shards(); shard++) total.addAll((await dataset.record(shard)).sums)
  const why = whyUnrelated(head, { ...position.snapshot, name: CLEAN }, total.sums().signedUntil)
  if (why !== null) throw new SluiceError('CONFIG_INVALID', `nothing was taken out of ${dataset.folder}: ${why}`)
}

/** Writes a shard and its manifest without some items. @returns how many of them were in it */
async function rewrite(dataset: Dataset, number: number, gone: ReadonlySet<string>): Promise<number> {
  const path = join(dataset.folder, tarPath(number))
  const kept: Array<{ start: number; end: number }> = []
  const rows: ManifestRow[] = []
  const sums = createSums()
  let dropped = 0
  const shard = await openShard(path).catch((error: unknown) => damaged(path, error))
  try {
    for await (const { key, json, receipt: text, start, end } of shard.items()) {
      if (gone.has(key)) {
        dropped += 1
        continue
      }
      const [item, receipt] = [parseItem(json, text), unprovenReceipt(text)]
      if (item === null || receipt === null) throw new ShardDamage('expected an item and its receipt', key)
      rows.push({ shard: tarPath(number), key, item, receipt })
      sums.add(item, receipt)
      const last = kept.at(-1)
      if (last?.end === start) last.end = end
      else kept.push({ start, end })
    }
  } catch (error) {
    damaged(path, error)
  } finally {
    await shard.close()
  }
  if (dropped === 0) return 0
  const { tar, manifest } = dataset.drafts(number)
  const hashed = hashing()
  await pipeline(rangesOf(path, kept), hashed.stream, createWriteStream(tar, { flush: true }))
  const written: WrittenShard = {
    tar: hashed.digest(),
    manifest: await writeManifest(manifest, rows),
    sums: sums.sums(),
  }
  await dataset.commit(number, written, (await dataset.record(number)).position)
  return dropped
}

/** The bytes of what stays, and the end of a tar. */
async function* rangesOf(path: string, ranges: ReadonlyArray<{ start: number; end: number }>): AsyncGenerator<Buffer> {
  for (const { start, end } of ranges) yield* createReadStream(path, { start, end: end - 1 })
  yield endOfTar()
}

function damaged(path: string, error: unknown): never {
  if (!(error instanceof ShardDamage)) throw error
  const at = error.key === null ? '' : `, ${error.key}`
  const sentence = `${path}${at} is damaged: ${error.message}; nothing can be taken out of it alone: remove the dataset, and export it anew`
  throw new SluiceError('CONFIG_INVALID', sentence, { cause: error })
}
