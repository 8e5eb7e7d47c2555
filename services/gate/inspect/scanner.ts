import { question, readyMessage } from './answer.ts'
import { inspectPayload } from './inspect.ts'
import { preparePictures } from './picture.ts'

// Entry of a scanner process: one question at a time by IPC, one answer each. It has no environment and no rights but to
// read its own code. Whatever goes wrong kills it, and the pool draws the conclusions.
preparePictures()

process.on('message', async (message) => {
  const { id, payload, limits } = question.parse(message)
  process.send?.({ id, inspection: await inspectPayload(payload, limits) })
})
// Exiting would wait for a decoder that hangs.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// A terminal sends these to the gate's children too, while the gate still finishes its chunk.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})

process.send?.(readyMessage)
