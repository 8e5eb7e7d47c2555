import { answerLines, READY_LINE } from '../../services/gate/inspect/answer.ts'
import { preparePictures } from '../../services/gate/inspect/decode.ts'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'
import { createQuestionReader } from '../../services/gate/inspect/question.ts'

// Our scanner, but for payloads that say EAT: those take memory as a decoder does that has met a bomb.

/** Enough to tell a limit from none, and not all that this machine has. */
const MOST_MEGABYTES = 5000

const read = createQuestionReader(async ({ id, payload, limits }) => {
  if (Buffer.from(payload).toString('latin1', 0, 3) === 'EAT') {
    const eaten: Buffer[] = []
    for (let megabytes = 0; megabytes < MOST_MEGABYTES; megabytes += 32) eaten.push(Buffer.alloc(32 * 1024 ** 2, 1))
  }
  process.stdout.write(answerLines(id, await inspectPayload(payload, limits)))
})

await preparePictures()
process.stdin.on('data', read)
process.stdout.write(READY_LINE)
