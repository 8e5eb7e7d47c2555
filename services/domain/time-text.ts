/** The last moment that a date can be, in milliseconds; a stranger's timestamp may be any number. */
const END_OF_TIME = 8_640_000_000_000_000

/**
 * A moment as ISO 8601 text, UTC.
 * @param timestamp milliseconds since the epoch; beyond what a date can be, its first or last moment
 */
export function timeText(timestamp: number): string {
  return new Date(Math.max(-END_OF_TIME, Math.min(END_OF_TIME, timestamp))).toISOString()
}

const age = /^(\d{1,6})([smhdw])$/
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
/** A day, or a moment that says of which zone it is: on-call and gate may be in two. */
const iso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/

/**
 * Reads a moment as a person names it: ISO 8601 with its zone (a day alone begins at midnight UTC), or how long ago it was, `90m`, `2h`, `3d`, `1w`.
 * @param now milliseconds since the epoch
 * @returns milliseconds since the epoch; null for any other text
 */
export function parseTime(text: string, now: number): number | null {
  const [, count, unit = ''] = age.exec(text) ?? []
  if (count !== undefined) return now - Number(count) * (unitMs[unit] ?? 0)
  const at = iso.test(text) ? Date.parse(text) : Number.NaN
  // Date.parse takes the 31st of February for a day of March.
  const day = text.slice(0, 10)
  return Number.isNaN(at) || new Date(`${day}T00:00Z`).toISOString().slice(0, 10) !== day ? null : at
}
