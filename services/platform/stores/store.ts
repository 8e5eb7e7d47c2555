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
   * The bytes under `sha256`, piece by piece, for objects too large to hold in memory.
   * @param limit bytes
   * @throws {SluiceError} REFERENCE_INVALID, PAYLOAD_MISSING, PAYLOAD_TOO_LARGE; STORE_UNREACHABLE
   */
  stream(sha256: string, limit: number): AsyncIterable<Uint8Array>
  /**
   * Keeps what comes piece by piece under the sha256 that it turns out to have.
   * @returns that sha256
   * @throws {SluiceError} STORE_UNREACHABLE, or what the source throws
   */
  writeStream(source: AsyncIterable<Uint8Array>): Promise<string>
}

const reference = /^[0-9a-f]{64}$/

/** Whether a text can name an object at all. */
export function isReference(text: string): boolean {
  return reference.test(text)
}
