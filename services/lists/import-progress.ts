const AFTER_MS = 2000

/** Tells on stderr how far an import is, once it has taken more than two seconds. @param start milliseconds since the epoch */
export function importProgress(start: number): (done: number, total: number) => void {
  let shown = start + AFTER_MS - 1000
  return (done, total) => {
    if (Date.now() < shown + 1000) return
    shown = Date.now()
    process.stderr.write(`writing the list: ${done} of ${total}\n`)
  }
}
