import { type Field, fieldOf, fieldsOf, linesOf, parseFields, textOf } from './fields.ts'
import { parseHttpMessage } from './http-message.ts'
import type { WarcRecord } from './records.ts'
import type { RightsSignals } from './rights-signals.ts'
import type { Place } from './unpacked.ts'

/** What the fields of a record's own head tell. */
export type RecordFacts = {
  place: Place
  /** WARC-Record-ID, as it stands there */
  recordId: string | null
  /** ids of the records of the same capture */
  concurrentTo: string[]
  /** WARC-Target-URI */
  uri: string | null
  fields: Field[]
}

/** What was captured: a response with its body, or a resource. */
export type Capture = RecordFacts & {
  /** HTTP status; null for a resource */
  status: number | null
  /** fields of the HTTP head; none for a resource */
  responseFields: Field[]
  contentType: string | null
  /** why only a beginning is there; null where nothing tells that */
  truncated: string | null
  payload: Buffer
  /** what a page tells of its own rights; null for what is none */
  ownSignals: RightsSignals | null
  run: Run
  companions: Companion[]
}

/** The tool and the run that wrote a WARC, from its warcinfo record. */
export type Run = { crawler: string | null; id: string | null }

/** A record about a capture: what was asked for, or what else the crawler noted. */
export type Companion = {
  kind: 'request' | 'metadata'
  recordId: string | null
  concurrentTo: string[]
  uri: string | null
  /** first line of a request */
  firstLine: string
  fields: Field[]
}

const LONGEST_TOLD = 1000

export function factsOf({ place, fields }: WarcRecord): RecordFacts {
  return {
    place,
    recordId: fieldOf(fields, 'warc-record-id'),
    concurrentTo: fieldsOf(fields, 'warc-concurrent-to'),
    // wget 1.2 and before wrote it as the standard's grammar shows it.
    uri: fieldOf(fields, 'warc-target-uri')?.replace(/^<(.*)>$/, '$1') ?? null,
    fields,
  }
}

/** @returns null when there is nothing in it for a capture */
export function companionOf(record: WarcRecord): Companion | null {
  const { recordId, concurrentTo, uri, fields } = factsOf(record)
  if (record.block === null) return null
  if (record.type === 'metadata') {
    if (!isFieldsBlock(fields)) return null
    const told = parseFields(linesOf(textOf(record.block)))
    return { kind: 'metadata', recordId, concurrentTo, uri, firstLine: '', fields: told }
  }
  const request = parseHttpMessage(record.block)
  if (request === null) return null
  return { kind: 'request', recordId, concurrentTo, uri, firstLine: request.firstLine, fields: request.fields }
}

/** @param record a warcinfo record */
export function runOf({ fields, block }: WarcRecord): Run {
  const told = block === null ? [] : parseFields(linesOf(textOf(block)))
  const id = fieldOf(told, 'ispartof') ?? fieldOf(fields, 'warc-record-id')
  return { crawler: cut(fieldOf(told, 'software')), id: cut(id) }
}

function cut(text: string | null): string | null {
  return text?.slice(0, LONGEST_TOLD).toWellFormed() ?? null
}

/** Some tools put JSON or HTML into a metadata record. */
function isFieldsBlock(fields: readonly Field[]): boolean {
  return /^(application\/warc-fields|text\/anvl)\b/i.test(fieldOf(fields, 'content-type') ?? 'application/warc-fields')
}

/** WARC-Date; milliseconds since the epoch, null where it is no date. */
export function dateOf(fields: readonly Field[]): number | null {
  const text = fieldOf(fields, 'warc-date') ?? ''
  // WARC 1.1 has dates of any precision, from years to nanoseconds.
  const [, to = '', fraction = ''] =
    /^(\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)?)?)(?:\.(\d{1,9}))?Z?$/.exec(text) ?? []
  const time = Date.parse(to.includes('T') ? `${to}Z` : to)
  return Number.isNaN(time) ? null : time + Number(`0.${fraction || 0}`.slice(0, 5)) * 1000
}

/** The digests of WARC-Payload-Digest, by their fields; and whatever is there and is none of these. */
export function payloadDigests(fields: readonly Field[]): { fetched: Digests; unknown: string[] } {
  const fetched: Digests = { fetchedMd5: null, fetchedSha1: null, fetchedSha256: null }
  const unknown: string[] = []
  for (const text of fieldsOf(fields, 'warc-payload-digest')) {
    const [, name = '', value = ''] = /^([a-z0-9-]+):(\S+)$/i.exec(text) ?? []
    const kind = digestKinds.find((each) => each.names.includes(name.toLowerCase()))
    const hex = kind === undefined ? null : hexOf(value, kind.bytes)
    if (kind === undefined || hex === null) unknown.push(text)
    else fetched[kind.field] ??= hex
  }
  return { fetched, unknown }
}

type Digests = Record<'fetchedMd5' | 'fetchedSha1' | 'fetchedSha256', string | null>
type DigestKind = { names: readonly string[]; bytes: number; field: keyof Digests }

const digestKinds: readonly DigestKind[] = [
  { names: ['md5'], bytes: 16, field: 'fetchedMd5' },
  { names: ['sha1', 'sha-1'], bytes: 20, field: 'fetchedSha1' },
  { names: ['sha256', 'sha-256'], bytes: 32, field: 'fetchedSha256' },
]

/** @returns null when it is neither hex nor base32 of so many bytes */
function hexOf(value: string, bytes: number): string | null {
  if (new RegExp(`^[0-9a-f]{${2 * bytes}}$`, 'i').test(value)) return value.toLowerCase()
  const digits = value.replace(/=+$/, '').toUpperCase()
  if (!/^[A-Z2-7]+$/.test(digits) || digits.length !== Math.ceil((bytes * 8) / 5)) return null
  let bits = 0n
  for (const digit of digits) bits = (bits << 5n) | BigInt(BASE32.indexOf(digit))
  return (bits >> BigInt(digits.length * 5 - bytes * 8)).toString(16).padStart(2 * bytes, '0')
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
