import { z } from 'zod'
import { type Inspection, isTransform } from '../../domain/fingerprint.ts'
import { PDQ_BYTES, PDQ_VERSION } from '../../domain/pdq.ts'
import type { ItemFault } from '../../domain/reasons.ts'

/** Most signals of one frame: 3 backgrounds, 2 turns, 5 trimmings, 8 orientations, each derived and sampled. */
const signalsPerFrame = 3 * 2 * 5 * 8 * 2

const inspectionFaults = [
  'PAYLOAD_EMPTY',
  'MEDIA_UNSUPPORTED',
  'MEDIA_UNDECODABLE',
  'MEDIA_INCOMPLETE',
  'DIMENSIONS_OVER_LIMIT',
  'FRAMES_OVER_LIMIT',
] as const satisfies ItemFault[]

/** What a scanner says once, when it is ready for work. */
export const readyMessage = { ready: true } as const
const ready = z.strictObject({ ready: z.literal(true) })

/** What a scanner is asked. */
export const question = z.strictObject({
  id: z.int(),
  payload: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  limits: z.strictObject({ pixels: z.int(), frames: z.int(), seconds: z.number() }),
})
export type Question = z.infer<typeof question>

const signal = z.strictObject({
  signal: z.literal('pdq'),
  version: z.literal(PDQ_VERSION),
  value: z
    .instanceof(Uint8Array)
    .refine((value) => value.length === PDQ_BYTES)
    .transform((value) => Buffer.from(value)),
  quality: z.int().min(0).max(100),
  frame: z.int().min(0),
  transform: z.string().refine(isTransform),
})

const answer = z.strictObject({
  id: z.int(),
  inspection: z.strictObject({
    mediaType: z
      .string()
      .max(127)
      .regex(/^[\w.+-]+\/[\w.+-]+(;.*)?$/)
      .nullable(),
    fingerprint: z.array(signal),
    faults: z.array(z.enum(inspectionFaults)).max(inspectionFaults.length),
  }),
})

/** Whether a scanner says that it is ready. */
export function isReady(message: unknown): boolean {
  return ready.safeParse(message).success
}

/**
 * A scanner's answer, which is believed as little as the payload that it has just decoded.
 * @returns null when it is no possible answer to the question
 */
export function parseAnswer(message: unknown, { id, limits }: Pick<Question, 'id' | 'limits'>): Inspection | null {
  const parsed = answer.safeParse(message)
  if (!parsed.success || parsed.data.id !== id) return null
  const { inspection } = parsed.data
  const { fingerprint, faults, mediaType } = inspection
  if (fingerprint.length > limits.frames * signalsPerFrame) return null
  if (fingerprint.some(({ frame }) => frame >= limits.frames)) return null
  if (faults.length === 0 && (mediaType === null || fingerprint[0]?.transform !== 'identity')) return null
  return inspection
}
