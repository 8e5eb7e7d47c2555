import type { Found } from '../importer.ts'
import { type Capture, companionOf, factsOf, type RecordFacts, type Run, runOf } from './capture.ts'
import { envelopeOf, type Shown, type Surroundings } from './envelope.ts'
import { type Field, fieldOf } from './fields.ts'
import { bodyOf, parseHttpMessage, statusOf } from './http-message.ts'
import { createLookAhead } from './look-ahead.ts'
import { readPage } from './page.ts'
import { createRecent, textWeight } from './recent.ts'
import { readRecords, type WarcRecord } from './records.ts'
import { absolute, type RightsSignals, signalsOfFields } from './rights-signals.ts'
import type { Place } from './unpacked.ts'

export type Supplied = Surroundings['supplied']

const MIB = 1024 * 1024
/** A payload is held in memory while it is published. */
const LONGEST_PAYLOAD = 256 * MIB
const LONGEST_COMPANION = MIB
/** What is remembered of pages, redirects and runs while a file is read, in bytes: some 15,000 pictures and 7,000 redirects. */
const PAGES_BUDGET = 8 * MIB
const REDIRECTS_BUDGET = 4 * MIB
const RUNS_BUDGET = MIB / 4
const LONGEST_REDIRECTION = 20

const longestOf = new Map([
  ['request', LONGEST_COMPANION],
  ['metadata', LONGEST_COMPANION],
  ['warcinfo', LONGEST_COMPANION],
])
/** Types that are no items. */
const leftOut = new Set(['revisit', 'conversion', 'continuation'])

/**
 * What a WARC holds, in order of its records.
 * @param longest bytes of a record, and of what its body unpacks to
 * @throws {Error} of the system, when the file can't be read
 */
export async function* readWarc(
  path: string,
  { file, supplied, longest = LONGEST_PAYLOAD }: { file: string; supplied: Supplied; longest?: number },
): AsyncGenerator<Found> {
  const memory = createMemory()
  const lookAhead = createLookAhead()
  const items = (captures: readonly Capture[]): Found[] =>
    captures.map((capture) => {
      const envelope = envelopeOf(capture, { file, supplied, ...memory.around(capture) })
      return { kind: 'item', collected: { envelope, payload: capture.payload } }
    })
  const bad = (place: Place, field: string, expected: string): Found => {
    const within = place.within === 0 ? '' : `, byte ${place.within} of what is packed there`
    return { kind: 'bad', file: `${path}, offset ${place.offset}${within}`, field, expected }
  }
  const wanted = (type: string): number => {
    if (type === 'response' || type === 'resource') return longest
    return longestOf.get(type) ?? 0
  }

  for await (const record of readRecords(path, wanted)) {
    if (record.kind === 'unreadable') {
      yield bad(record.place, record.field, record.expected)
      continue
    }
    const { type } = record
    if (type === 'warcinfo') memory.putRun(record)
    else if (type === 'request' || type === 'metadata') {
      const companion = companionOf(record)
      if (companion !== null) yield* items(lookAhead.putCompanion(companion))
    } else if (type === 'response' || type === 'resource') {
      const seen = await readCapture(record, memory, longest)
      if (seen.kind === 'capture') yield* items(lookAhead.putCapture(seen.capture))
      else {
        yield seen.kind === 'bad' ? bad(record.place, seen.field, seen.expected) : seen
        yield* items(lookAhead.passOver(factsOf(record)))
      }
    } else {
      yield { kind: 'left-out', reason: leftOut.has(type) ? type : 'record of another type' }
      yield* items(lookAhead.passOver(factsOf(record)))
    }
  }
  yield* items(lookAhead.rest())
}

type Seen =
  | { kind: 'capture'; capture: Capture }
  | { kind: 'left-out'; reason: string }
  | { kind: 'bad'; field: string; expected: string }

type Memory = ReturnType<typeof createMemory>

