/**
 * Texts of an envelope, by dotted path or whole group, that lead neither to content nor to people. Every other one is masked: also a field that is
 * new, and all of `extra`, for nobody knows what is in it.
 */
const shown = new Set([
  'item',
  'payload',
  'acquisition.crawler',
  'acquisition.run',
  'acquisition.responseHeaders.name',
  'acquisition.fetchedMd5',
  'acquisition.fetchedSha1',
  'acquisition.fetchedSha256',
  'acquisition.warcFile',
  'acquisition.warcRecordId',
  'acquisition.truncated',
  'origin.platform',
  'supply',
  'rights',
  'synthetic',
  'liveness',
  'amendments',
])

/** Names in `extra` come from strangers too. */
const isPlainName = /^[A-Za-z0-9_.-]{1,80}$/

/** What stands in place of a text: its kind, where that is a web address, and its length. */
export function mask(text: string): string {
  const [scheme = ''] = /^https?:\/\//i.exec(text) ?? []
  return `${scheme.toLowerCase()}…(masked, ${text.length} characters)`
}

/**
 * A copy of what a message tells with its texts masked, but for those that may be shown; and of these too the ones that have a URL in them: a licence, a
 * shard or a supplier's name may be one.
 * @param path dotted path of `value`; empty for a whole envelope
 */
export function masked(value: unknown, path = ''): unknown {
  if (typeof value === 'string') {
    const isShown = shown.has(path) || shown.has(path.split('.')[0] ?? '')
    return isShown && !value.includes('://') ? value : mask(value)
  }
  if (Array.isArray(value)) return value.map((one) => masked(one, path))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      isPlainName.test(name) ? name : mask(name),
      masked(inner, path === '' ? name : `${path}.${name}`),
    ]),
  )
}
