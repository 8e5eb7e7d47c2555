import { fileTypeFromBuffer } from 'file-type'

/**
 * What the bytes are, whatever anybody claims.
 * @returns IANA media type, null when nothing is recognised
 */
export async function sniffMediaType(bytes: Uint8Array): Promise<string | null> {
  const type = await fileTypeFromBuffer(bytes)
  return type?.mime ?? null
}
