import { parentPort } from 'node:worker_threads'
import { giveBack } from '../give-back.ts'
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
  const written = 'objects' in call.task ? call.task.objects : 'bytes' in call.task ? [call.task] : []
  for (const { bytes } of written) giveBack(bytes)
  const bytes = 'result' in said && said.result instanceof Uint8Array ? [said.result.buffer] : []
  parentPort?.postMessage(said, bytes)
})
