import { parseXml, XmlElement } from '@rgrove/parse-xml'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import type { KnownHash } from '../../domain/records.ts'
import { readCredentials } from './credentials.ts'
import {
  type Change,
  commonSettings,
  type Exchange,
  entryId,
  exchangeUrl,
  hashOf,
  opinionsOf,
  type Page,
  type Tools,
} from './exchange.ts'

/** Nothing was shared before; from then on it is asked for in ranges of this length, as the exchange recommends. */
const FIRST_RANGE_ENDS = Date.UTC(2014, 0, 1)
const RANGE_MS = 30 * 86_400_000
/** What was stamped last may not be there to be seen yet. */
const SETTLED_MS = 10_000
/** Each range begins before the end of the one before: an entry that is seen twice does no harm, one that is never seen does. */
const OVERLAP_MS = 900_000
/** A page may expire once or twice. */
const MOST_RESTARTS = 3
/** Of one entry; there are about ten kinds. */
const MOST_FINGERPRINTS = 100
const LONGEST_CLASSIFICATION = 100

const time = z.number().int()
const positionSchema = z.object({
  /** everything up to here has been read; null: nothing */
  until: time.nullable(),
  /** what is being read, and the address of its next page; null before its first */
  range: z.object({ from: time, to: time, next: z.string().nullable() }).nullable(),
})
type Position = z.infer<typeof positionSchema>

/**
 * The hash-sharing API of the National Center for Missing & Exploited Children, version 2: XML, paged, Basic authentication (a file `USER:PASSWORD`).
 * An entry is the word of the member that shared it; feedback adds those of others. A deleted entry comes without its hashes.
 */
export const ncmec = z
  .strictObject({
    kind: z.literal('ncmec'),
    url: exchangeUrl,
    credentials: z.string().min(1),
    ...commonSettings,
  })
  .transform(({ url, credentials, ...settings }): Exchange => {
    return {
      ...settings,
      source: `ncmec ${url.href}`,
      pages: (position, tools) => pages({ url, credentials }, position, tools),
    }
  })

type Place = { url: URL; credentials: string }

async function* pages(place: Place, saved: unknown, { ask, now }: Tools): AsyncGenerator<Page, void> {
  const { url, credentials } = place
  const authorization = `Basic ${Buffer.from((await readCredentials(credentials)).join(':')).toString('base64')}`
  const request = (target: URL) => ({ url: target, headers: { authorization, accept: 'application/xml' }, credentials })
  const status = await ask(request(at(url, '/v2/status')), () => null)
  // Entries are stamped by the exchange's clock. What is beyond it, or beyond ours, is left for the next time.
  const end = wholeSeconds(Math.min(status?.date ?? now(), now()) - SETTLED_MS)
  let { until, range }: Position = positionSchema.safeParse(saved).data ?? { until: null, range: null }
  // Then one of the clocks was wrong, and nobody knows what has been missed.
  if (until !== null && until > end + OVERLAP_MS) [until, range] = [null, null]
  let restarts = 0
  let asked = new Set<string>()

  do {
    range ??= rangeAfter(until, end)
    const target = range.next === null ? rangeUrl(url, range) : nextUrl(url, range.next)
    const answer = target && (await ask(request(target), readPage))
    if (answer === null) {
      if (range.next === null || restarts === MOST_RESTARTS) {
        throw unreadable(url, 'there are no entries at its URL: is that right?')
      }
      range = { ...range, next: null }
      asked = new Set()
      restarts += 1
      continue
    }
    const { next, ...found } = answer.value
    if (next !== null && (asked.has(next) || nextUrl(url, next) === null)) {
      range = { ...range, next: null }
      yield { changes: [], read: 0, corrupt: 0, position: { until, range } satisfies Position, endsRange: false }
      throw unreadable(url, 'its pages lead in a circle, or elsewhere')
    }
    if (next === null) {
      until = range.to
      range = null
      asked = new Set()
    } else {
      range = { ...range, next }
      asked.add(next)
    }
    yield { ...found, position: { until, range } satisfies Position, endsRange: next === null }
  } while (range !== null || until === null || until < end)
}

function rangeAfter(until: number | null, end: number): NonNullable<Position['range']> {
  if (until === null) return { from: 0, to: Math.min(FIRST_RANGE_ENDS, end), next: null }
  const from = Math.min(until, end)
  return { from: from - OVERLAP_MS, to: Math.min(from + RANGE_MS, end), next: null }
}

