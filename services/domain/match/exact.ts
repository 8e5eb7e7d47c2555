import type { KnownValue, Matcher, Neighbour } from './matcher.ts'

/** Matches digests that are equal. */
export function exactMatcher(values: readonly KnownValue[]): Matcher {
  const refsByDigest = new Map<string, number[]>()
  for (const { ref, value } of values) {
    const digest = hex(value)
    const refs = refsByDigest.get(digest)
    if (refs) refs.push(ref)
    else refsByDigest.set(digest, [ref])
  }
  const equal = (value: Uint8Array): Neighbour[] =>
    (refsByDigest.get(hex(value)) ?? []).map((ref) => ({ ref, distance: 0 }))
  return { search: equal, match: ({ value }) => equal(value).map((found) => ({ ...found, class: 'exact' })) }
}

function hex(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
}
