import { coordinatesText, type NamedCoordinates, parseCoordinates } from '../coordinates.ts'
import type { Coordinates, HeldOriginal, ReplayClaim } from '../records.ts'

type Headers = HeldOriginal['headers']

/** What a replayed message carries beside all that the original had. */
export type ReplayStamp = {
  run: string
  /** of the held item on the door */
  origin: Coordinates
  /** how often the item has been replayed, this time included */
  attempt: number
  who: string
  why: string
}

const names = {
  run: 'sluice-replay-run',
  origin: 'sluice-replay-origin',
  attempt: 'sluice-replay-attempt',
  who: 'sluice-replay-who',
  why: 'sluice-replay-why',
} as const

/** In characters, of a reason: with the other headers far below the room that the door leaves for them. */
export const LONGEST_WHY = 1000

/** As `runIdOf` makes them. */
const runId = /^[0-9a-f]{16}$/
/** No address of a page, and nothing that could be one. */
const whoName = /^[A-Za-z0-9._@+-]{1,64}$/

/** Whether somebody can be named so on a replay. */
export function isWho(text: string): boolean {
  return whoName.test(text)
}

/** The original's headers to the byte, and the replay's behind them. */
export function stamped(headers: Headers, { run, origin, attempt, who, why }: ReplayStamp): Headers {
  const texts = {
    run,
    origin: coordinatesText(origin),
    attempt: String(attempt),
    // Whoever asked did so on a topic, past all commands: no more than there is room for.
    who: isWho(who) ? who : 'unknown',
    why: why.slice(0, LONGEST_WHY),
  }
  const own = Object.entries(texts).map(([key, text]) => ({
    name: names[key as keyof typeof texts],
    value: Buffer.from(text),
  }))
  return [...headers, ...own]
}

/**
 * What a message's replay headers say; the last of each name counts. Anybody who may write the door may say so: it is noted and has no effect. Why it
 * was done is not noted: such a text could be anything, and a verdict must not hold an address of a page. Nor is an origin but one that a replay can
 * have: an earlier place on the same partition.
 * @param at where the message stands
 * @returns null where there are none, or not all of them well-formed
 */
export function claimOf(headers: Headers, at: Coordinates): (ReplayClaim & { attempt: number }) | null {
  const text = (name: string): string => headers.findLast((header) => header.name === name)?.value?.toString() ?? ''
  const [run, origin, attempt, who] = [text(names.run), text(names.origin), text(names.attempt), text(names.who)]
  const isWhole =
    runId.test(run) && isWho(who) && /^[1-9]\d{0,3}$/.test(attempt) && isBefore(parseCoordinates(origin), at)
  return isWhole ? { run, origin, who, attempt: Number(attempt) } : null
}

function isBefore(origin: NamedCoordinates | null, at: Coordinates): boolean {
  return (
    origin !== null &&
    origin.cluster === at.cluster &&
    origin.topic === at.topic &&
    origin.partition === at.partition &&
    origin.offset < at.offset
  )
}
