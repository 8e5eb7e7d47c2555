import { z } from 'zod'
import type { InspectLimits } from '../../domain/fingerprint.ts'

/** What a scanner is asked: one line of JSON, then the payload's bytes. */
export type Question = { id: number; payload: Uint8Array; limits: InspectLimits }

const head = z.strictObject({
  id: z.int(),
  size: z.int().min(0),
  limits: z.strictObject({ pixels: z.int(), frames: z.int(), seconds: z.number() }),
})

const NEWLINE = 10

/** The line before the payload. */
export function questionHead({ id, payload, limits }: Question): string {
  return `${JSON.stringify({ id, size: payload.length, limits })}\n`
}

/**
 * Puts questions together from the pieces of a stream, as they come. Who asks is trusted.
 * @returns takes the next piece
 */
export function createQuestionReader(onQuestion: (question: Question) => void): (piece: Buffer) => void {
  let line = Buffer.alloc(0)
  let open: { question: Question; filled: number } | null = null

  return (piece) => {
    let rest = piece
    while (rest.length > 0) {
      if (open === null) {
        const end = rest.indexOf(NEWLINE)
        line = Buffer.concat([line, end < 0 ? rest : rest.subarray(0, end)])
        if (end < 0) return
        const { id, size, limits } = head.parse(JSON.parse(line.toString()))
        line = Buffer.alloc(0)
        open = { question: { id, limits, payload: Buffer.allocUnsafeSlow(size) }, filled: 0 }
        rest = rest.subarray(end + 1)
      }
      const { question } = open
      const part = rest.subarray(0, question.payload.length - open.filled)
      question.payload.set(part, open.filled)
      open.filled += part.length
      rest = rest.subarray(part.length)
      if (open.filled === question.payload.length) {
        open = null
        onQuestion(question)
      }
    }
  }
}
