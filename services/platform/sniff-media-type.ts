import { fileTypeFromBuffer } from 'file-type'

/** What may stand before the root of an XML document, one at a time: a byte order mark, space, declarations, comments. */
const beforeRoot = /\ufeff|\s+|<\?[^>]*>|<!--[\s\S]*?-->|<!DOCTYPE[^[>]*(?:\[[\s\S]*?\]\s*)?>/iy
/** As far as the root is looked for, in bytes. */
const longestProlog = 65_536

/**
 * What the bytes are, whatever anybody claims.
 * @returns IANA media type, null when nothing is recognised
 */
export async function sniffMediaType(bytes: Uint8Array): Promise<string | null> {
  const type = await fileTypeFromBuffer(bytes)
  if (type !== undefined && type.mime !== 'application/xml') return type.mime
  return isSvg(bytes) ? 'image/svg+xml' : (type?.mime ?? null)
}

function isSvg(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.subarray(0, longestProlog)).toString('utf8')
  let at = 0
  for (;;) {
    beforeRoot.lastIndex = at
    if (!beforeRoot.test(text)) break
    at = beforeRoot.lastIndex
  }
  return /^<svg[\s/>]/.test(text.slice(at, at + 5))
}
