/** The four stores. Crawlers write intake; the gate writes clean and held; lists keeps snapshots of list versions. */
export const storeNames = ['intake', 'clean', 'held', 'lists'] as const
export type StoreName = (typeof storeNames)[number]

/** @property sha256 64 lower-case hex digits, the digest of exactly these bytes */
export type StoredObject = { sha256: string; bytes: Uint8Array }

/** Objects by the sha256 of their bytes. Writing the same bytes twice is the same as writing them once. */
export type Store = {
  /**
   * Keeps `bytes` under their sha256; when it resolves, they survive a crash of the machine.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE
   */
  write(sha256: string, bytes: Uint8Array): Promise<void>
  /**
   * Keeps several objects, which is far cheaper than one by one.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE; some of them may have been kept
   */
  writeAll(objects: readonly StoredObject[]): Promise<void>
  /**
   * The bytes under `sha256`; they are not hashed here.
   * @param limit bytes; a longer object is refused before it is read
   * @throws {SluiceError} REFERENCE_INVALID, PAYLOAD_MISSING, PAYLOAD_TOO_LARGE (the item's fault); STORE_UNREACHABLE
   */
  read(sha256: string, limit: number): Promise<Buffer>
  /**
   * Takes an object away; when it resolves, it stays away after a crash of the machine. One that is not there is no fault.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE
   */
  remove(sha256: string): Promise<void>
  /**
   * Whether there is an object of this name.
   * @throws {SluiceError} REFERENCE_INVALID, STORE_UNREACHABLE
   */
  has(sha256: string): Promise<boolean>
}

const reference = /^[0-9a-f]{64}$/

/** Whether a text can name an object at all. */
export function isReference(text: string): boolean {
  return reference.test(text)
}
