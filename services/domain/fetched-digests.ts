import type { Envelope, Signal } from './records.ts'

/** The transform of a digest that somebody else took of the bytes as they were fetched. */
export const AS_FETCHED = 'as-fetched'

const lengths = { md5: 32, sha1: 40, sha256: 64 } as const

/**
 * Digests that an envelope tells of the bytes as fetched, where a tool changed them afterwards: what was known is found though the picture was
 * shrunk or encoded anew. Claims of a crawler, no part of the fingerprint: they can hold an item, and never clear one.
 * @returns a signal for each that is well formed, in hex of either case
 */
export function fetchedDigests({ acquisition }: Envelope): Signal[] {
  const told = { md5: acquisition?.fetchedMd5, sha1: acquisition?.fetchedSha1, sha256: acquisition?.fetchedSha256 }
  return (['md5', 'sha1', 'sha256'] as const).flatMap((signal) => {
    const hex = told[signal] ?? ''
    if (hex.length !== lengths[signal] || !/^[0-9a-f]*$/i.test(hex)) return []
    return [{ signal, version: 1, value: Buffer.from(hex, 'hex'), quality: null, frame: 0, transform: AS_FETCHED }]
  })
}
