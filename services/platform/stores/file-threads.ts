import { Worker } from 'node:worker_threads'
import { type ThreadError, unpackError } from '../thread-error.ts'
import type { FileTasks } from './object-files.ts'

export type FileCall<Name extends keyof FileTasks> = { name: Name; task: FileTasks[Name]['task'] }
export type FileAnswer<Name extends keyof FileTasks> = { result: FileTasks[Name]['answer'] } | { error: ThreadError }

/** Threads that wait for disks, so that no event loop has to. */
export type FileThreads = {
  /**
   * Has a task done, when a thread is free.
   * @param given array buffers that go over to the thread: they are of no use here any more
   * @throws {Error} what the task throws, or why its thread has ended
   */
  call<Name extends keyof FileTasks>(
    name: Name,
    task: FileTasks[Name]['task'],
    given?: readonly ArrayBuffer[],
  ): Promise<FileTasks[Name]['answer']>
}

type Waiting = {
  call: FileCall<keyof FileTasks>
  given: readonly ArrayBuffer[]
  /** An answer is that to the task which was asked, so it is what the asker takes it for. */
  resolve: (result: never) => void
  reject: (error: Error) => void
}

/**
 * Threads for disks, started as they are needed; they keep no process running but while they have something to do. A disk that stands still takes
 * a thread for each call that waits for it, until it answers: whoever asks must not wait for ever.
 * @param most threads at the same time
 */
export function createFileThreads(most: number): FileThreads {
  const queue: Waiting[] = []
  const idle: Worker[] = []
  const busy = new Map<Worker, Waiting>()

  function start(): Worker {
    const thread = new Worker(new URL('file-thread.ts', import.meta.url))
    thread.on('message', (answer: { result: never } | { error: ThreadError }) => {
      const asked = finish(thread)
      idle.push(thread)
      if ('error' in answer) asked?.reject(unpackError(answer.error))
      else asked?.resolve(answer.result)
      next()
    })
    thread.on('error', (error) => finish(thread)?.reject(error instanceof Error ? error : new Error(String(error))))
    thread.on('exit', (code) => {
      finish(thread)?.reject(new Error(`a thread for files has ended with code ${code}`))
      const at = idle.indexOf(thread)
      if (at >= 0) idle.splice(at, 1)
      next()
    })
    return thread
  }

  function finish(thread: Worker): Waiting | undefined {
    const asked = busy.get(thread)
    busy.delete(thread)
    thread.unref()
    return asked
  }

  function next(): void {
    while (queue.length > 0 && (idle.length > 0 || busy.size < most)) {
      const waiting = queue.shift()
      if (waiting === undefined) return
      const thread = idle.pop() ?? start()
      busy.set(thread, waiting)
      thread.ref()
      thread.postMessage(waiting.call, [...waiting.given])
    }
  }

  return {
    call(name, task, given = []) {
      return new Promise((resolve, reject) => {
        queue.push({ call: { name, task }, given, resolve, reject })
        next()
      })
    },
  }
}
