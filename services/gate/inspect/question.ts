import type { InspectLimits } from '../../domain/fingerprint.ts'

/** What a scanner is asked: one line of JSON, then the payload's bytes. */
export type Question = { id: number; payload: Uint8Array; limits: InspectLimits }

type Head = Pick<Question, 'id' | 'limits'> & { size: number }

const NEWLINE = 10

/** The line before the payload. */
export function questionHead({ id, payload, limits }: Question): string {
  return `${JSON.stringify({ id, size: payload.length, limits } satisfies Head)}\n`
}

/**
 * Puts questions together from the pieces of a stream, as they come. Who asks is trusted, and so is the line.
 * @param onQuestion gets a question when it is done with those before it
 * @returns takes the next piece
 */
export function createQuestionReader(
  onQuestion: (question: Question) => Promise<void> | void,
): (piece: Buffer) => void {
  let turn = Promise.resolve()
  let line = Buffer.alloc(0)
  let open: { question: Question; filled: number } | null = null

  return (piece) => {
    let rest = piece
    while (rest.length > 0) {
      if (open === null) {
        const end = rest.indexOf(NEWLINE)
        line = Buffer.concat([line, end < 0 ? rest : rest.subarray(0, end)])
        if (end < 0) return
        const { id, size, limits }: Head = JSON.parse(line.toString())
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
        turn = turn.then(() => onQuestion(question))
      }
    }
  }
}
