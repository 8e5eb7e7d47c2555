import type { Envelope } from './records.ts'

/** Longest text that an envelope may hold, in UTF-16 code units; far beyond what real URLs, headers and captions need. */
export const LONGEST_TEXT = 65_536
/** Most entries of a list or of the map `extra`. */
export const MOST_ENTRIES = 1000
/** Stands in `extra` for entries that were cut from it. */
export const CUT_ENTRIES = 'sluice.cut'

/**
 * Cuts what strangers made longer than any reader should have to bear: texts beyond LONGEST_TEXT, and what follows the first MOST_ENTRIES of
 * a list or of `extra`. A marker tells how much there was. What is within the limits is returned as it is.
 * @returns the envelope, and whether anything was cut
 */
export function capEnvelope(envelope: Envelope): { envelope: Envelope; cut: boolean } {
  // Of hardly any item: the others cost one look, and no copy.
  if (isWithin(envelope)) return { envelope, cut: false }
  const { extra, ...groups } = envelope
  // Capping keeps every type: texts stay texts, lists lists.
  return { envelope: { ...(capped(groups) as Omit<Envelope, 'extra'>), extra: cappedExtra(extra) }, cut: true }
}

function isWithin({ extra, ...groups }: Envelope): boolean {
  const entries = Object.entries(extra)
  return (
    entries.length <= MOST_ENTRIES &&
    entries.every(([name, text]) => name.length <= LONGEST_TEXT && text.length <= LONGEST_TEXT) &&
    isShort(groups)
  )
}

function isShort(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= LONGEST_TEXT
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value) && value.length > MOST_ENTRIES) return false
  return Object.values(value).every(isShort)
}

function capped(value: unknown): unknown {
  if (typeof value === 'string') return value.length <= LONGEST_TEXT ? value : cutText(value)
  if (Array.isArray(value)) return value.slice(0, MOST_ENTRIES).map(capped)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, capped(inner)]))
}

function cappedExtra(extra: Record<string, string>): Record<string, string> {
  const entries = Object.entries(extra)
  const kept = entries.slice(0, MOST_ENTRIES).map(([name, text]) => [String(capped(name)), String(capped(text))])
  if (entries.length > MOST_ENTRIES) kept.push([CUT_ENTRIES, `[cut: ${entries.length} entries]`])
  return Object.fromEntries(kept)
}

/** A pair of surrogates is not torn. */
function cutText(text: string): string {
  const torn = /[\ud800-\udbff]/.test(text.charAt(LONGEST_TEXT - 1))
  return `${text.slice(0, torn ? LONGEST_TEXT - 1 : LONGEST_TEXT)}[cut: ${text.length} characters]`
}
