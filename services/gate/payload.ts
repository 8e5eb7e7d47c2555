import { hash } from 'node:crypto'
import { SluiceError } from '../domain/errors.ts'
import { AS_IT_STANDS } from '../domain/fingerprint.ts'
import { type ItemFault, itemFaults } from '../domain/reasons.ts'
import type { PayloadGroup, Signal } from '../domain/records.ts'
import type { Store } from '../platform/stores/store.ts'
import type { DoorItem } from './door.ts'

/** Exact digests, each one a signal and a field that crawlers may claim. */
const digests = ['md5', 'sha1', 'sha256'] as const

/** The bytes of an item with their digests, as the gate itself computed them; the texts are lower-case hex. */
export type Payload = { bytes: Buffer; signals: Digest[] } & Record<DigestName, string>
type Digest = Signal & { signal: DigestName }
type DigestName = (typeof digests)[number]

/**
 * Finds the bytes of an item and checks what the crawler claimed about them.
 * @param stores where a reference is looked up, one after the other: a message that amends or repeats an earlier one refers to bytes that only the
 *   gate's own stores may still have
 * @param limit bytes; a longer payload is not read
 * @returns the payload, null where there is none to inspect, and all faults found
 * @throws {SluiceError} STORE_UNREACHABLE
 */
export async function resolvePayload(
  item: DoorItem,
  stores: readonly Pick<Store, 'read'>[],
  limit: number,
): Promise<{ payload: Payload | null; faults: ItemFault[] }> {
  const claims = item.envelope.payload
  const reference = claims?.reference ?? null
  if (item.inline !== null && reference !== null) return { payload: null, faults: ['PAYLOAD_AMBIGUOUS'] }
  try {
    const bytes = item.inline ?? (reference === null ? null : await readFirst(stores, reference, limit))
    if (bytes === null) return { payload: null, faults: ['PAYLOAD_MISSING'] }
    if (bytes.length > limit) return { payload: null, faults: ['PAYLOAD_TOO_LARGE'] }
    const payload = digest(bytes)
    return { payload, faults: check(payload, claims, reference) }
  } catch (error) {
    if (error instanceof SluiceError && isItemFault(error.code)) return { payload: null, faults: [error.code] }
    throw error
  }
}

/** From the first store that has the object. One that can't be read is not passed over: it might be the one. */
async function readFirst(
  stores: readonly Pick<Store, 'read'>[],
  reference: string,
  limit: number,
): Promise<Buffer | null> {
  for (const store of stores) {
    const bytes = await store.read(reference, limit).catch(nullWhenMissing)
    if (bytes !== null) return bytes
  }
  return null
}

/** @throws {unknown} the error, where it says anything else */
export function nullWhenMissing(error: unknown): null {
  if (error instanceof SluiceError && error.code === 'PAYLOAD_MISSING') return null
  throw error
}

/** The exact digests of some bytes. */
export function digest(bytes: Buffer): Payload {
  const signals = digests.map(
    (signal): Digest => ({
      signal,
      version: 1,
      value: hash(signal, bytes, 'buffer'),
      quality: null,
      frame: 0,
      transform: AS_IT_STANDS,
    }),
  )
  const hex = (name: DigestName): string => signals.find(({ signal }) => signal === name)?.value.toString('hex') ?? ''
  return { bytes, signals, md5: hex('md5'), sha1: hex('sha1'), sha256: hex('sha256') }
}

function check(
  { bytes, sha256, signals }: Payload,
  claims: PayloadGroup | null,
  reference: string | null,
): ItemFault[] {
  const faults: ItemFault[] = []
  if (bytes.length === 0) faults.push('PAYLOAD_EMPTY')
  const wrong = signals.some(({ signal, value }) => {
    const claim = claims?.[signal] ?? null
    return claim !== null && claim.toLowerCase() !== value.toString('hex')
  })
  if (wrong || (reference !== null && reference !== sha256)) faults.push('DIGEST_MISMATCH')
  if (claims !== null && claims.size !== null && claims.size !== bytes.length) faults.push('SIZE_MISMATCH')
  return faults
}

function isItemFault(code: string): code is ItemFault {
  return Object.hasOwn(itemFaults, code)
}
