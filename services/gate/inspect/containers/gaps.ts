/** A part of a file, in bytes from its beginning; `to` is not in it. */
export type Range = [from: number, to: number]

/** Parts of the bytes that no range covers. */
export function gaps(bytes: Buffer, used: readonly Range[]): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  for (const [from, to] of used.toSorted(([a], [b]) => a - b)) {
    if (from > at) found.push(bytes.subarray(at, from))
    at = Math.max(at, to)
  }
  found.push(bytes.subarray(at))
  return found
}
