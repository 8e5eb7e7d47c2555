/**
 * Waits for `work` no longer than this. What is given up is still under way and may yet be done: it must do no harm then.
 * @param late makes what is thrown when the time is over
 */
export async function inTime<Result>(
  work: Promise<Result>,
  milliseconds: number,
  late: () => Error = () => new Error(`no answer within ${milliseconds / 1000} s`),
): Promise<Result> {
  const over = Promise.withResolvers<never>()
  const timer = setTimeout(() => over.reject(late()), milliseconds)
  try {
    return await Promise.race([work, over.promise])
  } finally {
    clearTimeout(timer)
  }
}
