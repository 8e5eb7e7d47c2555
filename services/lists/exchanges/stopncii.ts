import { createHash } from 'node:crypto'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
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

/** What is asked for at first; seconds since the epoch. */
const BEGINNING = 10
const PAGE_SIZE = 800
/** Seconds by which what has been read is read again: several records have one second. */
const OVERLAP = 300
/** Withdrawals are told for so long: who has not asked since must begin anew. */
const STALE_MS = 30 * 86_400_000
/** A token is of what there was when it was made. */
const TOKEN_MS = 3_600_000
const MOST_RESTARTS = 3

const positionSchema = z.object({
  /** everything up to here has been read; seconds since the epoch; null: nothing */
  until: z.number().int().nonnegative().nullable(),
  /** of the next page; null before the first */
  token: z.string().nullable(),
  /** when a page was last read; milliseconds since the epoch */
  fetchedAt: z.number(),
})
type Position = z.infer<typeof positionSchema>

const pageSchema = z.object({
  nextPageToken: z.string().nullish(),
  nextSetTimestamp: z.number().int().nonnegative(),
  hasMoreRecords: z.boolean(),
  hashRecords: z.array(z.unknown()),
})
const recordSchema = z.object({
  lastModtimestamp: z.number().nullish(),
  signalType: z.string().min(1),
  hashValue: z.string().min(1),
  hashStatus: z.string(),
  CSPFeedbacks: z.array(z.object({ source: z.string().nullish(), feedbackValue: z.string().nullish() })).nullish(),
})

/**
 * FetchHashes of StopNCII.org: JSON, paged, two keys as headers (a file `FUNCTION-KEY:SUBSCRIPTION-KEY`). Each hash comes from a person's case, so
 * it is a lead until one of the services that look at it says more.
 */
export const stopncii = z
  .strictObject({
    kind: z.literal('stopncii'),
    url: exchangeUrl.prefault('https://api.stopncii.org/v1'),
    credentials: z.string().min(1),
    ...commonSettings,
  })
  .transform(({ url, credentials, ...settings }): Exchange => {
    return {
      ...settings,
      source: `stopncii ${url.href}`,
      pages: (position, tools) => pages({ url, credentials }, position, tools),
    }
  })

async function* pages(
  { url, credentials }: { url: URL; credentials: string },
  saved: unknown,
  { ask, now }: Tools,
): AsyncGenerator<Page, void> {
  const [functionKey, subscriptionKey] = await readCredentials(credentials)
  const headers = { 'x-functions-key': functionKey, 'ocp-apim-subscription-key': subscriptionKey }
  const known = positionSchema.safeParse(saved).data
  const age = known === undefined ? Number.POSITIVE_INFINITY : Math.abs(now() - known.fetchedAt)
  let isAnew = age > STALE_MS
  let until = isAnew ? null : (known?.until ?? null)
  let token = age > TOKEN_MS ? null : (known?.token ?? null)
  let restarts = 0
  const asked = new Set<string>()

  for (;;) {
    const target = new URL(`${url.href.replace(/\/$/, '')}/FetchHashes`)
    target.searchParams.set('startTimestamp', String(Math.max(BEGINNING, (until ?? 0) - OVERLAP)))
    target.searchParams.set('pageSize', String(PAGE_SIZE))
    if (token !== null) target.searchParams.set('nextPageToken', token)
    const answer = await ask({ url: target, headers, credentials }, readPage)
    if (answer === null) {
      if (token === null || restarts === MOST_RESTARTS) {
        throw new SluiceError('EXCHANGE_UNREADABLE', `${url.host}: there are no hashes at its URL: is that right?`)
      }
      token = null
      asked.clear()
      restarts += 1
      continue
    }
    const { next, nextSetTimestamp, ...found } = answer.value
    if (next !== null && asked.has(next)) {
      const position: Position = { until, token: null, fetchedAt: now() }
      yield { changes: [], read: 0, corrupt: 0, position, endsRange: false }
      throw new SluiceError('EXCHANGE_UNREADABLE', `${url.host}: its pages lead in a circle`)
    }
    // Not beyond its clock, nor beyond ours: what was missed while one of them was wrong would never be seen.
    if (next === null) until = Math.min(nextSetTimestamp, seconds(Math.min(answer.date ?? now(), now())))
    else asked.add(next)
    token = next
    const position: Position = { until, token, fetchedAt: now() }
    yield { ...found, position, endsRange: next === null, ...(isAnew ? { anew: true } : {}) }
    isAnew = false
    if (next === null) return
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}

/** @throws {Error} where it is not a page, whole */
function readPage(
  body: Buffer,
): Pick<Page, 'changes' | 'read' | 'corrupt'> & { next: string | null; nextSetTimestamp: number } {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  const { hasMoreRecords, nextPageToken, nextSetTimestamp, hashRecords } = pageSchema.parse(JSON.parse(text))
  if (hasMoreRecords && !nextPageToken) throw new Error('expected a token of the next page')
  const changes = hashRecords.map(readRecord)
  return {
    changes: changes.filter((change) => change !== null),
    read: changes.length,
    corrupt: changes.filter((change) => change === null).length,
    next: hasMoreRecords ? (nextPageToken ?? null) : null,
    nextSetTimestamp,
  }
}

const signalNames = new Map([
  ['ImagePDQ', 'pdq'],
  ['VideoMD5', 'md5'],
  ['VideoTMK', 'tmk'],
])
const WITHDRAWN = new Set(['Withdrawn', 'Deleted'])
/** What a service may say; null where it says nothing of the hash. What is not known here is a lead. */
const opinionByFeedback = new Map<string, string | null>([
  ['Blocked', 'positive'],
  ['NotBlocked', 'negative'],
  ['None', null],
  ['Withdrawn', null],
  ['Deleted', null],
])

function readRecord(record: unknown): Change | null {
  const parsed = recordSchema.safeParse(record).data
  if (parsed === undefined) return null
  const { signalType, hashValue, hashStatus, lastModtimestamp, CSPFeedbacks } = parsed
  const hash = hashOf(signalNames.get(signalType) ?? signalType.toLowerCase(), hashValue)
  if (hash === null) return null
  // The value of some kinds is a text or a URL, and ids are shown.
  const isPlain = signalNames.has(signalType) && /^[0-9a-fA-F]{1,64}$/.test(hashValue)
  const name = isPlain ? hashValue.toLowerCase() : createHash('sha256').update(hashValue).digest('hex')
  const id = entryId(signalType, name)
  const told = (CSPFeedbacks ?? []).flatMap(({ source, feedbackValue }): Array<[string, string]> => {
    const opinion = opinionByFeedback.get(feedbackValue ?? 'None')
    return opinion === null ? [] : [[source ?? '', opinion ?? 'seed']]
  })
  const opinions = opinionsOf([['case', 'seed'], ...told])
  const entry = { id, signals: [hash], classification: null, opinions, withdrawn: WITHDRAWN.has(hashStatus) }
  return { id, at: lastModtimestamp ?? null, entry }
}
