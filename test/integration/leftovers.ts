const ends = new Set<() => void>()

process.once('exit', () => {
  for (const end of ends) end()
})
// Else a test that is told to stop, by its runner or by Ctrl-C, would leave its processes behind.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/**
 * Has something ended when this process ends, whatever ends it (but SIGKILL).
 * @param end must do its work at once
 * @returns forgets it: there is nothing left to end
 */
export function endWithThisProcess(end: () => void): () => void {
  ends.add(end)
  return () => {
    ends.delete(end)
  }
}
