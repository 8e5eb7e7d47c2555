import { surroundings } from '../domain/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'

/** A reason not to go on, as the gate or a lane finds it. */
export type Pause = {
  /** null where it concerns the whole gate */
  partition: number | null
  code: string
  sentence: string
  /** when it began, where that is known; else it began when it was first seen */
  since?: string
  cause?: unknown
}

/** A pause as people are told of it: what is waited for, since when, and what to do. */
export type Waiting = { partition: number | null; code: string; sentence: string; action: string; since: string }

export type Pauses = {
  /** Takes all that is paused now; what was known before and is not among it has ended. */
  update(found: readonly Pause[]): Waiting[]
}

const actions: ReadonlyMap<string, { action: string }> = new Map(Object.entries(surroundings))

/** A lane that waits knows since when, and has logged it with what it was at; that one is being set up, other events tell. */
function isLoggedHere({ partition, code, since }: Pause): boolean {
  return partition === null || (since === undefined && code !== 'STARTING')
}

/** What to do about a code; for one that is no reason to wait, where to look. */
export function actionFor(code: string): string {
  return actions.get(code)?.action ?? 'Look for this code in the log, and call the owner of the gate.'
}

/** Where every pause gets its sentence, its time, its metric and its log line. */
export function createPauses({
  log,
  metrics,
  now = Date.now,
}: {
  log: Log
  metrics: Metrics
  now?: () => number
}): Pauses {
  let known = new Map<string, { pause: Pause; since: string }>()

  return {
    update(found) {
      const current = new Map<string, { pause: Pause; since: string }>()
      for (const pause of found) {
        const { partition, code } = pause
        const key = `${partition ?? 'gate'} ${code}`
        const before = known.get(key)
        const since = pause.since ?? before?.since ?? new Date(now()).toISOString()
        if (current.has(key)) continue
        current.set(key, { pause, since })
        if (isLoggedHere(pause) && before?.pause.sentence !== pause.sentence) {
          log[code === 'STARTING' ? 'info' : 'warn']({
            event: partition === null ? 'gate-waits' : 'lane-waits',
            ...(partition === null ? {} : { partition }),
            code,
            sentence: pause.sentence,
            ...(pause.cause === undefined ? {} : { err: pause.cause }),
          })
        }
      }
      for (const [key, { pause }] of known) {
        const { partition, code } = pause
        if (current.has(key) || !isLoggedHere(pause)) continue
        log.info(partition === null ? { event: 'gate-goes-on', code } : { event: 'lane-goes-on', partition, code })
      }
      known = current
      const waiting = [...current.values()].map(({ pause: { partition, code, sentence }, since }) => ({
        partition,
        code,
        sentence,
        action: actionFor(code),
        since,
      }))
      metrics.waiting.reset()
      metrics.paused.reset()
      for (const { partition, code } of waiting) {
        if (partition === null) metrics.waiting.set({ reason: code }, 1)
        else metrics.paused.set({ partition, reason: code }, 1)
      }
      return waiting
    },
  }
}
