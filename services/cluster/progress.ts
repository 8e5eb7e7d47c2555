const FIRST_MS = 2000
const EVERY_MS = 2000

/**
 * Runs `work` and, once it has taken two seconds, says on stderr every two seconds what is going on and for how long.
 * @param label what is done, e.g. `starting Kafka`
 */
export async function withProgress<Result>(label: string, work: () => Promise<Result>): Promise<Result> {
  const startedAt = performance.now()
  const terminal = process.stderr.isTTY
  let shown = false
  const tell = (): void => {
    shown = true
    const text = `${label} … ${Math.round((performance.now() - startedAt) / 1000)} s`
    process.stderr.write(terminal ? `\r${text}\x1b[K` : `${text}\n`)
  }
  let timer = setTimeout(function again() {
    tell()
    timer = setTimeout(again, EVERY_MS)
  }, FIRST_MS)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    if (shown && terminal) process.stderr.write('\n')
  }
}
