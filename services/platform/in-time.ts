import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits for `work` no longer than this. What is given up is still under way and may yet be done: it must do no harm then.
 * @param late makes what is thrown when the time is over
 */
export async function inTime<Result>(
  work: Promise<Result>,
  milliseconds: number,
  late: () => Error = () => new Error(`no answer within ${milliseconds / 1000} s`),
): Promise<Result> {
  const done = new AbortController()
  const over = sleep(milliseconds, undefined, { signal: done.signal }).then(() => {
    throw late()
  })
  try {
    return await Promise.race([work, over])
  } finally {
    done.abort()
  }
}
