import { SluiceError } from '../errors.ts'
import type { ListState } from '../hash-list-state.ts'
import type { Policy } from './policy.ts'

const HOUR = 3_600_000
/** How far clocks may differ before a list that claims to be checked in the future is not believed. */
const CLOCK_TOLERANCE = HOUR

/**
 * Whether the gate may judge: every list that policy names is there in a complete version, was checked recently enough, and is one that this engine can
 * match. Lists that policy does not name are enforced when they are complete, but not waited for.
 * @param states what has been read, see `HashListCollector`
 * @param now milliseconds since the epoch
 * @returns the first problem, LISTS_INCOMPLETE or LISTS_STALE, saying which list, since when and what to do; null when there is none
 */
export function listsInForce(
  policy: Pick<Policy, 'lists'>,
  states: readonly ListState[],
  now: number,
): SluiceError | null {
  for (const [list, { maxAgeHours, leastMatchable }] of Object.entries(policy.lists)) {
    const state = states.find((candidate) => candidate.list === list)
    const again = `import it with \`sluice lists import FILE --list ${list}\``
    if (state?.broken) {
      const { version, expected, found } = state.broken
      const counts = `its manifest names ${expected} entries, ${found} were read`
      return new SluiceError(
        'LISTS_INCOMPLETE',
        `list ${list}, version ${version}, is not complete (${counts}): ${again}`,
      )
    }
    if (!state?.inForce) {
      return new SluiceError('LISTS_INCOMPLETE', `list ${list} has no complete version yet: ${again}`)
    }
    const { version, checkedAt, entries, matchable } = state.inForce
    const staleSince = checkedAt + maxAgeHours * HOUR
    if (now > staleSince) {
      const since = `stale since ${dateTime(staleSince)}: policy allows ${maxAgeHours} hours`
      return new SluiceError('LISTS_STALE', `list ${list}, version ${version}, is ${since}; ${again} again`)
    }
    if (leastMatchable > 0 && (matchable ?? 0) < leastMatchable * entries.length) {
      const counts = `${matchable ?? 'none that was counted'} of its ${entries.length} entries have a hash that this gate can match`
      return new SluiceError(
        'LISTS_INCOMPLETE',
        `list ${list}, version ${version}: ${counts}, policy asks for ${percent(leastMatchable)}; \`sluice lists status\` tells of which signals they are`,
      )
    }
    if (checkedAt > now + CLOCK_TOLERANCE) {
      const claim = `claims to have been checked at ${dateTime(checkedAt)}, which is still to come`
      return new SluiceError(
        'LISTS_STALE',
        `list ${list}, version ${version}, ${claim}; set the clocks right and ${again} again`,
      )
    }
  }
  return null
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`
}

/** ISO text of a time; out of range for a date, the number itself. */
function dateTime(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString()
}
