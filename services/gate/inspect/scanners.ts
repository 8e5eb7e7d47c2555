import { SluiceError } from '../../domain/errors.ts'
import type { Inspection, InspectLimits } from '../../domain/fingerprint.ts'
import type { ItemFault } from '../../domain/reasons.ts'
import { type Isolation, type Launcher, launchers } from './launcher.ts'
import { type ScannerChild, type ScannerEnd, startScanner } from './scanner-child.ts'

export type ScannersOptions = {
  /** number of scanner processes, at least 1; each is started when it is first needed */
  size: number
  /** most memory of a scanner process: see {@link scannerMemory} */
  memoryBytes: number
  /** told each time a scanner had to be killed or was found dead */
  onRestart: (why: ScannerEnd) => void
  /** a scanner makes room for a fresh one after about so many items; default 2000 */
  itemsEach?: number
  /** the program that a scanner runs, if not ours */
  entry?: URL
}

/** A pool of processes that decode and hash payloads, because decoders are what attackers aim at. */
export type Scanners = {
  /** most scanners that work at the same time */
  size: number
  /**
   * Starts the first scanner, in the best way that this machine allows; the others are started by `startAll`. Where it was not called, `inspect`
   * starts them as they are needed.
   * @throws {SluiceError} SCANNERS_UNAVAILABLE when no process can be started, or after `close`
   */
  prepare(): Promise<Isolation>
  /** Starts those that do not run, ahead of being needed. */
  startAll(): void
  /** How the scanners are kept apart; null before the first one has started. */
  isolation(): Isolation | null
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
  memory: 'SCANNER_CRASHED',
  timeout: 'SCANNER_TIMEOUT',
}

/**
 * What a scanner needs for the largest things that policy allows, and half as much again: measured are 25 bytes a pixel, for pictures that
 * are transparent and have borders and a colour profile; small frames are decoded many at a time.
 * @returns bytes
 */
export function scannerMemory({ pixels, payloadBytes }: { pixels: number; payloadBytes: number }): number {
  return 256 * 1024 ** 2 + 4 * payloadBytes + 40 * Math.max(pixels, 16_000_000)
}

type Slot = {
  child: ScannerChild | null
  /** items after which the child makes room */
  items: number
  /** ready to take over from the child */
  fresh: ScannerChild | null
  isRefreshing: boolean
}

export function createScanners({
  size,
  memoryBytes,
  onRestart,
  itemsEach = 2000,
  entry = new URL('scanner.ts', import.meta.url),
}: ScannersOptions): Scanners {
  const free = Array.from({ length: size }, (_, i): Slot => {
    // They do not all make room at the same time.
    return {
      child: null,
      items: Math.ceil((itemsEach * (i + 1)) / size),
      fresh: null,
      isRefreshing: false,
    }
  })
  /** not to be started yet */
  const reserve: Slot[] = []
  const waiting: ((slot: Slot | null) => void)[] = []
  const running = new Set<ScannerChild>()
  let closed = false
  let found: { launcher: Launcher; first: ScannerChild | null } | null = null
  let finding: Promise<void> | null = null

  const closedError = () => new SluiceError('SCANNERS_UNAVAILABLE', 'the scanners were closed')

  async function startBy(launcher: Launcher): Promise<ScannerChild | null> {
    const onSpawn = (spawned: ScannerChild) => {
      running.add(spawned)
      spawned.gone.then(() => running.delete(spawned))
    }
    if (closed) throw closedError()
    try {
      const child = await startScanner({ entry, launcher, memoryBytes, onSpawn })
      if (!closed) return child
    } catch (cause) {
      if (!closed) throw new SluiceError('SCANNERS_UNAVAILABLE', undefined, { cause })
    }
    throw closedError()
  }

  /** Which launcher works is settled by the first scanner, before it has seen any item, and holds for all that follow. */
  async function find(): Promise<void> {
    for (const launcher of launchers(memoryBytes)) {
      const first = await startBy(launcher)
      if (first === null) continue
      found = { launcher, first }
      return
    }
    throw new SluiceError('SCANNERS_UNAVAILABLE')
  }

  async function prepare(): Promise<{ launcher: Launcher; first: ScannerChild | null }> {
    if (found !== null) return found
    finding ??= find().finally(() => {
      finding = null
    })
    await finding
    return prepare()
  }

  async function start(): Promise<ScannerChild> {
    const way = await prepare()
    const { first } = way
    way.first = null
    if (first?.alive()) return first
    const child = await startBy(way.launcher)
    if (child === null) throw new SluiceError('SCANNERS_UNAVAILABLE')
    return child
  }

  async function childOf(slot: Slot): Promise<ScannerChild> {
    if (slot.fresh?.alive()) {
      slot.child?.kill()
      slot.child = slot.fresh
      slot.items = itemsEach
    }
    slot.fresh = null
    if (slot.child?.alive()) return slot.child
    if (slot.child !== null) onRestart('crashed')
    slot.child = null
    slot.child = await start()
    return slot.child
  }

  /** No item waits for it that another scanner could take. */
  async function startAhead(slot: Slot): Promise<void> {
    slot.child = await start().catch(() => null)
    release(slot)
  }

  function release(slot: Slot): void {
    const next = waiting.shift()
    if (next === undefined) free.push(slot)
    else next(slot)
  }

  /** What leaks, or has got hold of a scanner, ends with it. The old one works on until the new one is ready. */
  async function refresh(slot: Slot): Promise<void> {
    slot.isRefreshing = true
    try {
      slot.fresh = await start()
    } catch {
      // The old one goes on; after the next item it is tried again.
    } finally {
      slot.isRefreshing = false
    }
  }

  async function inspectIn(slot: Slot, payload: Uint8Array, limits: InspectLimits): Promise<Inspection> {
    let end: ScannerEnd = 'crashed'
    for (let attempt = 0; attempt < attempts; attempt++) {
      const child = await childOf(slot)
      const result = await child.ask(payload, limits)
      if (closed) throw closedError()
      if (typeof result !== 'string') {
        if (child.asked() >= slot.items && slot.fresh === null && !slot.isRefreshing) void refresh(slot)
        return result
      }
      slot.child = null
      end = result
      onRestart(end)
    }
    return { mediaType: null, fingerprint: [], faults: [faultOf[end]] }
  }

  return {
    size,
    async prepare() {
      if (found === null) reserve.push(...free.splice(1))
      const { launcher } = await prepare()
      return launcher.isolation
    },
    startAll() {
      // One that does not start is tried again when it is needed.
      for (const slot of [...free.splice(0), ...reserve.splice(0)]) {
        if (slot.child === null) void startAhead(slot)
        else free.push(slot)
      }
    },
    isolation: () => found?.launcher.isolation ?? null,
    async inspect(payload, limits) {
      if (closed) throw closedError()
      const slot = free.pop() ?? (await new Promise<Slot | null>((resolve) => waiting.push(resolve)))
      if (slot === null) throw closedError()
      try {
        return await inspectIn(slot, payload, limits)
      } finally {
        release(slot)
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
