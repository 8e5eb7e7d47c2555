import { createHash, hash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pack } from 'tar-stream'
import { extensionOf } from '../../domain/media-types.ts'
import type { Receipt } from '../../domain/receipt.ts'
import type { CleanItem } from '../../domain/records.ts'
import { writeDurably } from '../../platform/write-durably.ts'
import { itemText, keyOf } from './dataset-item.ts'
import { createSums, type Sums } from './dataset-sums.ts'
import { type ManifestRow, manifestOf } from './manifest.ts'
import { memberHeader } from './shard-tar.ts'

/** A file of a dataset, by what is in it. */
export type FileDigest = { sha256: string; size: number }
/** What was written: the files, and what is told of the items. */
export type WrittenShard = { tar: FileDigest; manifest: FileDigest; sums: Sums }

/** An item for a shard, proven. @property item with the text of its receipt */
export type NewItem = { item: CleanItem; receipt: Receipt; bytes: Buffer }

export type ShardWriter = {
  /** Resolves when the next one may come. @throws {Error} of the file system's */
  add(item: NewItem): Promise<void>
  items(): number
  /** of payloads so far */
  bytes(): number
  /** Ends the tar and writes the manifest; when it resolves, both survive a crash. @throws {Error} of the file system's */
  finish(): Promise<WrittenShard>
  abandon(): Promise<void>
}

/**
 * Writes a shard and its manifest, each under the name that is given. The same items give the same bytes.
 * @param shard as the manifest calls it
 */
export function createShardWriter(files: { tar: string; manifest: string }, shard: string): ShardWriter {
  const members = pack()
  const sums = createSums()
  const rows: ManifestRow[] = []
  let bytes = 0
  const hashed = hashing()
  const written = pipeline(members, hashed.stream, createWriteStream(files.tar, { flush: true }))
  written.catch(() => undefined)

  async function member(name: string, content: string | Buffer): Promise<void> {
    const buffer = typeof content === 'string' ? Buffer.from(content) : content
    const taken = new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve())
      // What it is told by its callback it says once more.
      members.entry({ ...memberHeader, name, size: buffer.length }, buffer, done).on('error', reject)
    })
    // What fails in writing is told by the file system, not by the tar that waits for it.
    await taken.catch(async (error: unknown) => {
      await written
      throw error
    })
  }

  return {
    async add({ item, receipt, bytes: payload }) {
      const key = keyOf(item.input)
      await member(`${key}.json`, itemText(item))
      await member(`${key}.receipt.json`, item.receipt ?? '')
      await member(`${key}.${extensionOf(item.payload.mediaType)}`, payload)
      rows.push({ shard, key, item, receipt })
      sums.add(item, receipt)
      bytes += payload.length
    },
    items: () => rows.length,
    bytes: () => bytes,
    async finish() {
      members.finalize()
      await written
      return { tar: hashed.digest(), manifest: await writeManifest(files.manifest, rows), sums: sums.sums() }
    },
    async abandon() {
      members.destroy()
      await written.catch(() => undefined)
    },
  }
}

/** Writes the manifest of a shard, durably. */
export async function writeManifest(file: string, rows: readonly ManifestRow[]): Promise<FileDigest> {
  const manifest = manifestOf(rows)
  await writeDurably(file, manifest)
  return { sha256: hash('sha256', manifest), size: manifest.length }
}

/** Hashes what passes. */
export function hashing(): { stream: Transform; digest(): FileDigest } {
  const digest = createHash('sha256')
  let size = 0
  const stream = new Transform({
    transform(part: Buffer, _, done) {
      digest.update(part)
      size += part.length
      done(null, part)
    },
  })
  return { stream, digest: () => ({ sha256: digest.digest('hex'), size }) }
}
