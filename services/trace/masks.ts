/** Fields of an envelope, by dotted path, that lead to content or to people. All of `extra` does: nobody knows what is in it. */
const sensitive = new Set([
  'acquisition.requestedUrl',
  'acquisition.finalUrl',
  'acquisition.redirects',
  'acquisition.responseHeaders.value',
  'acquisition.remoteAddress',
  'origin.pageUrl',
  'origin.pageTitle',
  'origin.caption',
  'origin.uploaderId',
  'origin.uploaderHandle',
  'origin.uploaderProfileUrl',
])

/** What stands in place of a text: its kind, where that is a web address, and its length. */
export function mask(text: string): string {
  const [scheme = ''] = /^https?:\/\//i.exec(text) ?? []
  return `${scheme.toLowerCase()}…(masked, ${text.length} characters)`
}

/**
 * A copy of what a message tells with its sensitive texts masked, and every other text that has a URL in it: a licence, a shard or a
 * supplier's name may be one too.
 * @param path dotted path of `value`; empty for a whole envelope
 */
export function masked(value: unknown, path = ''): unknown {
  if (typeof value === 'string') {
    return sensitive.has(path) || path.startsWith('extra.') || value.includes('://') ? mask(value) : value
  }
  if (Array.isArray(value)) return value.map((one) => masked(one, path))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, masked(inner, path === '' ? name : `${path}.${name}`)]),
  )
}
