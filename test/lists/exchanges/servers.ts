import { hash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { entryText } from '../../../services/domain/hash-list.ts'
import type { Patience } from '../../../services/lists/exchanges/ask.ts'
import type { Exchange } from '../../../services/lists/exchanges/exchange.ts'
import { parseExchanges } from '../../../services/lists/exchanges/exchanges.ts'
import { type Fetched, fetchExchange } from '../../../services/lists/fetch-exchange.ts'
import { type Answer, type Ask, type Served, serve } from './served.ts'

/** Soon after the first range of NCMEC, which keeps the number of ranges small. */
export const BEGAN = Date.UTC(2014, 1, 20)
export const HOUR = 3_600_000
export const SECRET = 's3cret-of-ours'
/** Long enough to be tried again, short enough for a test. */
export const PATIENT: Patience = { requestMs: 10_000, attempts: 4, firstWaitMs: 1, longestWaitMs: 5000 }

type Scope = { after(work: () => Promise<void> | void): void }

/** An exchange as a test sees it, whatever its protocol. */
export type Fixture = {
  served: Served
  /** the exchange's clock and ours; milliseconds since the epoch */
  clock: { exchange: number; own: number }
  /** settings in the file of exchanges */
  settings: Record<string, unknown>
  /** Shares an entry, anew where it is there. @param value hex of its hash of 32 bytes, which is made of the number if not given */
  put(number: number, options?: { value?: string; negative?: boolean; at?: number }): void
  /** Takes an entry back. */
  remove(number: number, at?: number): void
  /** Forgets an entry, without a word. */
  forget(number: number): void
  /** what a list must hold, by entry; withdrawn ones that came with their hashes or had been seen */
  expected(): string[]
  /** one page has so many entries */
  pageSize: number
}

/** 32 bytes, others for each number; hex */
export function hashHex(number: number): string {
  return hash('sha256', `entry ${number}`)
}

export async function openFolder(t: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-exchange-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function credentialsFile(folder: string, text: string): Promise<string> {
  const path = join(folder, 'credentials')
  await writeFile(path, `${text}\n`, { mode: 0o600 })
  return path
}

export function exchangeOf({ settings }: Pick<Fixture, 'settings'>): Exchange {
  const exchange = parseExchanges(JSON.stringify({ version: 1, exchanges: { known: settings } }), 'e.yaml').get('known')
  if (exchange === undefined) throw new Error('no such exchange')
  return exchange
}

/** Syncs as the command does, but for Kafka; what would be the new version, sorted. */
export function fetchAll(
  fixture: Pick<Fixture, 'settings' | 'clock'>,
  folder: string,
  patience = PATIENT,
): Promise<Pick<Fetched, 'pages' | 'read' | 'corrupt' | 'checkedAt'> & { texts: string[] }> {
  const now = () => fixture.clock.own
  const asked = { name: 'known', exchange: exchangeOf(fixture), folder, patience, now }
  return fetchExchange(asked, ({ entries, ...rest }) => {
    return Promise.resolve({ ...rest, texts: [...entries].map(entryText).sort() })
  })
}

type Known = { at: number; value: string; deleted: boolean; negative: boolean }

function order(number: number): string {
  return hash('sha256', `order of ${number}`)
}

/**
 * The hash-sharing API of NCMEC, version 2, as its public documentation tells it: entries of a range of time in no order of time, in pages, deleted ones
 * without their hashes.
 */
export async function openNcmec(t: Scope, pageSize = 3): Promise<Fixture> {
  const folder = await openFolder(t)
  const known = new Map<number, Known>()
  const clock = { exchange: BEGAN, own: BEGAN }
  const served = await serve(
    t,
    answer,
    (path) => path === '/hashsharing/v2/entries',
    () => clock.exchange,
  )
  const credentials = await credentialsFile(folder, `member:${SECRET}`)

  function answer({ url, headers }: Ask): string | Answer {
    const expected = `Basic ${Buffer.from(`member:${SECRET}`).toString('base64')}`
    if (headers.authorization !== expected) return { status: 401 }
    const namespace = 'xmlns="https://hashsharing.ncmec.org/hashsharing/v2"'
    if (url.pathname === '/hashsharing/v2/status') {
      return `<?xml version="1.0"?><status ${namespace}><member id="1">Us</member></status>`
    }
    if (url.pathname !== '/hashsharing/v2/entries') return { status: 404 }
    const [from = 0, to = 0] = ['from', 'to'].map((name) => Date.parse(url.searchParams.get(name) ?? ''))
    const start = Number(url.searchParams.get('start') ?? 1)
    const found = [...known]
      .filter(([, { at }]) => at >= from && at < to)
      .sort(([a], [b]) => (order(a) < order(b) ? -1 : 1))
    const page = found.slice(start - 1, start - 1 + pageSize)
    const images = page.map(([number, entry]) => {
      const about = `<member id="42">Member</member><timestamp>${new Date(entry.at).toISOString()}</timestamp><id>e${number}</id>`
      if (entry.deleted) return `<deletedImage>${about}</deletedImage>`
      const feedback = `<feedback><negativeFeedback type="Sha1"><reasons><members><member id="43">Other</member></members></reasons></negativeFeedback></feedback>`
      return `<image>${about}<classification>A1</classification><fingerprints><pdq>${entry.value}</pdq><pdna>a1,2&amp;3</pdna><videntifier rel="self" href="/v2/x"/></fingerprints>${entry.negative ? feedback : '<feedback/>'}</image>`
    })
    const next = new URLSearchParams({
      from: url.searchParams.get('from') ?? '',
      to: url.searchParams.get('to') ?? '',
      start: String(start + pageSize),
      size: String(pageSize),
      max: String(found.length),
    })
    const paging = `<paging><next>/v2/entries?${next.toString().replaceAll('&', '&amp;')}</next></paging>`
    return `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<queryResult ${namespace}><images count="${page.length}" maxTimestamp="2014-01-01T00:00:00Z">${images.join('')}</images>${start - 1 + pageSize < found.length ? paging : ''}</queryResult>`
  }

  return {
    served,
    clock,
    pageSize,
    settings: { kind: 'ncmec', url: `${served.url}/hashsharing`, credentials },
    put(number, { value = hashHex(number), negative = false, at = clock.exchange - 60_000 } = {}) {
      known.set(number, { at, value, deleted: false, negative })
    },
    remove(number, at = clock.exchange - 60_000) {
      const before = known.get(number)
      if (before !== undefined) known.set(number, { ...before, at, deleted: true })
    },
    forget: (number) => void known.delete(number),
    expected: () =>
      [...known]
        .map(([number, { value, deleted, negative }]) => textOf(`image:42:e${number}`, value, deleted, negative))
        .sort(),
  }
}

function textOf(id: string, value: string, withdrawn: boolean, negative: boolean): string {
  return entryText({
    list: 'known',
    id,
    signals: [
      { signal: 'pdq', value: Buffer.from(value, 'hex') },
      { signal: 'photodna', value: Buffer.from('a1,2&3') },
      { signal: 'videntifier', value: Buffer.alloc(0) },
    ],
    classification: 'A1',
    opinions: [{ member: '42', opinion: 'positive' }, ...(negative ? [{ member: '43', opinion: 'negative' }] : [])],
    withdrawn,
  })
}

/** FetchHashes of StopNCII.org as its public clients tell it: records since a time, by tokens. */
export async function openStopncii(t: Scope, pageSize = 3): Promise<Fixture> {
  const folder = await openFolder(t)
  const known = new Map<number, Known>()
  const clock = { exchange: BEGAN, own: BEGAN }
  const served = await serve(
    t,
    answer,
    (path) => path === '/v1/FetchHashes',
    () => clock.exchange,
  )
  const credentials = await credentialsFile(folder, `function-key:${SECRET}`)

  function answer({ url, headers }: Ask): string | Answer {
    const isKnown = headers['x-functions-key'] === 'function-key' && headers['ocp-apim-subscription-key'] === SECRET
    if (!isKnown) return { status: 401 }
    if (url.pathname !== '/v1/FetchHashes') return { status: 404 }
    const since = Number(url.searchParams.get('startTimestamp'))
    const start = Number((url.searchParams.get('nextPageToken') ?? 'token-0').slice(6))
    const found = [...known]
      .filter(([, { at }]) => seconds(at) >= since)
      .sort(([a], [b]) => (order(a) < order(b) ? -1 : 1))
    const page = found.slice(start, start + pageSize)
    const hashRecords = page.map(([, { at, value, deleted, negative }]) => ({
      lastModtimestamp: seconds(at),
      signalType: 'ImagePDQ',
      hashValue: value,
      hashStatus: deleted ? 'Withdrawn' : 'Active',
      caseNumbers: deleted ? [] : { 'case-1': 'Active' },
      ...(negative ? { CSPFeedbacks: [{ source: 'Other; one', feedbackValue: 'NotBlocked', tags: [] }] } : {}),
    }))
    const hasMoreRecords = start + pageSize < found.length
    return JSON.stringify({
      count: page.length,
      nextPageToken: hasMoreRecords ? `token-${start + pageSize}` : null,
      nextSetTimestamp: seconds(clock.exchange),
      hasMoreRecords,
      hashRecords,
    })
  }

  return {
    served,
    clock,
    pageSize,
    settings: { kind: 'stopncii', url: `${served.url}/v1`, credentials },
    put(number, { value = hashHex(number), negative = false, at = clock.exchange - 60_000 } = {}) {
      known.set(number, { at, value, deleted: false, negative })
    },
    remove(number, at = clock.exchange - 60_000) {
      const before = known.get(number)
      if (before !== undefined) known.set(number, { ...before, at, deleted: true })
    },
    forget: (number) => void known.delete(number),
    expected: () =>
      [...known.values()]
        .map(({ value, deleted, negative }) =>
          entryText({
            list: 'known',
            id: `ImagePDQ:${value}`,
            signals: [{ signal: 'pdq', value: Buffer.from(value, 'hex') }],
            classification: null,
            opinions: [
              { member: 'case', opinion: 'seed' },
              ...(negative ? [{ member: 'Other  one', opinion: 'negative' }] : []),
            ],
            withdrawn: deleted,
          }),
        )
        .sort(),
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}

/** The exchanges that are asked by HTTP: faults that come with that are the same for all. */
export const overHttp = { ncmec: openNcmec, stopncii: openStopncii } as const
