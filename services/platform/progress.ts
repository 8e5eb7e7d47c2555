const EVERY_MS = 2000

/**
 * After two seconds, and every two from then on, says on stderr how far things are.
 * @param text called each time
 * @returns ends it
 */
export function showProgress(text: () => string): () => void {
  const terminal = process.stderr.isTTY
  const timer = setInterval(() => {
    process.stderr.write(terminal ? `\r${text()}\x1b[K` : `${text()}\n`)
  }, EVERY_MS)
  return () => {
    clearInterval(timer)
    if (terminal) process.stderr.write('\r\x1b[K')
  }
}

/**
 * Runs `work` and, once it has taken two seconds, says what is going on and for how long.
 * @param label what is done, e.g. `starting Kafka`
 */
export async function withProgress<Result>(label: string, work: () => Promise<Result>): Promise<Result> {
  const startedAt = performance.now()
  const stop = showProgress(() => `${label} … ${Math.round((performance.now() - startedAt) / 1000)} s`)
  try {
    return await work()
  } finally {
    stop()
  }
}
