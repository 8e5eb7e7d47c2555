import { SluiceError } from '../../domain/errors.ts'

/**
 * An object that is there already, and older than this, is made young again by whoever wants to write it: so what has been old for long is what
 * nobody is about to refer to.
 */
export const YOUNG_MS = 24 * 3_600_000

/** The four stores. Crawlers write intake; the gate writes clean and held; lists keeps snapshots of list versions. */
export const storeNames = ['intake', 'clean', 'held', 'lists'] as const
export type StoreName = (typeof storeNames)[number]

/** @property sha256 64 lower-case hex digits, the digest of exactly these bytes */
export type StoredObject = { sha256: string; bytes: Uint8Array }

/** An object as a store lists it. @property writtenAt by the store's clock; milliseconds since the epoch */
export type ListedObject = { sha256: string; bytes: number; writtenAt: number }

/** What was begun and is no object: somebody is at it, or has died of it. */
export type Draft = {
  /** by the store's clock; milliseconds since the epoch */
  begunAt: number
  /** null where the store does not tell */
  bytes: number | null
  /** Takes it away; one that is gone is no fault. @throws {SluiceError} STORE_UNREACHABLE */
  abandon(): Promise<void>
}

/** Objects by the sha256 of their bytes. Writing the same bytes twice is the same as writing them once. */
export type Store = {
  name: StoreName
  /** Makes the store where there is none yet. @throws {SluiceError} STORE_UNREACHABLE */
  make(): Promise<void>
  /** Sees that the store is there. @throws {SluiceError} STORE_UNREACHABLE */
  find(): Promise<void>
  /**
   * Keeps `bytes` under their sha256; when it resolves, they survive a crash of the machine.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE
   */
  write(sha256: string, bytes: Uint8Array): Promise<void>
  /**
   * Keeps several objects, which is far cheaper than one by one.
   * @param areGiven their bytes are the store's from now on, and gone for everybody else, also where they could not be kept
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE; some of them may have been kept
   */
  writeAll(objects: readonly StoredObject[], areGiven?: boolean): Promise<void>
  /**
   * Keeps an object that is too large to be in memory at once, under the sha256 that its maker has found; as {@link Store.write}.
   * @throws {SluiceError} DIGEST_MISMATCH when the parts have another: nothing is kept then
   * @throws {unknown} also what making the parts throws
   */
  writeParts(sha256: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>
  /**
   * Copies an object of any size from another store, of any kind: under the sha256 that its bytes deserve, whatever it is called there.
   * @param limit bytes
   * @returns that sha256
   * @throws {SluiceError} REFERENCE_INVALID, PAYLOAD_MISSING, PAYLOAD_TOO_LARGE (the item's fault); STORE_UNREACHABLE
   */
  copy(from: Store, sha256: string, limit: number): Promise<string>
  /**
   * The bytes under `sha256`; they are not hashed here.
   * @param limit bytes; a longer object is refused before it is read
   * @throws {SluiceError} REFERENCE_INVALID, PAYLOAD_MISSING, PAYLOAD_TOO_LARGE (the item's fault); STORE_UNREACHABLE
   */
  read(sha256: string, limit: number): Promise<Buffer>
  /**
   * The bytes of an object of any size, in parts; they are not hashed here.
   * @param limit bytes, if any; a longer object is refused before it is read
   * @throws {SluiceError} as {@link Store.read}
   */
  readParts(sha256: string, limit?: number): AsyncGenerator<Uint8Array>
  /**
   * Takes an object away; when it resolves, it stays away after a crash of the machine. One that is not there is no fault.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE
   */
  remove(sha256: string): Promise<void>
  /**
   * Takes an object away if it was written, or wanted once more, before a time; as {@link Store.remove}.
   * @param before milliseconds since the epoch, by the store's clock
   * @returns whether it was there and old
   */
  removeOld(sha256: string, before: number): Promise<boolean>
  /**
   * Whether there is an object of this name.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE
   */
  has(sha256: string): Promise<boolean>
  /** All objects, some at a time, in the order of their names. @throws {SluiceError} STORE_UNREACHABLE */
  list(): AsyncGenerator<ListedObject[]>
  /** All drafts, some at a time. @throws {SluiceError} STORE_UNREACHABLE */
  drafts(): AsyncGenerator<Draft[]>
}

const reference = /^[0-9a-f]{64}$/

/** Whether a text can name an object at all. */
export function isReference(text: string): boolean {
  return reference.test(text)
}

/** @throws {SluiceError} REFERENCE_INVALID */
export function checkReference(text: string): void {
  if (!isReference(text)) throw new SluiceError('REFERENCE_INVALID')
}
