import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SluiceError } from '../domain/errors.ts'
import { inTime } from '../platform/in-time.ts'
import { releaseMemory } from '../platform/release-memory.ts'
import type { Settings } from '../platform/settings.ts'
import { unpackError } from '../platform/thread-error.ts'
import type { CollectListsOptions, ListsCollecting } from './collect-lists.ts'
import type { SnapshotEvent } from './keep-snapshot.ts'
import type { ListsMessage } from './lists-worker.ts'

/** A thread that has ended is started anew after this long. */
const AGAIN_MS = 1000
/** One that has said nothing for this long hangs: to prove and index ten million entries takes less than a minute. */
const HANGS_MS = 300_000
const LOOK_MS = 5000
/** One that waits for a disk does not end before that answers. */
const TERMINATE_MS = 10_000
/** By then whoever took the index before has done with it. */
const RELEASE_MS = 60_000

export type ListsThread = Worker

/** Starts a thread for {@link collectInThread}: it loads its code and waits. It keeps no process running. */
export function startListsThread(): ListsThread {
  const thread = new Worker(new URL(`lists-worker${extname(import.meta.filename)}`, import.meta.url))
  thread.unref()
  return thread
}

/**
 * Collects the hash lists, as `collectLists` does, in a thread of its own: this one talks to Kafka about items and must answer in time. A
 * thread that ends or hangs is replaced; until the new one has read everything, what the old one told last stands, growing old.
 * @param first a thread that has been started already; it ends with the collecting
 */
export function collectInThread(
  settings: Settings,
  {
    onNews,
    onTrouble,
    onSnapshot,
  }: Pick<CollectListsOptions, 'onNews' | 'onTrouble'> & { onSnapshot?: (event: SnapshotEvent) => void },
  first = startListsThread(),
): ListsCollecting {
  const stopping = new AbortController()
  let heardAt = performance.now()
  /** whether any thread has read everything */
  let wasRead = false
  let releasing: NodeJS.Timeout | undefined
  let worker: Worker | null = use(first)
  const looking = setInterval(() => {
    if (worker === null || performance.now() - heardAt < HANGS_MS) return
    replace(worker, new Error(`it has said nothing for ${HANGS_MS / 1000} s`))
  }, LOOK_MS)

  function use(started: Worker): Worker {
    heardAt = performance.now()
    let hasRead = false
    started.on('message', (message: ListsMessage) => {
      if (started !== worker) return
      heardAt = performance.now()
      if (message.kind === 'news') hasRead ||= message.news.isRead
      try {
        if (message.kind !== 'news' || hasRead || !wasRead) take(message)
      } catch (error) {
        replace(started, error)
      }
    })
    started.on('error', (error) => replace(started, error))
    started.on('exit', (code) => replace(started, new Error(`it has ended with code ${code}`)))
    started.postMessage(settings)
    return started
  }

  function take(message: ListsMessage): void {
    if (message.kind === 'trouble') onTrouble(unpackError(message.error))
    else if (message.kind === 'snapshot') onSnapshot?.(message.event)
    else if (message.kind === 'building') releaseMemory()
    else {
      const { news, unbuilt } = message
      wasRead ||= news.isRead
      onNews({ ...news, unbuilt: unbuilt && incomplete(unpackError(unbuilt)) })
      if (news.tables === undefined) return
      clearTimeout(releasing)
      releasing = setTimeout(releaseMemory, RELEASE_MS).unref()
    }
  }

  /** @param cause why the thread is of no use any more */
  async function replace(old: Worker, cause: unknown): Promise<void> {
    if (old !== worker || stopping.signal.aborted) return
    worker = null
    const sentence = 'the thread that reads the hash lists is of no use any more; another one is started'
    onTrouble(new SluiceError('LISTS_INCOMPLETE', sentence, { cause }))
    // Not before: the two would need memory for both.
    await inTime(old.terminate(), TERMINATE_MS).catch(() => undefined)
    await sleep(AGAIN_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    if (!stopping.signal.aborted) worker = use(startListsThread())
  }

  return {
    async stop() {
      stopping.abort()
      clearInterval(looking)
      clearTimeout(releasing)
      // The group that it reads in is its own: nobody waits for its leave.
      await worker?.terminate()
    },
  }
}

function incomplete(error: Error): SluiceError {
  return error instanceof SluiceError ? error : new SluiceError('LISTS_INCOMPLETE', undefined, { cause: error })
}
