import { extname } from 'node:path'
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
/** Questions that a scanner has at a time: the next one lies in its pipe when it is done with one, however busy the gate is just then. */
const depth = 2
/** An item that no scanner came to, time and again, is not what ends them. */
const mostUnasked = 10
const faultOf: Readonly<Record<ScannerEnd, ItemFault>> = {
  crashed: 'SCANNER_CRASHED',
  garbage: 'SCANNER_CRASHED',
  memory: 'SCANNER_CRASHED',
  timeout: 'SCANNER_TIMEOUT',
}

/**
 * What a scanner needs for the largest things that policy allows: measured are 25 bytes a pixel, for pictures that are transparent and have borders and a colour profile, and
 * 40 for one that is ten million pixels wide and five high; small frames are decoded many at a time. The next payload lies there too.
 * @returns bytes
 */
export function scannerMemory({ pixels, payloadBytes }: { pixels: number; payloadBytes: number }): number {
  return 256 * 1024 ** 2 + 5 * payloadBytes + 40 * Math.max(pixels, 16_000_000)
}

type Slot = {
  child: ScannerChild | null
  /** the child that is being started */
  starting: Promise<ScannerChild> | null
  /** no item is given to it */
  isHeldBack: boolean
  /** items that it was given and is not done with */
  load: number
  /** items after which the child makes room */
  items: number
  /** ready to take over from the child, when that one is done */
  fresh: ScannerChild | null
  isRefreshing: boolean
}

export function createScanners({
  size,
  memoryBytes,
  onRestart,
  itemsEach = 2000,
  entry = new URL(`scanner${extname(import.meta.filename)}`, import.meta.url),
}: ScannersOptions): Scanners {
  const slots = Array.from({ length: size }, (_, i): Slot => {
    // They do not all make room at the same time.
    const items = Math.ceil((itemsEach * (i + 1)) / size)
    return { child: null, starting: null, isHeldBack: false, load: 0, items, fresh: null, isRefreshing: false }
  })
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
    if (slot.fresh !== null && slot.load === 1) {
      if (slot.fresh.alive()) {
        slot.child?.kill()
        slot.child = slot.fresh
        slot.items = itemsEach
      }
      slot.fresh = null
    }
    if (slot.child?.alive()) return slot.child
    if (slot.child !== null) onRestart('crashed')
    slot.child = null
    return await startIn(slot)
  }

  async function startIn(slot: Slot): Promise<ScannerChild> {
    slot.starting ??= start().finally(() => {
      slot.starting = null
    })
    slot.child = await slot.starting
    return slot.child
  }

  /** No item waits for it that another scanner could take. */
  async function startAhead(slot: Slot): Promise<void> {
    slot.isHeldBack = true
    // One that does not start is tried again when it is needed.
    await startIn(slot).catch(() => undefined)
    slot.isHeldBack = false
    serve()
  }

  /** The one with the least to do, rather one that runs; null when each has as much as it may have. */
  function leastBusy(): Slot | null {
    let best: Slot | null = null
    for (const slot of slots) {
      if (slot.isHeldBack || slot.load >= (slot.fresh === null ? depth : 1)) continue
      const isBetter = best === null || slot.load < best.load
      if (isBetter || (slot.load === best?.load && slot.child !== null && best.child === null)) best = slot
    }
    return best
  }

  function serve(): void {
    while (waiting.length > 0) {
      const slot = leastBusy()
      if (slot === null) return
      slot.load += 1
      waiting.shift()?.(slot)
    }
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
    for (let [attempt, unasked] = [0, 0]; attempt < attempts; ) {
      const child = await childOf(slot)
      const result = await child.ask(payload, limits)
      if (closed) throw closedError()
      if (typeof result !== 'string') {
        if (child.asked() >= slot.items && slot.fresh === null && !slot.isRefreshing) void refresh(slot)
        return result
      }
      if (slot.child === child) slot.child = null
      if (result === 'unasked') {
        unasked += 1
        if (unasked > mostUnasked)
          throw new SluiceError('SCANNERS_UNAVAILABLE', 'scanners end before they come to an item')
        continue
      }
      attempt += 1
      end = result
      onRestart(end)
    }
    return { mediaType: null, fingerprint: [], faults: [faultOf[end]] }
  }

  return {
    size,
    async prepare() {
      if (found === null) for (const slot of slots.slice(1)) slot.isHeldBack = slot.child === null
      const { launcher } = await prepare()
      return launcher.isolation
    },
    startAll() {
      for (const slot of slots) if (slot.child === null && slot.starting === null) void startAhead(slot)
    },
    isolation: () => found?.launcher.isolation ?? null,
    async inspect(payload, limits) {
      if (closed) throw closedError()
      const slot = await new Promise<Slot | null>((resolve) => {
        waiting.push(resolve)
        serve()
      })
      if (slot === null) throw closedError()
      try {
        return await inspectIn(slot, payload, limits)
      } finally {
        slot.load -= 1
        serve()
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
