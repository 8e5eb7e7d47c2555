import { z } from 'zod'
import { type Fingerprint, type Inspection, isTransform } from '../../domain/fingerprint.ts'
import { PDQ_BYTES, PDQ_VERSION } from '../../domain/pdq.ts'
import type { ItemFault } from '../../domain/reasons.ts'
import type { Signal } from '../../domain/records.ts'
import { READY_LINE } from './answer.ts'
import type { Question } from './question.ts'

/** Most signals of one frame: 3 ways to have its colours, 3 backgrounds, 2 turns, 5 trimmings, 8 orientations, each derived and sampled. */
const signalsPerFrame = 3 * 3 * 2 * 5 * 8 * 2
/** Longest line that a scanner has reason to write, in bytes. */
const LINE_BYTES = 512
const NEWLINE = 10

const inspectionFaults = [
  'PAYLOAD_EMPTY',
  'MEDIA_UNSUPPORTED',
  'MEDIA_UNDECODABLE',
  'MEDIA_INCOMPLETE',
  'DIMENSIONS_OVER_LIMIT',
  'FRAMES_OVER_LIMIT',
] as const satisfies ItemFault[]

const HEX = /^[0-9a-f]*$/

const end = z.strictObject({
  id: z.int(),
  mediaType: z
    .string()
    .max(127)
    .regex(/^[\w.+-]+\/[\w.+-]+(;.*)?$/)
    .nullable(),
  faults: z.array(z.enum(inspectionFaults)).max(inspectionFaults.length),
})

/** Whether a scanner says that it is ready. */
export function isReady(line: string): boolean {
  return `${line}\n` === READY_LINE
}

/**
 * Reads a scanner's answer, which is believed as little as the payload that it has just decoded: line by line, so that no more
 * than an answer can hold is ever in memory.
 * @returns takes the next line; tells the inspection with the last one, null before, `garbage` when this can be no answer to the question
 */
export function createAnswerReader({
  id,
  limits,
}: Pick<Question, 'id' | 'limits'>): (line: string) => Inspection | 'garbage' | null {
  const fingerprint: Fingerprint = []

  function finish({ id: answered, mediaType, faults }: z.infer<typeof end>): Inspection | 'garbage' {
    if (answered !== id) return 'garbage'
    if (faults.length === 0 && (mediaType === null || fingerprint[0]?.transform !== 'identity')) return 'garbage'
    return { mediaType, fingerprint, faults }
  }

  return (line) => {
    const value = parseJson(line)
    const one = signalOf(value)
    if (one !== null) {
      if (one.frame >= limits.frames || fingerprint.length >= limits.frames * signalsPerFrame) return 'garbage'
      fingerprint.push(one)
      return null
    }
    const last = end.safeParse(value)
    return last.success ? finish(last.data) : 'garbage'
  }
}

/** A signal with nothing else about it; null for whatever is none. By hand: there are some twenty for each item, and a schema takes ten times as long. */
function signalOf(found: unknown): Signal | null {
  if (typeof found !== 'object' || found === null || Object.keys(found).length !== 6) return null
  const { signal, version, value, quality, frame, transform }: { [Name in keyof Signal]?: unknown } = found
  if (signal !== 'pdq' || version !== PDQ_VERSION) return null
  if (typeof value !== 'string' || value.length !== PDQ_BYTES * 2 || !HEX.test(value)) return null
  if (!isCount(quality) || quality > 100 || !isCount(frame)) return null
  if (typeof transform !== 'string' || !isTransform(transform)) return null
  return { signal, version, value: Buffer.from(value, 'hex'), quality, frame, transform }
}

function isCount(found: unknown): found is number {
  return Number.isSafeInteger(found) && Number(found) >= 0
}

/**
 * Cuts what a scanner writes into lines. No more than one line is ever kept.
 * @returns takes the next piece; false when a line is longer than any that a scanner has reason to write
 */
export function createLineReader(onLine: (line: string) => void): (piece: Buffer) => boolean {
  let kept = Buffer.alloc(0)
  return (piece) => {
    let rest = piece
    for (let at = rest.indexOf(NEWLINE); at >= 0; at = rest.indexOf(NEWLINE)) {
      if (kept.length + at > LINE_BYTES) return false
      onLine(kept.length === 0 ? rest.toString('utf8', 0, at) : Buffer.concat([kept, rest.subarray(0, at)]).toString())
      kept = Buffer.alloc(0)
      rest = rest.subarray(at + 1)
    }
    if (rest.length > 0) kept = Buffer.concat([kept, rest])
    return kept.length <= LINE_BYTES
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
