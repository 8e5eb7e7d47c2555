import { createPrivateKey, generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { emptyEnvelope, origin, rights, trainingView } from '../../services/domain/envelope.ts'
import { derOf, type Keyring, type KnownKey, keyId } from '../../services/domain/keyring.ts'
import type { CleanItem } from '../../services/domain/records.ts'
import { openDataset, tarPath } from '../../services/train/dataset/dataset.ts'
import { writeDescription } from '../../services/train/dataset/describe.ts'
import type { KnownRecalls } from '../../services/train/dataset/recall-file.ts'
import { createShardWriter, type NewItem } from '../../services/train/dataset/shard-writer.ts'
import { type Problem, type Verified, type VerifyOptions, verifyDataset } from '../../services/train/dataset/verify.ts'
import { beginningOf } from '../../services/train/read-clean.ts'
import { signFor } from './signed-items.ts'

export const SIGNED_AT = Date.UTC(2026, 10, 28)

export type TestKey = { id: string; key: KeyObject }

export function newTestKey(): TestKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { id: keyId(privateKey), key: privateKey }
}

/** The same one each time, for bytes that are to be the same. */
export function sameTestKey(): TestKey {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, 7)])
  const key = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' })
  return { id: keyId(key), key }
}

/** A keyring of one key. */
export function ringOf({ id, key }: TestKey, change: Partial<KnownKey> = {}): Keyring {
  const known = { id, publicKey: derOf(key).toString('base64'), from: 0, until: null, revoked: null, ...change }
  return { version: 1, keys: [known] }
}

/** An item as a gate would have cleared it. @param number makes it another one: id, bytes, coordinates */
export function newItem(
  number: number,
  key: TestKey,
  change: Partial<Omit<CleanItem, 'receipt'>> = {},
  signedAt = SIGNED_AT + number,
): NewItem {
  const bytes = Buffer.from(`harmless bytes, number ${number} `.repeat(1 + (number % 40)))
  const envelope = {
    ...emptyEnvelope(),
    origin: origin({ caption: `Boat no. ${number} \u2014 "ein Boot" \u{1f6a4}` }),
    rights: rights({ licence: number % 2 === 0 ? 'CC0-1.0' : null }),
  }
  const unsigned = {
    input: { cluster: 'c', topic: 'crawl.items', partition: number % 3, offset: number },
    id: `Boat.${number}`,
    payload: {
      reference: hash('sha256', bytes),
      size: bytes.length,
      mediaType: number % 4 === 1 ? 'image/png' : 'image/jpeg',
    },
    training: trainingView(envelope),
    ...change,
  }
  return { ...signFor(key, { unsigned, envelope, bytes }, { signedAt }), bytes }
}

/** Writes items into a dataset as an export would, without Kafka. @param isComplete false: as one that was cut off behind these */
export async function makeDataset(
  folder: string,
  items: readonly NewItem[],
  perShard: number,
  isComplete = true,
): Promise<void> {
  const dataset = await openDataset(folder, true)
  const ranges = [{ partition: 0, from: 0, to: items.length }]
  const position = {
    ...beginningOf({ cluster: 'c', topic: 'gate.clean', ranges }),
    next: [items.length],
    counts: { handed: items.length, bytes: 0, recalled: 0, repeated: 0 },
  }
  try {
    for (let from = 0; from < items.length; from += perShard) {
      const shard = dataset.shards()
      const writer = createShardWriter(dataset.drafts(shard), tarPath(shard))
      for (const item of items.slice(from, from + perShard)) await writer.add(item)
      await dataset.commit(shard, await writer.finish(), position)
    }
    const about = { name: 'boats', url: null, creator: null }
    const shards = dataset.shards()
    await dataset.saveStanding({ version: 1, about, partitions: null, shards, isComplete, position })
    if (isComplete) await writeDescription(dataset, { about, position })
  } finally {
    dataset.close()
  }
}

/** Recalls of these bytes, read a day after {@link newItem} has signed. */
export function recallsOf(...digests: string[]): KnownRecalls {
  const recalls = new Map(
    digests.map((sha256, offset) => [
      sha256,
      { sha256, state: 'recalled', recalledAt: SIGNED_AT, partition: 0, offset },
    ]),
  )
  const ends = [{ partition: 0, offset: digests.length }]
  const head = {
    version: 1,
    cluster: 'c',
    topic: 'gate.recalls',
    ends,
    readAt: SIGNED_AT + 86_400_000,
    recalls: recalls.size,
  } as const
  return { head, recalls }
}

/** Verifies a dataset. @returns what it holds, and each problem */
export async function verified(
  folder: string,
  options: Pick<VerifyOptions, 'keyring'> & Partial<VerifyOptions>,
): Promise<Verified & { found: Problem[] }> {
  const found: Problem[] = []
  const result = await verifyDataset(folder, { recalls: null, onProblem: (problem) => found.push(problem), ...options })
  return { ...result, found }
}

export type TarPart = { name: string; header: number; start: number; size: number }

/** Where the members of a tar are, bytes. */
export function tarParts(tar: Buffer): TarPart[] {
  const parts: TarPart[] = []
  for (let at = 0; tar[at] !== 0; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '')
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8)
    parts.push({ name, header: at, start: at + 512, size })
    at += 512 + Math.ceil(size / 512) * 512
  }
  return parts
}

/** Changes a file of a dataset. */
export async function change(folder: string, file: string, how: (bytes: Buffer) => Buffer): Promise<void> {
  const path = join(folder, file)
  await writeFile(path, how(await readFile(path)))
}
