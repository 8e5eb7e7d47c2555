import { SluiceError } from '../../domain/errors.ts'
import type { Inspection, InspectLimits } from '../../domain/fingerprint.ts'
import type { ItemFault } from '../../domain/reasons.ts'
import { type ScannerChild, type ScannerEnd, startScanner } from './scanner-child.ts'

export type ScannersOptions = {
  /** number of scanner processes, at least 1; each is started when it is first needed */
  size: number
  /** told each time a scanner had to be killed or was found dead */
  onRestart: (why: ScannerEnd) => void
  /** the program that a scanner runs, if not ours */
  entry?: URL
}

/** A pool of processes that decode and hash payloads, because decoders are what attackers aim at. */
export type Scanners = {
  /**
   * Inspects one payload, after those that wait already. An item that ends its scanner is tried once more on a fresh one,
   * then has the fault SCANNER_TIMEOUT or SCANNER_CRASHED.
   * @throws {SluiceError} SCANNERS_UNAVAILABLE when no process can be started, or after `close`
   */
  inspect(payload: Uint8Array, limits: InspectLimits): Promise<Inspection>
  /** Kills all scanners and rejects what is pending; settles when the processes have ended. */
  close(): Promise<void>
  /** Process ids of the scanners that run now. */
  pids(): number[]
}

const attempts = 2
const faultOf: Readonly<Record<ScannerEnd, ItemFault>> = {
  crashed: 'SCANNER_CRASHED',
  garbage: 'SCANNER_CRASHED',
  timeout: 'SCANNER_TIMEOUT',
}

type Slot = { child: ScannerChild | null }

export function createScanners({ size, onRestart, entry }: ScannersOptions): Scanners {
  const program = entry ?? new URL('scanner.ts', import.meta.url)
  const free: Slot[] = Array.from({ length: size }, () => ({ child: null }))
  const waiting: ((slot: Slot | null) => void)[] = []
  const running = new Set<ScannerChild>()
  let closed = false

  const closedError = () => new SluiceError('SCANNERS_UNAVAILABLE', 'the scanners were closed')

  async function childOf(slot: Slot): Promise<ScannerChild> {
    if (slot.child?.alive()) return slot.child
    if (slot.child !== null) onRestart('crashed')
    slot.child = null
    const child = await start()
    if (closed) throw closedError()
    if (child === null) throw new SluiceError('SCANNERS_UNAVAILABLE')
    slot.child = child
    return child
  }

  async function start(): Promise<ScannerChild | null> {
    try {
      return await startScanner(program, (spawned) => {
        running.add(spawned)
        spawned.gone.then(() => running.delete(spawned))
      })
    } catch (cause) {
      throw new SluiceError('SCANNERS_UNAVAILABLE', undefined, { cause })
    }
  }

  async function inspectIn(slot: Slot, payload: Uint8Array, limits: InspectLimits): Promise<Inspection> {
    let end: ScannerEnd = 'crashed'
    for (let attempt = 0; attempt < attempts; attempt++) {
      const child = await childOf(slot)
      const result = await child.ask(payload, limits)
      if (closed) throw closedError()
      if (typeof result !== 'string') return result
      slot.child = null
      end = result
      onRestart(end)
    }
    return { mediaType: null, fingerprint: [], faults: [faultOf[end]] }
  }

  return {
    async inspect(payload, limits) {
      if (closed) throw closedError()
      const slot = free.pop() ?? (await new Promise<Slot | null>((resolve) => waiting.push(resolve)))
      if (slot === null) throw closedError()
      try {
        return await inspectIn(slot, payload, limits)
      } finally {
        const next = waiting.shift()
        if (next === undefined) free.push(slot)
        else next(slot)
      }
    },
    async close() {
      closed = true
      for (const resolve of waiting.splice(0)) resolve(null)
      const ending = [...running]
      for (const child of ending) child.kill()
      await Promise.all(ending.map(({ gone }) => gone))
    },
    pids: () => [...running].map(({ pid }) => pid),
  }
}
