import { z } from 'zod'
import type {
  AcquisitionGroup,
  ItemGroup,
  LivenessGroup,
  OriginGroup,
  PayloadGroup,
  RightsGroup,
  SupplyGroup,
  SyntheticGroup,
} from '../../domain/records.ts'
import { SidecarError } from '../sidecar.ts'
import { textOf } from './row.ts'

/** How a value of a table becomes a field of the envelope. */
type Kind = 'text' | 'time' | 'count' | 'hex' | 'json'
type Kinds<Group> = Record<keyof Group, Kind>

/** Every field of the envelope that a table may tell; one that is missing here does not compile. */
const kinds = {
  item: { mediaTypeClaimed: 'text', collectedAt: 'time' } satisfies Kinds<Omit<ItemGroup, 'id'>>,
  payload: { size: 'count', md5: 'hex', sha1: 'hex', sha256: 'hex' } satisfies Kinds<Omit<PayloadGroup, 'reference'>>,
  acquisition: {
    crawler: 'text',
    run: 'text',
    requestedUrl: 'text',
    finalUrl: 'text',
    redirects: 'json',
    status: 'count',
    responseHeaders: 'json',
    remoteAddress: 'text',
    fetchedAt: 'time',
    fetchedMd5: 'hex',
    fetchedSha1: 'hex',
    fetchedSha256: 'hex',
    warcFile: 'text',
    warcOffset: 'count',
    warcRecordId: 'text',
    truncated: 'text',
  } satisfies Kinds<AcquisitionGroup>,
  origin: {
    pageUrl: 'text',
    pageTitle: 'text',
    caption: 'text',
    uploaderId: 'text',
    uploaderHandle: 'text',
    uploaderProfileUrl: 'text',
    uploadedAtClaimed: 'time',
    platform: 'text',
  } satisfies Kinds<OriginGroup>,
  supply: {
    kind: 'text',
    supplier: 'text',
    contract: 'text',
    dataset: 'text',
    version: 'text',
    shard: 'text',
    row: 'count',
  } satisfies Kinds<SupplyGroup>,
  rights: { licence: 'text', robots: 'text', tdmOptOut: 'text' } satisfies Kinds<RightsGroup>,
  synthetic: { generator: 'text', digitalSourceType: 'text' } satisfies Kinds<SyntheticGroup>,
  liveness: { lastSeenAt: 'time', status: 'text' } satisfies Kinds<LivenessGroup>,
} as const

/** Dotted path of every field that a table may tell, e.g. `origin.pageUrl`, and of what kind it is. */
export const envelopeFields: ReadonlyMap<string, Kind> = new Map(
  Object.entries(kinds).flatMap(([group, fields]) =>
    Object.entries(fields).map(([field, kind]) => [`${group}.${field}`, kind]),
  ),
)

/**
 * A value of a table as the value of a field. Texts are taken as they are.
 * @param field one of `envelopeFields`
 * @throws {SidecarError} when it is of another type than the field; the value itself is not told
 */
export function fieldValue(field: string, value: unknown): unknown {
  const kind = envelopeFields.get(field)
  if (kind === undefined) throw new RangeError(`no field of the envelope: ${field}`)
  const converted = convert[kind](value)
  if (converted === undefined) throw new SidecarError(field, expectations[kind])
  return converted
}

const expectations = {
  text: 'expected text',
  time: 'expected a time: ISO 8601 with its offset (2026-01-31T12:00:00Z), a day, or milliseconds or microseconds since the epoch, UTC',
  count: 'expected a whole number',
  hex: 'expected hex digits',
  json: 'expected a list, or a list as JSON text',
}

/** @returns undefined when it is of another type */
const convert: Record<Kind, (value: unknown) => unknown> = {
  text(value) {
    if (typeof value === 'string') return value.isWellFormed() ? value : undefined
    if (value instanceof Uint8Array) return textOf(value) ?? undefined
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString()
    return ['number', 'bigint', 'boolean'].includes(typeof value) ? String(value) : undefined
  },
  time(value) {
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.getTime()
    const text = typeof value === 'string' ? value : null
    if (text !== null && isoTime.safeParse(text).success) return Date.parse(text)
    return sinceEpoch(wholeNumber(value))
  },
  count: wholeNumber,
  hex: (value) => (typeof value === 'string' ? value.toLowerCase() : undefined),
  json(value) {
    if (typeof value !== 'string') return Array.isArray(value) ? value : undefined
    try {
      const list: unknown = JSON.parse(value)
      return Array.isArray(list) ? list : undefined
    } catch {
      return undefined
    }
  },
}

const isoTime = z.union([z.iso.datetime({ offset: true }), z.iso.date()])

/** Also a float or a text that is one, as tables with gaps have it: 200.0. */
function wholeNumber(value: unknown): number | undefined {
  if (typeof value === 'string' && !/^-?\d+(\.0+)?$/.test(value)) return undefined
  const number = ['string', 'number', 'bigint'].includes(typeof value) ? Number(value) : Number.NaN
  return Number.isSafeInteger(number) ? number : undefined
}

/** Milliseconds from 1973 to 5138, and microseconds from the same: seconds would be neither, and are refused. */
const [FIRST, LAST] = [1e11, 1e14]

function sinceEpoch(ticks: number | undefined): number | undefined {
  if (ticks === undefined || ticks < FIRST) return undefined
  if (ticks < LAST) return ticks
  return ticks < LAST * 1000 ? Math.floor(ticks / 1000) : undefined
}
