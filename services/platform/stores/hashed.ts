import type { createHash } from 'node:crypto'

/** Hands parts on and adds each to a hash. */
export async function* hashed(
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  for await (const part of parts) {
    hash.update(part)
    yield Buffer.from(part.buffer, part.byteOffset, part.byteLength)
  }
}
