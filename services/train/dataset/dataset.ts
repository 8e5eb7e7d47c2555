import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { codeOf } from '../../platform/error-code.ts'
import { holdLock } from '../../platform/hold-lock.ts'
import { writeDurably } from '../../platform/write-durably.ts'
import { positionSchema, type ReadPosition } from '../read-clean.ts'
import { sumsSchema } from './dataset-sums.ts'
import type { FileDigest, WrittenShard } from './shard-writer.ts'

/*
 * DIR/shards/000000.tar, DIR/manifest/000000.parquet   what training reads
 * DIR/state/000000.json                                that such a pair is part of the dataset, what is in it, and where the reader stood behind it
 * DIR/state/standing.json                              where the reader stands when no shard says so: before the first one, and at the end
 *
 * A pair is written beside its place, under names that end in `.part`. The record makes it part of the dataset; then it is moved to its place. Whoever
 * comes after a crash finishes that, or takes away what no record tells of: so no item is there twice, none is missing, and no half file stays.
 */

const digest = z.strictObject({ sha256: z.string(), size: z.int() })
const recordSchema = z.strictObject({
  version: z.literal(1),
  tar: digest,
  manifest: digest,
  sums: sumsSchema,
  position: positionSchema,
})
/** What is known of a shard that is part of the dataset. @property position of the reader, behind its last item */
export type ShardRecord = z.infer<typeof recordSchema>

export const aboutSchema = z.strictObject({
  name: z.string(),
  url: z.string().nullable(),
  creator: z.string().nullable(),
})
/** What a person says of a dataset. */
export type About = z.infer<typeof aboutSchema>

const standingSchema = z.strictObject({
  version: z.literal(1),
  about: aboutSchema,
  /** null: all that there are */
  partitions: z.array(z.int().nonnegative()).nullable(),
  /** how many there were when this was written */
  shards: z.int().nonnegative(),
  /** everything up to the ends of its snapshot is in the dataset */
  isComplete: z.boolean(),
  position: positionSchema,
})
export type Standing = z.infer<typeof standingSchema>

/** A dataset that this process alone changes. */
export type Dataset = {
  folder: string
  /** how many shards are part of it */
  shards(): number
  /** What an export has said of itself and how far it is; null in a folder that is new. */
  standing(): Standing | null
  saveStanding(standing: Standing): Promise<void>
  record(shard: number): Promise<ShardRecord>
  /** Where to write a shard and its manifest. */
  drafts(shard: number): { tar: string; manifest: string }
  /** Makes what was written there part of the dataset, or puts it in the place of what is there. */
  commit(shard: number, written: WrittenShard, position: ReadPosition): Promise<void>
  close(): void
}

export function shardName(shard: number): string {
  return String(shard).padStart(6, '0')
}

/** Paths in a dataset. */
export const tarPath = (shard: number): string => join('shards', `${shardName(shard)}.tar`)
export const manifestPath = (shard: number): string => join('manifest', `${shardName(shard)}.parquet`)
export const datasetFolders = ['shards', 'manifest', 'state'] as const

const DRAFT = '.part'

/**
 * Opens a dataset to be changed, and finishes what a crash has left.
 * @param make in a folder that is empty or not there, begin one
 * @throws {SluiceError} CONFIG_INVALID where somebody else is at it, or the folder is something else's; STORE_UNREACHABLE where it can't be written
 */
export async function openDataset(folder: string, make: boolean): Promise<Dataset> {
  return await telling(folder, async () => {
    if (!existsSync(join(folder, 'state'))) await beginIn(folder, make)
    const unlock = holdLock(join(folder, 'state', 'lock'))
    if (unlock === null) {
      throw new SluiceError('CONFIG_INVALID', `somebody else is writing to ${folder}: wait for that to end`)
    }
    try {
      return await openLocked(folder, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  })
}

/** Has what the file system says told as ours. */
export async function telling<Result>(folder: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    const code = codeOf(cause)
    if (cause instanceof SluiceError || code === null || !/^E[A-Z]+$/.test(code)) throw cause
    const sentence = `the dataset ${folder} can't be read or written (${code}): is its disk there, and has it room?`
    throw new SluiceError('STORE_UNREACHABLE', sentence, { cause })
  }
}

async function beginIn(folder: string, make: boolean): Promise<void> {
  const found = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  })
  const begun = ['shards', 'manifest', 'state.new']
  if (!make || found.some((name) => !begun.includes(name))) {
    const sentence = make
      ? `${folder} holds something else than an export: name a folder that is empty or not there yet`
      : `${folder} holds no dataset: expected a folder that \`sluice train export\` has written`
    throw new SluiceError('CONFIG_INVALID', sentence)
  }
  for (const name of begun) await mkdir(join(folder, name), { recursive: true })
  // Last, and at once: a folder without it is not ours to write to.
  await rename(join(folder, 'state.new'), join(folder, 'state'))
}

