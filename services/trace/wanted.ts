import { isNamed, type NamedCoordinates, parseCoordinates } from '../domain/coordinates.ts'
import { isItemId } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import type { VerdictRecord } from '../domain/records.ts'
import type { FollowedRecord } from '../platform/kafka/follow-topic.ts'

/** What is looked for. 64 hex digits may be both an item id and a sha256. */
export type Wanted =
  | { kind: 'item'; id: string; sha256: string | null }
  | { kind: 'coordinates'; coordinates: NamedCoordinates }

const hexDigits = /^[0-9a-f]{64}$/i
const SLASH = 0x2f

/**
 * Reads what a person named.
 * @param door full name of the door topic
 * @throws {SluiceError} USAGE
 */
export function parseWanted(text: string, door: string): Wanted {
  const coordinates = parseCoordinates(text)
  if (coordinates !== null) {
    if (coordinates.topic === door) return { kind: 'coordinates', coordinates }
    throw new SluiceError(
      'USAGE',
      `expected coordinates of the door topic ${door}, where every item came in: ${door}/PARTITION/OFFSET; other topics' records name theirs as input`,
    )
  }
  if (isItemId(text)) return { kind: 'item', id: text, sha256: hexDigits.test(text) ? text.toLowerCase() : null }
  throw new SluiceError(
    'USAGE',
    `expected an item id ([A-Za-z0-9._-]{1,64}), a sha256 (64 hex digits) or coordinates (${door}/PARTITION/OFFSET)`,
  )
}

/** Whether a record of gate.verdicts may be one that is looked for, as far as can be seen without decoding it. */
export function mayBeWanted({ partition, key, value }: FollowedRecord, wanted: Wanted): boolean {
  if (wanted.kind === 'coordinates') return partition === wanted.coordinates.partition
  // Where key and id contradict each other the key is the coordinates, which have slashes; item ids have none.
  return (
    key === null ||
    key.includes(SLASH) ||
    key.equals(Buffer.from(wanted.id)) ||
    (wanted.sha256 !== null && value?.includes(wanted.sha256) === true)
  )
}

export function isWanted(
  { itemId, sha256, input }: Pick<VerdictRecord, 'itemId' | 'sha256' | 'input'>,
  wanted: Wanted,
): boolean {
  if (wanted.kind === 'coordinates') return isNamed(input, wanted.coordinates)
  return itemId === wanted.id || (sha256 !== null && sha256 === wanted.sha256)
}
