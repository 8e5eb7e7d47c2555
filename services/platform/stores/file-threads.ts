import { extname } from 'node:path'
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

/** What a thread makes is garbage at once. Left alone the space for it grows for half an hour: the heaps of a gate's eight threads came to 95 MiB together (measured). */
const YOUNG_MIB = 4

type Asked = {
  call: FileCall<keyof FileTasks>
  given: readonly ArrayBuffer[]
  /** An answer is that to the task which was asked, so it is what the asker takes it for. */
  resolve: (result: never) => void
  reject: (error: Error) => void
}
/** What a thread is at; `isLate`: nobody waits for it any more. */
type UnderWay = { asked: Asked; timer: NodeJS.Timeout; isLate: boolean }

/**
 * Threads for a disk, started as they are needed; they keep no process running but while somebody waits for them. An operating system may wait
 * for a disk for ever, and a thread with it: nobody else waits for it longer than `patienceMs`, and for none of them once all are late.
 * @param most threads at the same time
 * @param entry the program that a thread runs, if not ours
 */
export function createFileThreads({
  most,
  patienceMs = PATIENCE_MS,
  entry = new URL(`file-thread${extname(import.meta.filename)}`, import.meta.url),
}: {
  most: number
  patienceMs?: number
  entry?: URL
}): FileThreads {
  const queue: Asked[] = []
  const idle: Worker[] = []
  const busy = new Map<Worker, UnderWay>()

  function start(): Worker {
    const thread = new Worker(entry, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB } })
    const fail = (cause: unknown): void => {
      finish(thread)?.reject(new Error('a thread for files has failed', { cause }))
      void thread.terminate()
    }
    thread.on('message', (answer: { result: never } | { error: ThreadError }) => {
      const asked = finish(thread)
      idle.push(thread)
      if ('error' in answer) asked?.reject(unpackError(answer.error))
      else asked?.resolve(answer.result)
      next()
    })
    thread.on('messageerror', fail)
    thread.on('error', fail)
    thread.on('exit', (code) => {
      finish(thread)?.reject(new Error(`a thread for files has ended with code ${code}`))
      const at = idle.indexOf(thread)
      if (at >= 0) idle.splice(at, 1)
      next()
    })
    return thread
  }

  function finish(thread: Worker): Asked | undefined {
    const underWay = busy.get(thread)
    clearTimeout(underWay?.timer)
    busy.delete(thread)
    thread.unref()
    return underWay?.asked
  }

  function next(): void {
    while (queue.length > 0 && (idle.length > 0 || busy.size < most)) {
      const asked = queue.shift()
      if (asked === undefined) return
      const thread = idle.pop() ?? start()
      const underWay: UnderWay = { asked, isLate: false, timer: setTimeout(() => giveUp(thread), patienceMs) }
      busy.set(thread, underWay)
      thread.ref()
      thread.postMessage(asked.call, [...asked.given])
    }
    // What would be begun when the disk is there again would be begun for nothing, and many such could come together.
    if (busy.size >= most && [...busy.values()].every(({ isLate }) => isLate)) {
      for (const asked of queue.splice(0)) asked.reject(late())
    }
  }

  function giveUp(thread: Worker): void {
    const underWay = busy.get(thread)
    if (underWay === undefined) return
    underWay.isLate = true
    underWay.asked.reject(late())
    thread.unref()
    next()
  }

  function late(): Error {
    return new Error(`no answer within ${patienceMs / 1000} s`)
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
