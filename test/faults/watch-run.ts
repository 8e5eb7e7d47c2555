import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { GateProcess } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'

/** One look at a run: seconds since its begin; items that wait; a gate's process, its resident bytes, and those of its scanners. */
export type Sample = { seconds: number; lag: number; pid: number | null; gateBytes: number; scannerBytes: number }

export type Watch = {
  samples: Sample[]
  /** items that wait; Infinity while nobody can tell */
  lag(): number
  stop(): Promise<void>
}

const EVERY_MS = 2000

/**
 * Looks every two seconds how the run goes.
 * @param gate whose memory is looked at; null while there is none
 */
export function watchRun(bench: Bench, gate: () => GateProcess | null): Watch {
  const began = performance.now()
  const samples: Sample[] = []
  const stopping = new AbortController()
  let lag = 0
  let isKnown = true

  async function look(): Promise<void> {
    try {
      const committed = await bench.committed()
      lag = Math.max(0, (await bench.endOf('crawl.items')) - committed)
      isKnown = true
    } catch {
      // A broker is being broken: for the plot the lag stays what it was.
      isKnown = false
    }
    const pid = gate()?.pid ?? null
    samples.push({
      seconds: (performance.now() - began) / 1000,
      lag,
      pid,
      gateBytes: pid === null ? 0 : residentBytes(pid),
      scannerBytes: pid === null ? 0 : descendants(pid).reduce((sum, each) => sum + residentBytes(each), 0),
    })
  }

  const looking = (async () => {
    while (!stopping.signal.aborted) {
      await look()
      await wait(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  })()
  return {
    samples,
    lag: () => (isKnown ? lag : Number.POSITIVE_INFINITY),
    async stop() {
      stopping.abort()
      await looking
    },
  }
}

/** 0 where there is no such process, or no /proc. */
function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

/** Process ids of its children and theirs. */
export function descendants(pid: number): number[] {
  const children = textOf(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return children.flatMap((child) => [child, ...descendants(child)])
}

function textOf(file: string): string {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  } catch {
    // Gone in between.
    return ''
  }
}
