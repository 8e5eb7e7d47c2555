import { createHash } from 'node:crypto'
import { SluiceError } from '../domain/errors.ts'
import { entryFromText, entryText } from '../domain/hash-list.ts'
import { type PackedEntries, PackedList } from '../domain/packed-entries.ts'
import type { HashListManifest } from '../domain/records.ts'
import { readLines } from './read-lines.ts'
import { hashed } from './stores/hashed.ts'
import type { Store } from './stores/store.ts'

/*
 * Every version of a list is kept in the lists store: the text that its digest is made of, a line an entry. So its name there is the digest that the
 * manifest has, it proves itself, and versions that are equal are kept once.
 */

/** Written at a time. */
const PART_BYTES = 4_194_304
const LONGEST_TEXT = 1_048_576

/**
 * Keeps the entries of a version, where they are not kept yet.
 * @param entries in the order of their ids
 * @param digest theirs
 * @throws {SluiceError} STORE_UNREACHABLE
 */
export async function keepVersion(store: Store, entries: PackedEntries, digest: string): Promise<void> {
  if (!(await store.has(digest))) await store.writeParts(digest, textsOf(entries))
}

function* textsOf(entries: PackedEntries): Generator<Buffer> {
  let texts: string[] = []
  let length = 0
  for (const entry of entries) {
    const text = `${entryText(entry)}\n`
    texts.push(text)
    length += text.length
    if (length < PART_BYTES) continue
    yield Buffer.from(texts.join(''))
    texts = []
    length = 0
  }
  yield Buffer.from(texts.join(''))
}

/**
 * The entries of a version, as they were when its manifest was written.
 * @throws {SluiceError} VERSION_MISSING when they are not kept, or not whole any more; STORE_UNREACHABLE
 */
export async function readKeptVersion(
  store: Store,
  { list, version, digest, entries: count }: Pick<HashListManifest, 'list' | 'version' | 'digest' | 'entries'>,
): Promise<PackedEntries> {
  const packed = new PackedList(list)
  const hash = createHash('sha256')
  try {
    for await (const { bytes } of readLines(hashed(store.readParts(digest), hash), LONGEST_TEXT)) {
      packed.put(entryFromText(list, bytes.toString('utf8')))
    }
  } catch (cause) {
    if (cause instanceof SluiceError && cause.code === 'PAYLOAD_MISSING') {
      throw unusable(list, version, 'is not in the lists store', cause)
    }
    if (cause instanceof RangeError) throw unusable(list, version, 'is damaged in the lists store', cause)
    throw cause
  }
  if (hash.digest('hex') !== digest || packed.size !== count) {
    throw unusable(list, version, 'is damaged in the lists store')
  }
  return packed.snapshot()
}

function unusable(list: string, version: string, what: string, cause?: unknown): SluiceError {
  const cure = `choose another one: \`sluice lists versions ${list}\` shows which are there`
  return new SluiceError('VERSION_MISSING', `version ${version} of list ${list} ${what}; ${cure}`, { cause })
}
