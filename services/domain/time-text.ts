/** The last moment that a date can be, in milliseconds; a stranger's timestamp may be any number. */
const END_OF_TIME = 8_640_000_000_000_000

/**
 * A moment as ISO 8601 text, UTC.
 * @param timestamp milliseconds since the epoch; beyond what a date can be, its first or last moment
 */
export function timeText(timestamp: number): string {
  return new Date(Math.max(-END_OF_TIME, Math.min(END_OF_TIME, timestamp))).toISOString()
}