function rangeUrl(base: URL, { from, to }: { from: number; to: number }): URL {
  const url = at(base, '/v2/entries')
  url.search = new URLSearchParams({ from: timeOf(from), to: timeOf(to) }).toString()
  return url
}

/** The address of a page, told as one below the exchange's; null where it is elsewhere: secrets do not go there. */
function nextUrl(base: URL, next: string): URL | null {
  const url = URL.parse(next.startsWith('/') ? `${base.href.replace(/\/$/, '')}${next}` : next)
  return url?.origin === base.origin && url.pathname.startsWith(base.pathname) ? url : null
}

function at(base: URL, path: string): URL {
  return new URL(`${base.href.replace(/\/$/, '')}${path}`)
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

function unreadable({ host }: URL, what: string): SluiceError {
  return new SluiceError('EXCHANGE_UNREADABLE', `${host}: ${what}`)
}

/** @throws {Error} where it is not a page, whole */
function readPage(body: Buffer): Pick<Page, 'changes' | 'read' | 'corrupt'> & { next: string | null } {
  const { root } = parseXml(new TextDecoder('utf-8', { fatal: true }).decode(body))
  if (root === null || localName(root) !== 'queryResult') throw new Error('expected the element queryResult')
  const changes: Change[] = []
  let [read, corrupt] = [0, 0]
  let next: string | null = null
  for (const part of elements(root)) {
    if (localName(part) === 'paging') next = child(part, 'next')?.text.trim() || null
    else {
      for (const element of elements(part)) {
        const { change, isCorrupt } = readEntry(element)
        read += 1
        if (change !== null) changes.push(change)
        if (isCorrupt) corrupt += 1
      }
    }
  }
  return { changes, read, corrupt, next }
}

/** `image`, `video`, or whatever else there will be; and the same as `deletedImage`. */
function readEntry(element: XmlElement): { change: Change | null; isCorrupt: boolean } {
  const [, deleted, kind = ''] = /^(deleted)?(.+)$/.exec(localName(element)) ?? []
  const member = child(element, 'member')?.attributes.id ?? ''
  const name = child(element, 'id')?.text.trim() ?? ''
  if (member === '' || name === '') return { change: null, isCorrupt: true }
  const id = entryId(kind.toLowerCase(), member, name)
  const changed = Date.parse(child(element, 'timestamp')?.text.trim() ?? '')
  const stamp = Number.isNaN(changed) ? null : changed
  if (deleted !== undefined) return { change: { id, at: stamp, entry: null }, isCorrupt: false }
  const told = elements(child(element, 'fingerprints')).map(fingerprint)
  const signals = told.filter((hash) => hash !== null)
  if (signals.length === 0 || told.length > MOST_FINGERPRINTS) return { change: null, isCorrupt: true }
  const text = child(element, 'classification')?.text.trim() ?? ''
  const classification = text.slice(0, LONGEST_CLASSIFICATION).toWellFormed() || null
  const opinions = opinionsOf([[member, 'positive'], ...feedback(element)])
  const entry = { id, signals, classification, opinions, withdrawn: false }
  return { change: { id, at: stamp, entry }, isCorrupt: signals.length < told.length }
}

const signalNames: Readonly<Record<string, string>> = { pdna: 'photodna' }

/** One that is too large for XML is only referred to: it is kept without a value, to be counted. */
function fingerprint(element: XmlElement): KnownHash | null {
  const name = localName(element).toLowerCase().replaceAll('_', '-')
  const text = element.text.trim()
  if (text === '' && element.attributes.href === undefined) return null
  return hashOf(Object.hasOwn(signalNames, name) ? (signalNames[name] ?? name) : name, text)
}

function feedback(element: XmlElement): Array<[member: string, opinion: string]> {
  return elements(child(element, 'feedback')).flatMap((word) => {
    const opinion = localName(word) === 'negativeFeedback' ? 'negative' : 'positive'
    return membersIn(word).map((member): [string, string] => [member, opinion])
  })
}

function membersIn(element: XmlElement): string[] {
  return elements(element).flatMap((inner) => {
    return localName(inner) === 'member' ? (inner.attributes.id ?? []) : membersIn(inner)
  })
}

function elements(parent: XmlElement | undefined): XmlElement[] {
  return (parent?.children ?? []).filter((node) => node instanceof XmlElement)
}

function child(parent: XmlElement, name: string): XmlElement | undefined {
  return elements(parent).find((element) => localName(element) === name)
}

/** Without the prefix of its namespace. */
function localName({ name }: XmlElement): string {
  return name.slice(name.indexOf(':') + 1)
}
