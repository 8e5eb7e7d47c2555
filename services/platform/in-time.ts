/**
 * Waits for `work` no longer than this. What is given up is still under way and may yet be done: it must do no harm then.
 * @param late makes what is thrown when the time is over, of an error that says so
 */
export async function inTime<Result>(
  work: Promise<Result>,
  milliseconds: number,
  late: (why: Error) => Error = (why) => why,
): Promise<Result> {
  const over = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => over.reject(late(new Error(`no answer within ${milliseconds / 1000} s`))),
    milliseconds,
  )
  try {
    return await Promise.race([work, over.promise])
  } finally {
    clearTimeout(timer)
  }
}
