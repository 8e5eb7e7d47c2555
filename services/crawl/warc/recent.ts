/**
 * A map that forgets what was not asked for longest, once it holds more than so many bytes.
 * @param budget bytes, as {@link weightOf} counts them
 */
export function createRecent<Value>(budget: number, weightOf: (key: string, value: Value) => number) {
  const entries = new Map<string, { value: Value; weight: number }>()
  let held = 0

  function forget(key: string): void {
    held -= entries.get(key)?.weight ?? 0
    entries.delete(key)
  }

  return {
    get(key: string): Value | undefined {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      entries.set(key, entry)
      return entry.value
    },
    set(key: string, value: Value): void {
      forget(key)
      const weight = weightOf(key, value)
      entries.set(key, { value, weight })
      held += weight
      for (const oldest of entries.keys()) {
        if (held <= budget) break
        forget(oldest)
      }
    },
  }
}

/** About what an entry of such a map takes that holds these texts, in bytes: measured. */
export function textWeight(...texts: readonly (string | null)[]): number {
  return texts.reduce((sum, text) => sum + 2 * (text?.length ?? 0), 400)
}
