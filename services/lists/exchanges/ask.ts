import { setTimeout as sleep } from 'node:timers/promises'
import { SluiceError } from '../../domain/errors.ts'
import { timeText } from '../../domain/time-text.ts'
import { codeOf } from '../../platform/error-code.ts'

/** A page has some thousand entries at most, of about a kilobyte. */
const MOST_BYTES = 16_777_216

/** How long an answer may take, how often a request is made, and how long is waited at most before it is made again. */
export type Patience = { requestMs: number; attempts: number; firstWaitMs: number; longestWaitMs: number }
const PATIENCE: Patience = { requestMs: 60_000, attempts: 6, firstWaitMs: 1000, longestWaitMs: 900_000 }

export type Request = {
  url: URL
  headers: Readonly<Record<string, string>>
  /** the file that the headers' secrets are from, for messages */
  credentials: string
}

/**
 * Asks an exchange for one thing, again and again where that may help: no answer, 429, 5xx, or an answer that can't be read.
 * @param read makes sense of the body; what it throws counts as an answer that can't be read
 * @returns null when the exchange has no such thing, or not any more (400, 404, 410); `date`: the exchange's clock, in milliseconds since the epoch
 * @throws {SluiceError} EXCHANGE_UNREACHABLE, EXCHANGE_UNREADABLE; CONFIG_INVALID when it does not accept the credentials
 */
export type Ask = <Value>(request: Request, read: (body: Buffer) => Value) => Promise<Answer<Value> | null>
type Answer<Value> = { value: Value; date: number | null }

/** What one attempt came to, where it may be repeated. */
class Failure extends Error {
  readonly code: 'EXCHANGE_UNREACHABLE' | 'EXCHANGE_UNREADABLE'
  /** for how long the exchange asks to be left alone */
  readonly waitMs: number

  constructor(code: Failure['code'], message: string, waitMs = 0, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.waitMs = waitMs
  }
}

export function createAsk({
  patience = PATIENCE,
  now = Date.now,
}: {
  patience?: Patience
  now?: () => number
} = {}): Ask {
  async function once<Value>(request: Request, read: (body: Buffer) => Value): Promise<Answer<Value> | null> {
    const { url, headers, credentials } = request
    const response = await fetch(url, {
      headers,
      // Secrets go nowhere but where a person has said.
      redirect: 'manual',
      signal: AbortSignal.timeout(patience.requestMs),
    })
    const { status } = response
    if (status === 200) {
      const date = Date.parse(response.headers.get('date') ?? '')
      const body = await bodyOf(response)
      try {
        return { value: read(body), date: Number.isNaN(date) ? null : date }
      } catch (cause) {
        throw new Failure('EXCHANGE_UNREADABLE', 'an answer that is not as documented', 0, { cause })
      }
    }
    await response.body?.cancel()
    if (status === 400 || status === 404 || status === 410) return null
    if (status === 401 || status === 403) {
      const sentence = `${url.host} does not accept the credentials in ${credentials} (status ${status})`
      throw new SluiceError('CONFIG_INVALID', `${sentence}: expected those that the exchange has given you`)
    }
    if (status === 429 || status >= 500) {
      throw new Failure('EXCHANGE_UNREACHABLE', `status ${status}`, retryAfter(response, now()))
    }
    throw new SluiceError('EXCHANGE_UNREADABLE', `${url.host} answered with status ${status}: is its URL right?`)
  }

  return async (request, read) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(request, read)
      } catch (error) {
        if (error instanceof SluiceError) throw error
        const failure = error instanceof Failure ? error : noAnswer(error)
        const backoff = patience.firstWaitMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
        const wait = Math.max(failure.waitMs, Math.min(backoff, patience.longestWaitMs))
        if (attempt < patience.attempts && wait <= patience.longestWaitMs) {
          await sleep(wait)
          continue
        }
        const when = failure.waitMs > 0 ? `not before ${timeText(now() + failure.waitMs)}` : 'later'
        const sentence = `${request.url.host}: ${failure.message}, at attempt ${attempt}`
        throw new SluiceError(failure.code, `${sentence}; what was fetched is kept, sync again ${when}`, {
          cause: error,
        })
      }
    }
  }
}

function noAnswer(error: unknown): Failure {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const why = codeOf(cause) ?? (cause instanceof Error ? cause.name : 'unknown')
  return new Failure('EXCHANGE_UNREACHABLE', `no answer (${why})`)
}

async function bodyOf(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new Failure('EXCHANGE_UNREADABLE', `an answer of more than ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Seconds or a date, as milliseconds from now on. */
function retryAfter(response: Response, now: number): number {
  const text = response.headers.get('retry-after') ?? ''
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isNaN(wait) ? 0 : Math.max(0, wait)
}
