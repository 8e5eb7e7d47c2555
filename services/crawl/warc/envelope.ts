import { createHash } from 'node:crypto'
import { acquisition, liveness, origin, rights, supply } from '../../domain/envelope.ts'
import type { Envelope, OriginGroup, RightsGroup, SupplyGroup } from '../../domain/records.ts'
import { type Capture, dateOf, payloadDigests } from './capture.ts'
import { type Field, fieldOf } from './fields.ts'
import type { Page } from './page.ts'
import { noSignals, type RightsSignals, signalsOfFields } from './rights-signals.ts'

/** What else is known when a capture becomes an item. */
export type Surroundings = {
  /** base name of the WARC */
  file: string
  /** of the whole import */
  supplied: Pick<SupplyGroup, 'supplier' | 'dataset' | 'version'>
  /** URLs that led to this one by redirects, the first one first */
  redirectedFrom: string[]
  /** the page of this WARC that named it, and the caption there */
  shown: Shown | null
}
export type Shown = { page: Page; caption: string | null }

const MOST_HEADERS = 200
const LONGEST_RESPONSE_HEADERS = 65_536
const LONGEST_REQUEST_HEADERS = 16_384
const LONGEST_METADATA = 16_384
const LONGEST_TRUNCATION = 100
/** The crawler's own secrets: nothing for an envelope. */
const secretHeaders = new Set(['cookie', 'authorization', 'proxy-authorization'])
/** Heritrix notes every link of a page so. */
const notCarried = new Set(['outlink'])

export function envelopeOf(capture: Capture, around: Surroundings): Envelope {
  const { fields, uri, responseFields, status } = capture
  const at = dateOf(fields)
  const [requested = uri, ...between] = around.redirectedFrom
  const headers = bounded(responseFields, LONGEST_RESPONSE_HEADERS)
  const digests = payloadDigests(fields)
  const mediaType = capture.contentType?.split(';')[0]?.trim().toLowerCase()
  return {
    item: { id: warcItemId(capture, around.file), mediaTypeClaimed: mediaType || null, collectedAt: at },
    payload: null,
    acquisition: acquisition({
      crawler: capture.run.crawler,
      run: capture.run.id,
      requestedUrl: requested,
      finalUrl: uri,
      redirects: between,
      status,
      responseHeaders: headers.carried,
      remoteAddress: fieldOf(fields, 'warc-ip-address'),
      fetchedAt: at,
      ...digests.fetched,
      warcFile: around.file,
      // A record inside a larger member has no offset at which it could be read.
      warcOffset: capture.place.within === 0 ? capture.place.offset : null,
      warcRecordId: capture.recordId,
      truncated: capture.truncated?.slice(0, LONGEST_TRUNCATION) ?? null,
    }),
    origin: originOf(capture, around.shown),
    supply: supply({ kind: 'web-crawl', ...around.supplied, shard: around.file }),
    rights: rightsOf(capture, around.shown),
    synthetic: null,
    liveness: liveness({ lastSeenAt: at, status: status === 200 ? 'online' : null }),
    amendments: [],
    extra: Object.fromEntries(
      [
        ...placeInMember(capture),
        ...asked(capture),
        ...noted(capture),
        ...(headers.leftOut === 0 ? [] : [['warc.responseHeadersLeftOut', headers.leftOut]]),
        ...(digests.unknown.length === 0 ? [] : [['warc.payloadDigest', digests.unknown]]),
        ...(at === null ? [['warc.date', fieldOf(fields, 'warc-date')]] : []),
      ].map(([name, value]) => [name, JSON.stringify(value)]),
    ),
  }
}

/** The item id of a record: made of its own id, or where it has none of the WARC's name and its place there. */
export function warcItemId({ recordId, place }: Pick<Capture, 'recordId' | 'place'>, file: string): string {
  const what = recordId === null ? ['place', file, place.offset, place.within] : ['record', recordId]
  return `warc-${createHash('sha256')
    .update(['warc', ...what].join('\n'))
    .digest('hex')
    .slice(0, 40)}`
}

function placeInMember({ place }: Capture): [string, unknown][] {
  return place.within === 0
    ? []
    : [
        ['warc.memberOffset', place.offset],
        ['warc.offsetInMember', place.within],
      ]
}

function asked({ companions }: Capture): [string, unknown][] {
  const request = companions.find(({ kind }) => kind === 'request')
  if (request === undefined) return []
  const shown = request.fields.map(({ name, value }) => ({
    name,
    value: secretHeaders.has(name) ? '[left out]' : value,
  }))
  return [
    ['warc.requestMethod', request.firstLine.split(' ')[0]?.slice(0, 20) ?? ''],
    ['warc.requestHeaders', bounded(shown, LONGEST_REQUEST_HEADERS).carried],
  ]
}

function noted({ companions }: Capture): [string, unknown][] {
  const told = companions.find(({ kind }) => kind === 'metadata')?.fields ?? []
  const { carried } = bounded(
    told.filter(({ name }) => !notCarried.has(name)),
    LONGEST_METADATA,
  )
  return [...Map.groupBy(carried, ({ name }) => name)].map(([name, same]) => {
    const values = same.map(({ value }) => value)
    return [`warc.metadata.${name}`, values.length === 1 ? values[0] : values]
  })
}

function bounded(fields: readonly Field[], longest: number): { carried: Field[]; leftOut: number } {
  let left = longest
  const carried = fields.slice(0, MOST_HEADERS).filter(({ name, value }) => {
    const length = name.length + value.length
    if (length > left) return false
    left -= length
    return true
  })
  return { carried, leftOut: fields.length - carried.length }
}

/** The page that was captured and named it, else the one that the request names, else the one that the crawler noted. */
function originOf(capture: Capture, shown: Shown | null): OriginGroup | null {
  if (shown !== null) return origin({ pageUrl: shown.page.url, pageTitle: shown.page.title, caption: shown.caption })
  const request = capture.companions.find(({ kind }) => kind === 'request')
  const metadata = capture.companions.find(({ kind }) => kind === 'metadata')?.fields ?? []
  // Heritrix: how it came here; L and E are links and what a page embeds, R a redirect.
  const via = /[LE]$/.test(fieldOf(metadata, 'hopsfromseed') ?? '') ? fieldOf(metadata, 'via') : null
  // Browsertrix: a picture of a page.
  const ofPage = /^urn:[a-z-]+:(https?:.*)$/i.exec(capture.uri ?? '')?.[1] ?? null
  const pageUrl = fieldOf(request?.fields ?? [], 'referer') ?? via ?? ofPage
  return pageUrl === null ? null : origin({ pageUrl })
}

function rightsOf({ responseFields, uri, ownSignals }: Capture, shown: Shown | null): RightsGroup | null {
  const sources: RightsSignals[] = [
    signalsOfFields(responseFields, uri),
    ownSignals ?? noSignals(),
    shown?.page.signals ?? noSignals(),
  ]
  const all = (of: (signals: RightsSignals) => string[]): string[] => [...new Set(sources.flatMap(of))]
  const [robots, tdm] = [all((signals) => signals.robots), all((signals) => signals.tdm)]
  const [licence = null] = all((signals) => signals.licences)
  if (robots.length === 0 && tdm.length === 0 && licence === null) return null
  return rights({ licence, robots: robots.join(', ') || null, tdmOptOut: tdm.join('; ') || null })
}
