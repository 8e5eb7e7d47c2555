import { answerLines, READY_LINE } from '../../services/gate/inspect/answer.ts'
import { preparePictures } from '../../services/gate/inspect/decode.ts'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'
import { createQuestionReader } from '../../services/gate/inspect/question.ts'

// Our scanner, but a decoder of it does not survive one format: GIF.

const read = createQuestionReader(async ({ id, payload, limits }) => {
  if (Buffer.from(payload).toString('latin1', 0, 4) === 'GIF8') process.kill(process.pid, 'SIGKILL')
  process.stdout.write(answerLines(id, await inspectPayload(payload, limits)))
})

await preparePictures()
process.stdin.on('data', read)
process.stdout.write(READY_LINE)
