import { hash } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DigestSet } from '../../domain/digest-set.ts'
import { isItemId } from '../../domain/envelope.ts'
import { evidenceFaults, SluiceError } from '../../domain/errors.ts'
import type { Keyring } from '../../domain/keyring.ts'
import { extensionOf } from '../../domain/media-types.ts'
import type { Receipt } from '../../domain/receipt.ts'
import type { CleanItem, Coordinates } from '../../domain/records.ts'
import { DOOR } from '../../domain/topics.ts'
import { codeOf } from '../../platform/error-code.ts'
import { nameOf } from '../item-name.ts'
import { createProve, type Prove } from '../prove.ts'
import { datasetFolders, manifestPath, shardName, tarPath } from './dataset.ts'
import { keyOf, parseItem } from './dataset-item.ts'
import { createSums, type Sums } from './dataset-sums.ts'
import { CROISSANT_FILE, croissantText, DATASET_FILE, datasetText, parseDataset, type ShardFiles } from './describe.ts'
import { type ManifestRow, manifestOf } from './manifest.ts'
import { type KnownRecalls, recallOf, whyUnrelated } from './recall-file.ts'
import { REDACTIONS_FILE, type Redacted, readRedactions } from './redactions.ts'
import { openPlain, openShard, ShardDamage, type ShardItem } from './shard-tar.ts'
import type { FileDigest } from './shard-writer.ts'

/** What a dataset may have wrong with it, beside what a reader of the topic would find. */
export const datasetProblems = {
  ...evidenceFaults,
  FOLDER_UNREADABLE: 'the folder of the dataset can not be read',
  FILE_UNEXPECTED: 'there is a file that is no part of a dataset, or is a link',
  SHARD_MISSING: 'there is a manifest without its shard, or a number is left out',
  SHARD_DAMAGED: 'a shard is not a tar as an export writes it: what is behind that place was not looked at',
  ITEM_DAMAGED: 'the JSON of an item is not as an export writes it, or stands under another name than its own',
  ITEM_RECALLED: 'the item was recalled',
  RECALLS_UNRELATED: 'the recalls are of another cluster or prefix, or older than the newest item',
  ITEM_REDACTED: 'the item is said to have been taken out',
  ITEM_REPEATED: 'the item is in the dataset twice',
  MANIFEST_MISMATCH: 'the manifest does not say exactly what is in its shard',
  DATASET_UNFINISHED: 'the description of the dataset is missing: the export or the redaction has not come to its end',
  DESCRIPTION_MISMATCH: 'the description of the dataset does not say exactly what is in it',
} as const
export type ProblemCode = keyof typeof datasetProblems

/**
 * Something that does not hold.
 * @property file path in the dataset
 * @property key of the item in its shard; null where it is of a file
 * @property id null where there is no well-formed one
 */
export type Problem = { code: ProblemCode; file: string; key: string | null; id: string | null; detail: string }

/**
 * What a dataset holds.
 * @property holding items that hold in every respect
 * @property problems how many there are
 * @property sums of the items whose receipt holds
 * @property files every file that was looked at, by its digest
 */
export type Verified = {
  items: number
  holding: number
  problems: number
  sums: Sums
  redacted: number
  files: Array<FileDigest & { name: string }>
}

export type VerifyOptions = {
  keyring: Keyring
  /** null: it is not asked whether anything was recalled */
  recalls: KnownRecalls | null
  /** Told of each problem as it is found. */
  onProblem: (problem: Problem) => void
  onProgress?: (items: number, shards: number) => void
}

/** Longest dataset.json. */
const LONGEST_TEXT = 67_108_864
/** Receipts that are checked at the same time. */
const AT_ONCE = 32
/** What may lie in a dataset beside its folders. An attestation is of it, not part of it. */
const knownFiles = [DATASET_FILE, CROISSANT_FILE, REDACTIONS_FILE, 'attestation.json']

/**
 * Proves a dataset by the public keys alone: every byte of it is read, none is believed. Needs neither Kafka nor the one who has exported it.
 * @throws {Error} only for what is no fault of the dataset
 */
