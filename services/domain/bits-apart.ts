/** Differing bits of two hashes. */
export function bitsApart(a: Uint8Array, b: Uint8Array): number {
  let bits = 0
  for (const [i, byte] of a.entries()) {
    for (let rest = byte ^ (b[i] ?? 0); rest > 0; rest &= rest - 1) bits++
  }
  return bits
}
