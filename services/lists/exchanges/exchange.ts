import { createHash } from 'node:crypto'
import { z } from 'zod'
import { ENTRY_ID, hashColumns } from '../../domain/hash-list.ts'
import type { HashListEntry, KnownHash, Opinion } from '../../domain/records.ts'
import type { Ask } from './ask.ts'

/** An entry as an exchange tells it; its list is that of whoever asks. */
export type ExchangeEntry = Omit<HashListEntry, 'list'>

/** What an exchange says of one entry: what it is now, or (null) only that it has been taken back. */
export type Change = {
  id: string
  /** when it was last changed, by the exchange's clock; null where it does not say. Of two changes in one range the later one holds */
  at: number | null
  entry: ExchangeEntry | null
}

/** One step of fetching. Whoever has kept it can go on from its position, and no other way. */
export type Page = {
  changes: Change[]
  /** entries on it */
  read: number
  /** of these, those that could not be read, wholly or in part */
  corrupt: number
  /** where to go on after it; JSON that only the exchange itself reads */
  position: unknown
  /** What was known before is not known any more: this is the first page of everything. */
  anew?: true
  /** The range that was asked for has been read to its end. */
  endsRange: boolean
  /** when the source was current, in milliseconds since the epoch, where that is not the time of asking */
  asOf?: number
}

/** A hash exchange that can be asked. */
export type Exchange = {
  /** what is asked, so that one source's pages are never taken for those of another */
  source: string
  /** whether an entry that was taken back stays as a record that says so */
  withdrawn: 'keep' | 'remove'
  /** entries that may be corrupt in one sync, or one in a thousand if that is more */
  mostCorrupt: number
  /**
   * All that has changed since a position, page by page, to its end.
   * @param position of the last page that was kept; null at first
   * @throws {SluiceError} EXCHANGE_UNREACHABLE, EXCHANGE_UNREADABLE, CONFIG_INVALID
   */
  pages(position: unknown, tools: Tools): AsyncGenerator<Page, void>
}

export type Tools = {
  ask: Ask
  /** milliseconds since the epoch */
  now: () => number
}

/** Settings that every exchange has. */
export const commonSettings = {
  withdrawn: z.enum(['keep', 'remove']).default('keep'),
  mostCorrupt: z.number().int().nonnegative().default(10),
}

const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])

/** Where an exchange is. Credentials travel with each request, so only to this machine without encryption. */
export const exchangeUrl = z
  .url({ error: 'expected an https URL' })
  .transform((text) => new URL(text.replace(/\/+$/, '')))
  .refine(({ protocol, hostname }) => protocol === 'https:' || (protocol === 'http:' && LOOPBACK.has(hostname)), {
    error: 'expected an https URL',
  })
  .refine(({ username, search, hash }) => username + search + hash === '', {
    error: 'expected a URL without user, query or fragment',
  })

/** Larger ones are of video, can not be matched, and would fill memory. */
const LONGEST_OTHER = 1024
const SIGNAL = /^[a-z0-9][a-z0-9-]{0,31}$/

/**
 * A hash as an exchange tells it; null where it makes no sense.
 * @param signal our name for its kind; one that is not matched is kept as it came
 * @param text hex for what is matched; of another kind, the bytes are those of the text, none where it is longer than 1 KiB
 */
export function hashOf(signal: string, text: string): KnownHash | null {
  const bytes = Object.hasOwn(hashColumns, signal) ? hashColumns[signal] : undefined
  if (bytes !== undefined) {
    const isHex = text.length === 2 * bytes && /^[0-9a-fA-F]+$/.test(text)
    return isHex ? { signal, value: Buffer.from(text, 'hex') } : null
  }
  if (!SIGNAL.test(signal)) return null
  return { signal, value: Buffer.from(text.length > LONGEST_OTHER ? '' : text) }
}

/** An entry's id from what the exchange calls it, as it stands where our ids may look so. */
export function entryId(...parts: readonly string[]): string {
  const text = parts.join(':')
  return ENTRY_ID.test(text) ? text : createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/** So many of one kind tell no less than more would, and an entry must fit into a message. */
const MOST_OPINIONS = 1000

/** Opinions, each once. */
export function opinionsOf(told: ReadonlyArray<readonly [member: string, opinion: string]>): Opinion[] {
  const found = new Map<string, Opinion>()
  const counts = new Map<string, number>()
  for (const [name, opinion] of told) {
    const member =
      name
        .replace(/[\p{C};]/gu, ' ')
        .trim()
        .slice(0, 128)
        .toWellFormed() || 'unnamed'
    const count = counts.get(opinion) ?? 0
    if (count < MOST_OPINIONS) found.set(`${opinion} ${member}`, { member, opinion })
    counts.set(opinion, count + 1)
  }
  return [...found.values()]
}
