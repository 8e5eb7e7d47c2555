import type { Inspection } from '../../domain/fingerprint.ts'

/** What a scanner says once, when it is ready for work. */
export const READY_LINE = '{"ready":true}\n'

/** An answer as a scanner gives it: a line for each signal, then one with all the rest. */
export function answerLines(id: number, { fingerprint, mediaType, faults }: Inspection): string {
  const lines = fingerprint.map((one) => JSON.stringify({ ...one, value: one.value.toString('hex') }))
  return [...lines, JSON.stringify({ id, mediaType, faults }), ''].join('\n')
}
