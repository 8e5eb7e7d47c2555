import { answerLines, READY_LINE } from './answer.ts'
import { preparePictures } from './decode.ts'
import { inspectPayload } from './inspect.ts'
import { createQuestionReader } from './question.ts'

// Entry of a scanner process: one question at a time on stdin, one answer each on stdout. It has no environment and no rights
// but to read its own code, of which there is as little as can be: it is ready sooner. Whatever goes wrong kills it, and the pool
// draws the conclusions.
await preparePictures()

const read = createQuestionReader(async ({ id, payload, limits }) => {
  process.stdout.write(answerLines(id, await inspectPayload(payload, limits)))
})
process.stdin.on('data', read)
// The gate is gone. Exiting would wait for a decoder that hangs.
process.stdin.on('close', () => process.kill(process.pid, 'SIGKILL'))
// A terminal sends these to the gate's children too, while the gate still finishes its chunk.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})

process.stdout.write(READY_LINE)