/** What the records read so far tell of those to come; bounded. */
function createMemory() {
  const runs = createRecent<Run>(RUNS_BUDGET, (key, { crawler, id }) => textWeight(key, crawler, id))
  /** URL to the one that redirected to it */
  const redirects = createRecent<string>(REDIRECTS_BUDGET, (key, from) => textWeight(key, from))
  const pictures = createRecent<Shown & { weight: number }>(
    PAGES_BUDGET,
    (key, { caption, weight }) => textWeight(key, caption) + weight,
  )
  let latest: Run = { crawler: null, id: null }

  return {
    putRun(record: WarcRecord): void {
      latest = runOf(record)
      const id = fieldOf(record.fields, 'warc-record-id')
      if (id !== null) runs.set(id, latest)
    },
    run(fields: readonly Field[]): Run {
      const id = fieldOf(fields, 'warc-warcinfo-id')
      return id === null ? latest : (runs.get(id) ?? { crawler: null, id })
    },
    putRedirect(from: string, to: string): void {
      if (bare(from) !== bare(to)) redirects.set(bare(to), from)
    },
    /** @returns what it tells of its own rights */
    putPage(html: Buffer, url: string, contentType: string, fields: readonly Field[]): RightsSignals {
      const { page, pictures: found } = readPage(html, url, contentType)
      const own = page.signals
      const told = signalsOfFields(fields, url)
      // What a page's head says holds for its pictures as its meta elements do.
      page.signals = {
        robots: [...told.robots, ...own.robots],
        tdm: [...told.tdm, ...own.tdm],
        licences: [...own.licences, ...told.licences],
      }
      const { robots, tdm, licences } = page.signals
      const weight = Math.ceil(textWeight(url, page.title, ...robots, ...tdm, ...licences) / Math.max(1, found.length))
      for (const { url: picture, caption } of found) {
        // The first one that tells what it shows; pages that come later often only list it.
        if (!pictures.get(bare(picture))?.caption) pictures.set(bare(picture), { page, caption, weight })
      }
      return own
    },
    around({ uri }: Pick<RecordFacts, 'uri'>): Pick<Surroundings, 'redirectedFrom' | 'shown'> {
      const redirectedFrom: string[] = []
      const passed = new Set([bare(uri ?? '')])
      for (let at = uri; at !== null && redirectedFrom.length < LONGEST_REDIRECTION; ) {
        const from = redirects.get(bare(at))
        if (from === undefined || passed.has(bare(from))) break
        passed.add(bare(from))
        redirectedFrom.unshift(from)
        at = from
      }
      const shown = [...passed].map((url) => pictures.get(url)).find((each) => each !== undefined) ?? null
      return { redirectedFrom, shown }
    },
  }
}

/** A URL as it is asked for: without what only the browser sees. */
function bare(url: string): string {
  const href = absolute(url, null) ?? url
  const fragment = href.indexOf('#')
  return fragment < 0 ? href : href.slice(0, fragment)
}

async function readCapture(record: WarcRecord, memory: Memory, longest: number): Promise<Seen> {
  const { fields, block } = record
  if (block === null)
    return { kind: 'bad', field: 'Content-Length', expected: `expected a record of at most ${longest} bytes` }
  const facts = factsOf(record)
  const told = fieldOf(fields, 'warc-truncated')
  const truncated = told ?? (fieldOf(fields, 'warc-segment-number') === null ? null : 'unspecified')
  const contentType = fieldOf(fields, 'content-type')
  const shared = { ...facts, truncated, run: memory.run(fields), ownSignals: null, companions: [] }
  if (record.type === 'resource' && facts.uri?.startsWith('metadata:'))
    return { kind: 'left-out', reason: "resource of the crawler's own" }
  if (record.type === 'resource')
    return { kind: 'capture', capture: { ...shared, status: null, responseFields: [], contentType, payload: block } }
  if (!/^application\/http\b/i.test(contentType ?? 'application/http'))
    return { kind: 'left-out', reason: 'response of another protocol' }

  const message = parseHttpMessage(block)
  if (message === null) return { kind: 'bad', field: '', expected: 'expected an HTTP head of at most 256 KiB' }
  const status = statusOf(message)
  if (status === null)
    return { kind: 'bad', field: '', expected: 'expected an HTTP response, beginning with its status' }
  const url = facts.uri
  if (status !== 200) {
    const location = status >= 300 && status < 400 ? fieldOf(message.fields, 'location') : null
    const to = location === null ? null : absolute(location, url)
    if (url !== null && to !== null) memory.putRedirect(url, to)
    return { kind: 'left-out', reason: `status ${status}` }
  }
  const body = await bodyOf(message, longest)
  if (typeof body === 'string') return { kind: 'bad', field: '', expected: body }
  const claimed = fieldOf(message.fields, 'content-type')
  const isPage = url !== null && /^(text\/html|application\/xhtml\+xml)\b/i.test(claimed ?? '')
  return {
    kind: 'capture',
    capture: {
      ...shared,
      truncated: truncated ?? (body.cut ? 'unspecified' : null),
      status,
      responseFields: message.fields,
      contentType: claimed,
      payload: body.bytes,
      ownSignals: isPage ? memory.putPage(body.bytes, url, claimed ?? '', message.fields) : null,
    },
  }
}
