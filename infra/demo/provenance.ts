/** Names, handles and addresses of the stand-in world; all hosts and addresses are reserved for documentation. */
const platforms = [
  { platform: 'Example Pictures', page: 'https://pictures.example.org', media: 'https://media.example.org' },
  { platform: 'Example Albums', page: 'https://albums.example.net', media: 'https://files.example.net' },
  { platform: 'Example Boards', page: 'https://boards.example.com', media: 'https://img.example.com' },
] as const
const handles = [
  'river_walker',
  'north.light',
  'old-camera',
  'tinplate77',
  'quiet_harbour',
  'm.lindqvist',
  'seven_hills',
]
const licences = ['CC-BY-4.0', 'CC0-1.0', null]

const FIRST_FETCH = Date.UTC(2026, 0, 5, 9)
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
/** Every so manieth item came from a supplier under contract instead of from the web. */
const LICENSED_EVERY = 6

/** The sidecar of the nth item of the corpus, in envelope groups: plausible, made up, and the same each time. */
export function provenance(n: number, path: string, mediaType: string, size: number): Record<string, unknown> {
  const collectedAt = FIRST_FETCH + n * MINUTE
  const item = { mediaTypeClaimed: mediaType, collectedAt }
  const liveness = { lastSeenAt: collectedAt + DAY, status: n % 11 === 0 ? 'gone' : 'online' }
  const rights = { licence: licences[n % licences.length] ?? null, robots: null, tdmOptOut: null }
  if (n % LICENSED_EVERY === 0) {
    return {
      item,
      supply: {
        kind: 'licensed',
        supplier: 'Example Picture Agency',
        contract: 'EPA-2026-014',
        dataset: 'agency-stills',
        version: '3',
        shard: `stills-${String(n % 4).padStart(4, '0')}.tar`,
        row: n,
      },
      rights: { ...rights, licence: 'LicenseRef-EPA-2026-014' },
    }
  }
  const { platform, page, media } = platforms[n % platforms.length] ?? platforms[0]
  const handle = handles[n % handles.length] ?? 'somebody'
  const requestedUrl = `${media}/u/${handle}/${path}`
  const finalUrl = n % 5 === 0 ? `${media}/cache/${n}/${path}` : requestedUrl
  return {
    item,
    acquisition: {
      crawler: 'stand-in-crawler/1.0',
      run: 'demo',
      requestedUrl,
      finalUrl,
      redirects: finalUrl === requestedUrl ? [] : [`${media}/moved/${n}`],
      status: 200,
      responseHeaders: [
        { name: 'content-type', value: mediaType },
        { name: 'content-length', value: String(size) },
      ],
      remoteAddress: `192.0.2.${1 + (n % 250)}`,
      fetchedAt: collectedAt,
    },
    origin: {
      pageUrl: `${page}/${handle}/post/${1000 + n}`,
      pageTitle: `A page of ${handle}`,
      caption: `Picture ${n} of ${handle}`,
      uploaderId: String(40_000 + (n % handles.length)),
      uploaderHandle: handle,
      uploaderProfileUrl: `${page}/${handle}`,
      uploadedAtClaimed: collectedAt - 30 * DAY,
      platform,
    },
    supply: { kind: 'web-crawl', supplier: 'demo crawl' },
    rights,
    liveness,
  }
}