export async function verifyDataset(folder: string, options: VerifyOptions): Promise<Verified> {
  const check = createCheck(folder, options)
  await check.names()
  await check.redactions()
  await check.shards()
  await check.descriptions()
  check.relation()
  return check.result()
}

function createCheck(folder: string, { keyring, recalls, onProblem, onProgress }: VerifyOptions) {
  const prove = createProve(keyring)
  const seen = new DigestSet()
  const redactedKeys = new DigestSet()
  const total = createSums()
  /** Doors that proven items came through, one coordinate of each. */
  const doors = new Map<string, Coordinates>()
  const shardFiles: ShardFiles[] = []
  const files: Verified['files'] = []
  let [items, holding, problems, shards] = [0, 0, 0, 0]
  let redacted: Redacted = { items: 0, sha256: null, size: 0 }

  function problem(code: ProblemCode, file: string, more: Partial<Problem> = {}): void {
    problems += 1
    onProblem({ key: null, id: null, detail: datasetProblems[code], ...more, code, file })
  }

  /** Nothing may lie there that is not looked at, and nothing may lie elsewhere. */
  async function names(): Promise<void> {
    const top = await namesIn('')
    if (top === null) return problem('FOLDER_UNREADABLE', '.')
    for (const { name, kind } of top) {
      const isFolder = datasetFolders.some((each) => each === name)
      if (isFolder ? kind !== 'folder' : kind !== 'file' || !knownFiles.includes(name)) problem('FILE_UNEXPECTED', name)
    }
    const is = (found: typeof top, name: string) =>
      (found ?? []).some((each) => each.name === name && each.kind === 'folder')
    const tars = is(top, 'shards') ? await numbersIn('shards', '.tar') : new Set<number>()
    const manifests = is(top, 'manifest') ? await numbersIn('manifest', '.parquet') : new Set<number>()
    // What an export keeps for itself; nobody who trains reads it.
    for (const { name, kind } of is(top, 'state') ? ((await namesIn('state')) ?? []) : []) {
      if (kind !== 'file' || !/^(\d{6,}\.json|standing\.json|lock)$/.test(name)) {
        problem('FILE_UNEXPECTED', join('state', name))
      }
    }
    shards = Math.max(-1, ...largest(tars), ...largest(manifests)) + 1
    if (tars.size === shards) return
    // Only what is without a gap is looked at: the largest number is anybody's word.
    let first = 0
    while (tars.has(first)) first += 1
    problem('SHARD_MISSING', tarPath(first))
    for (const number of tars) if (number > first) problem('FILE_UNEXPECTED', tarPath(number))
    shards = first
  }

  async function numbersIn(name: string, extension: string): Promise<Set<number>> {
    const numbers = new Set<number>()
    for (const found of (await namesIn(name)) ?? []) {
      const number = Number.parseInt(found.name, 10)
      if (found.kind === 'file' && found.name === `${shardName(number)}${extension}`) numbers.add(number)
      else problem('FILE_UNEXPECTED', join(name, found.name))
    }
    return numbers
  }

  async function namesIn(name: string): Promise<Array<{ name: string; kind: 'file' | 'folder' | 'other' }> | null> {
    try {
      // The folder of the dataset itself may well be a link.
      const isReal = name === '' || (await lstat(join(folder, name))).isDirectory()
      if (!isReal) return null
      const found = await readdir(join(folder, name), { withFileTypes: true })
      return found
        .map((entry) => ({
          name: entry.name,
          kind: entry.isFile() ? ('file' as const) : entry.isDirectory() ? ('folder' as const) : ('other' as const),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    } catch (error) {
      if (codeOf(error) === null) throw error
      return null
    }
  }

  async function redactions(): Promise<void> {
    const path = join(folder, REDACTIONS_FILE)
    if ((await lstat(path).catch(() => null)) === null) return
    try {
      await (await openPlain(path)).close()
      redacted = await readRedactions(path, ({ key }) => redactedKeys.add(Buffer.from(key, 'hex')))
      const { sha256, size } = redacted
      if (sha256 !== null) files.push({ name: REDACTIONS_FILE, sha256, size })
    } catch {
      problem('DESCRIPTION_MISMATCH', REDACTIONS_FILE, { detail: 'expected lines as a redaction writes them' })
    }
  }

  async function allShards(): Promise<void> {
    for (let shard = 0; shard < shards; shard++) await oneShard(shard)
  }

  async function oneShard(number: number): Promise<void> {
    const file = tarPath(number)
    const sums = createSums()
    const rows: ManifestRow[] = []
    let isWhole = true
    let damage: ShardDamage | null = null

    async function take(batch: readonly ShardItem[]): Promise<void> {
      const proofs = await Promise.all(batch.map((item) => proofOf(item, file, prove)))
      for (const proof of proofs) {
        items += 1
        const { found, key } = proof
        if (found !== null) {
          rows.push({ shard: file, key, ...found })
          sums.add(found.item, found.receipt)
          const { input } = found.receipt
          doors.set(`${input.cluster} ${input.topic}`, input)
        } else isWhole = false
        const wrong = proof.wrong ?? (found === null ? null : alsoWrong(key, found.item))
        if (wrong === null) holding += 1
        else {
          if (wrong.spoils) isWhole = false
          const id = proof.id !== null && isItemId(proof.id) ? proof.id : null
          problem(wrong.code, file, { key, id, detail: wrong.detail })
        }
      }
      onProgress?.(items, number)
    }

    let digest: FileDigest | null = null
    try {
      const shard = await openShard(join(folder, file))
      try {
        let batch: ShardItem[] = []
        try {
          for await (const item of shard.items()) {
            batch.push(item)
            if (batch.length === AT_ONCE) {
              await take(batch)
              batch = []
            }
          }
          digest = shard.digest()
        } finally {
          await take(batch)
        }
      } finally {
        await shard.close()
      }
    } catch (error) {
      if (!(error instanceof ShardDamage)) throw error
      damage = error
    }
    total.addAll(sums.sums())
    if (damage !== null || digest === null) {
      problem('SHARD_DAMAGED', file, { key: damage?.key ?? null, detail: `${damage?.message}` })
      return
    }
    files.push({ name: file, ...digest })
    // What an item does not prove can't stand on a manifest that is to be compared.
    if (isWhole) await manifestOfShard(number, digest, rows)
  }

  async function manifestOfShard(number: number, tar: FileDigest, rows: readonly ManifestRow[]): Promise<void> {
    const file = manifestPath(number)
    const manifest = digestIn(manifestOf(rows))
    if (!(await isThat(file, manifest))) return problem('MANIFEST_MISMATCH', file)
    files.push({ name: file, ...manifest })
    shardFiles.push({ tar, manifest })
  }

  /** What is wrong with an item that proves itself, among all the others. */
  function alsoWrong(key: string, item: CleanItem): Wrong | null {
    if (!seen.add(nameOf(item))) return wrongBy('ITEM_REPEATED')
    if (redactedKeys.has(Buffer.from(key, 'hex'))) return wrongBy('ITEM_REDACTED')
    const recall = recalls === null ? null : recallOf(recalls, item.payload.reference)
    return recall === null ? null : wrongBy('ITEM_RECALLED')
  }

  /** They follow from the shards: where those do not hold there is nothing to compare them with. */
  async function descriptions(): Promise<void> {
    if (problems > 0) return
    const text = await textOf(DATASET_FILE)
    const told = text === null ? null : parseDataset(text)
    if (text === null) return problem('DATASET_UNFINISHED', DATASET_FILE)
    const description = told === null ? null : { ...told, redacted, sums: total.sums(), files: shardFiles }
    if (description === null || datasetText(description) !== text) return problem('DESCRIPTION_MISMATCH', DATASET_FILE)
    const croissant = digestIn(Buffer.from(croissantText(description)))
    if (!(await isThat(CROISSANT_FILE, croissant))) return problem('DESCRIPTION_MISMATCH', CROISSANT_FILE)
    files.push({ name: DATASET_FILE, ...digestIn(Buffer.from(text)) }, { name: CROISSANT_FILE, ...croissant })
  }

  /** Behind the descriptions, as it is no word on them: recalls that tell nothing of the items would pass for none. */
  function relation(): void {
    if (recalls === null) return
    const { signedUntil } = total.sums()
    const reasons = doors.values().map((door) => whyUnrelated(recalls.head, { ...door, name: DOOR }, signedUntil))
    const detail = reasons.find((reason) => reason !== null)
    if (detail != null) problem('RECALLS_UNRELATED', '.', { detail })
  }

  async function isThat(file: string, expected: FileDigest): Promise<boolean> {
    const found = await digestOf(file, expected.size)
    return found !== null && found.sha256 === expected.sha256 && found.size === expected.size
  }

  /** @param most bytes; a longer file is not read @returns null where there is no such plain file */
  async function digestOf(file: string, most = LONGEST_TEXT): Promise<FileDigest | null> {
    const bytes = await bytesOf(file, most)
    return bytes === null ? null : digestIn(bytes)
  }

  async function textOf(file: string): Promise<string | null> {
    return (await bytesOf(file, LONGEST_TEXT))?.toString('utf8') ?? null
  }

  async function bytesOf(file: string, most: number): Promise<Buffer | null> {
    const opened = await openPlain(join(folder, file)).catch(() => null)
    if (opened === null) return null
    try {
      const { size } = await opened.stat()
      return size > most ? null : await opened.readFile()
    } catch {
      return null
    } finally {
      await opened.close()
    }
  }

  function result(): Verified {
    return { items, holding, problems, sums: total.sums(), redacted: redacted.items, files }
  }

  return { names, redactions, shards: allShards, descriptions, relation, result }
}

/** @property spoils the manifest can't be compared, as it would tell something else */
type Wrong = { code: ProblemCode; detail: string; spoils: boolean }
/** @property found null where its receipt does not hold for it */
type Proof = {
  key: string
  id: string | null
  found: { item: CleanItem; receipt: Receipt } | null
  wrong: Wrong | null
}

function wrongBy(code: ProblemCode, detail: string = datasetProblems[code], spoils = false): Wrong {
  return { code, detail, spoils }
}

/** What an item proves by itself. */
async function proofOf(found: ShardItem, file: string, prove: Prove): Promise<Proof> {
  const { key, json, receipt: text, payload, extension } = found
  const item = parseItem(json, text)
  const none = { key, id: item?.id ?? null, found: null }
  if (item === null) return { ...none, wrong: wrongBy('ITEM_DAMAGED') }
  const claim = { place: `${file}/${key}`, key: null, door: null, item }
  let receipt: Receipt
  try {
    receipt = await prove.claim(claim)
  } catch (error) {
    return { ...none, wrong: wrongOf(error) }
  }
  const proven = { ...none, found: { item, receipt } }
  const isNamed = key === keyOf(item.input) && extension === extensionOf(item.payload.mediaType)
  if (!isNamed) return { ...proven, wrong: wrongBy('ITEM_DAMAGED', datasetProblems.ITEM_DAMAGED, true) }
  try {
    prove.digest(claim, receipt, payload)
  } catch (error) {
    return { ...proven, wrong: wrongOf(error) }
  }
  return { ...proven, wrong: null }
}

function wrongOf(error: unknown): Wrong {
  if (error instanceof SluiceError && error.fault === 'evidence') {
    const code = Object.keys(evidenceFaults).find((each) => each === error.code) as keyof typeof evidenceFaults
    return wrongBy(code, error.message)
  }
  throw error
}

function digestIn(bytes: Uint8Array): FileDigest {
  return { sha256: hash('sha256', bytes), size: bytes.length }
}

function largest(numbers: ReadonlySet<number>): number[] {
  return numbers.size === 0 ? [] : [numbers.values().reduce((one, other) => Math.max(one, other))]
}
