import { parentPort } from 'node:worker_threads'
import { packError } from '../thread-error.ts'
import type { FileAnswer, FileCall } from './file-threads.ts'
import { createFileTasks, type FileTasks } from './object-files.ts'

// A thread that waits for disks, see `file-threads.ts`: one task at a time, one answer each.

const fileTasks = createFileTasks()

function answer<Name extends keyof FileTasks>({ name, task }: FileCall<Name>): FileAnswer<Name> {
  try {
    return { result: fileTasks[name](task) }
  } catch (error) {
    return { error: packError(error) }
  }
}

parentPort?.on('message', (call: FileCall<keyof FileTasks>) => {
  const said = answer(call)
  // Left to the collector, what was written would pile up.
  const written = 'objects' in call.task ? call.task.objects : []
  for (const { bytes } of written) {
    // Twice the same may have come.
    if (bytes.buffer instanceof ArrayBuffer && !bytes.buffer.detached) bytes.buffer.transfer(0)
  }
  const bytes = 'result' in said && said.result instanceof Uint8Array ? [said.result.buffer] : []
  parentPort?.postMessage(said, bytes)
})