async function openLocked(folder: string, unlock: () => void): Promise<Dataset> {
  const at = (path: string) => join(folder, path)
  const recordPath = (shard: number) => at(join('state', `${shardName(shard)}.json`))
  const standingPath = at('state/standing.json')
  for (const name of datasetFolders) await mkdir(at(name), { recursive: true })
  const records = (await readdir(at('state'))).filter((name) => /^\d{6,}\.json$/.test(name))
  let count = records.length
  if (!records.every((name) => Number.parseInt(name, 10) < count)) {
    throw new SluiceError(
      'CONFIG_INVALID',
      `${at('state')} lacks records of shards: the dataset is damaged, export it anew`,
    )
  }
  let standing = existsSync(standingPath) ? await readJson(standingPath, standingSchema) : null

  const record = (shard: number): Promise<ShardRecord> => readJson(recordPath(shard), recordSchema)
  const drafts = (shard: number) => ({ tar: at(tarPath(shard)) + DRAFT, manifest: at(manifestPath(shard)) + DRAFT })

  /** Moves what was written to its place, the manifest first: who looks for shards finds what belongs to them. */
  async function place(shard: number): Promise<void> {
    await rename(drafts(shard).manifest, at(manifestPath(shard)))
    await rename(drafts(shard).tar, at(tarPath(shard)))
    await flushFolder(at('manifest'))
    await flushFolder(at('shards'))
  }

  /** Finishes what was cut off: a pair whose record says that it is part of the dataset is put in its place, all else that is half is gone. */
  async function settle(): Promise<void> {
    for (const [name, kind] of [
      ['manifest', 'manifest'],
      ['shards', 'tar'],
    ] as const) {
      for (const file of await readdir(at(name))) {
        const shard = Number.parseInt(file, 10)
        const path = at(join(name, file))
        const isDraft = file.endsWith(DRAFT)
        if (isDraft && shard < count && (await digestOf(path)).sha256 === (await record(shard))[kind].sha256) {
          await rename(path, path.slice(0, -DRAFT.length))
        } else if (isDraft || /\.\d+$/.test(file)) await rm(path)
        else if (shard >= count) await refuse(path)
      }
      await flushFolder(at(name))
    }
    for (const file of await readdir(at('state'))) if (/\.\d+$/.test(file)) await rm(at(join('state', file)))
  }

  await settle()
  return {
    folder,
    shards: () => count,
    standing: () => standing,
    async saveStanding(next) {
      await writeDurably(standingPath, `${JSON.stringify(next)}\n`)
      standing = next
    },
    record,
    drafts,
    async commit(shard, written, position) {
      const next: ShardRecord = { version: 1, ...written, position }
      await flushFolder(at('manifest'))
      await flushFolder(at('shards'))
      await writeDurably(recordPath(shard), `${JSON.stringify(next)}\n`)
      await flushFolder(at('state'))
      count = Math.max(count, shard + 1)
      await place(shard)
    },
    close: unlock,
  }
}

function refuse(path: string): never {
  const sentence = `${path} is of no shard that the export knows: take it away, or export into an empty folder`
  throw new SluiceError('CONFIG_INVALID', sentence)
}

async function readJson<Value>(path: string, schema: z.ZodType<Value>): Promise<Value> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    if (codeOf(cause) !== null) throw cause
    throw new SluiceError('CONFIG_INVALID', `${path} is damaged: export anew into an empty folder`, { cause })
  }
}

async function digestOf(path: string): Promise<FileDigest> {
  const hash = createHash('sha256')
  let size = 0
  await pipeline(createReadStream(path), async (parts: AsyncIterable<Buffer>) => {
    for await (const part of parts) {
      hash.update(part)
      size += part.length
    }
  })
  return { sha256: hash.digest('hex'), size }
}

/** Else a rename might be lost in a crash of the machine. */
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
