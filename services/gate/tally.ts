import type { Metrics } from '../platform/metrics.ts'
import type { Routed } from './route.ts'

/** What a gate has judged and committed since it started. */
export type Tally = {
  items: number
  outcomes: Record<string, number>
  reasons: Record<string, number>
  /** between the first chunk that was taken up and the last commit */
  seconds: number
}

/** Seconds that the present rate is taken over. */
const WINDOW = 60

/** Counts what is committed, for metrics, the summary and the status. */
export function createTally(metrics: Metrics, now: () => number = () => performance.now()) {
  const total: Tally = { items: 0, outcomes: {}, reasons: {}, seconds: 0 }
  let firstWork: number | null = null
  const lately = Array.from({ length: WINDOW }, () => ({ second: -1, items: 0 }))
  const second = (): number => Math.floor(now() / 1000)

  return {
    total,
    /** A chunk is taken up. */
    begin(): void {
      firstWork ??= now()
    },
    add(routed: ReadonlyArray<Pick<Routed, 'outcome' | 'reasons' | 'missing' | 'payloadBytes'>>): void {
      for (const { outcome, reasons, missing, payloadBytes } of routed) {
        metrics.items.inc({ outcome })
        metrics.payloadBytes.inc(payloadBytes)
        for (const { fact } of missing) metrics.missing.inc({ outcome, fact })
        total.items += 1
        total.outcomes[outcome] = (total.outcomes[outcome] ?? 0) + 1
        for (const reason of reasons) {
          metrics.reasons.inc({ outcome, reason })
          total.reasons[reason] = (total.reasons[reason] ?? 0) + 1
        }
      }
      if (firstWork !== null) total.seconds = (now() - firstWork) / 1000
      const place = second() % WINDOW
      const items = lately[place]?.second === second() ? lately[place].items : 0
      lately[place] = { second: second(), items: items + routed.length }
    },
    /** Items a second in the last minute, or since the first work when that was later. */
    perSecond(): number {
      if (firstWork === null) return 0
      const items = lately.reduce((sum, each) => sum + (each.second > second() - WINDOW ? each.items : 0), 0)
      return items / Math.min(WINDOW, Math.max(1, (now() - firstWork) / 1000))
    },
  }
}
