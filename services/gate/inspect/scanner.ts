import { giveBack } from '../../platform/give-back.ts'
import { answerLines, READY_LINE } from './answer.ts'
import { preparePictures } from './decode.ts'
import { inspectPayload } from './inspect.ts'
import { createQuestionReader } from './question.ts'

// Entry of a scanner process: one question at a time on stdin, one answer each on stdout. It has no environment and no rights
// but to read its own code, of which there is as little as can be: it is ready sooner. Whatever goes wrong kills it, and the pool
// draws the conclusions.
await preparePictures()

// What comes in is given back at once: left to the collector, it had it going through all memory again and again, for a twentieth of a scanner's time.
const read = createQuestionReader(async ({ id, payload, limits }) => {
  process.stdout.write(answerLines(id, await inspectPayload(payload, limits)))
  giveBack(payload)
})
process.stdin.on('data', (piece) => {
  read(piece)
  giveBack(piece)
})
// The gate is gone. Exiting would wait for a decoder that hangs.
process.stdin.on('close', () => process.kill(process.pid, 'SIGKILL'))
// A terminal sends these to the gate's children too, while the gate still finishes its chunk.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})

process.stdout.write(READY_LINE)
