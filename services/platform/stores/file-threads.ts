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
   * @throws {Error} what the task throws, why its thread has ended, or that there was no answer in time; a task that was begun may yet be done
   */
  call<Name extends keyof FileTasks>(
    name: Name,
    task: FileTasks[Name]['task'],
    given?: readonly ArrayBuffer[],
  ): Promise<FileTasks[Name]['answer']>
}

/** A disk that answers no sooner is not there. */
const PATIENCE_MS = 60_000

type Waiting = {
  call: FileCall<keyof FileTasks>
  given: readonly ArrayBuffer[]
  /** An answer is that to the task which was asked, so it is what the asker takes it for. */
  resolve: (result: never) => void
  reject: (error: Error) => void
}

/**
 * Threads for a disk, started as they are needed; they keep no process running but while they have something to do. An operating system may wait
 * for a disk for ever, and a thread with it: nobody else waits for it longer than `patienceMs`.
 * @param most threads at the same time
 * @param entry the program that a thread runs, if not ours
 */
export function createFileThreads({
  most,
  patienceMs = PATIENCE_MS,
  entry = new URL('file-thread.ts', import.meta.url),
}: {
  most: number
  patienceMs?: number
  entry?: URL
}): FileThreads {
  const queue = new Set<Waiting>()
  const idle: Worker[] = []
  const busy = new Map<Worker, Waiting>()

  function start(): Worker {
    const thread = new Worker(entry)
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
    for (const waiting of queue) {
      if (idle.length === 0 && busy.size >= most) return
      queue.delete(waiting)
      const thread = idle.pop() ?? start()
      busy.set(thread, waiting)
      thread.ref()
      thread.postMessage(waiting.call, [...waiting.given])
    }
  }

  return {
    call(name, task, given = []) {
      return new Promise((resolve, reject) => {
        const waiting: Waiting = {
          call: { name, task },
          given,
          resolve(result) {
            clearTimeout(timer)
            resolve(result)
          },
          reject(error) {
            clearTimeout(timer)
            reject(error)
          },
        }
        const timer = setTimeout(() => {
          // Not begun, it would be begun for nothing: until the disk is there again, many such could come together.
          queue.delete(waiting)
          for (const [thread, asked] of busy) if (asked === waiting) thread.unref()
          reject(new Error(`no answer within ${patienceMs / 1000} s`))
        }, patienceMs)
        queue.add(waiting)
        next()
      })
    },
  }
}
