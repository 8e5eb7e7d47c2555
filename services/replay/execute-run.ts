import { setTimeout as sleep } from 'node:timers/promises'
import { SluiceError } from '../domain/errors.ts'
import type { Coordinates } from '../domain/records.ts'
import { unpackNumbers } from '../domain/replay/packed-numbers.ts'
import { stamped } from '../domain/replay/replay-headers.ts'
import {
  type Fate,
  openOrder,
  placesOf,
  type ReplayRuns,
  type Run,
  type RunOrder,
  type RunState,
  replayedOf,
} from '../domain/replay/replay-runs.ts'
import type { Log } from '../platform/log.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import type { Store } from '../platform/stores/store.ts'
import { clearedMessage } from './cleared-message.ts'
import { findPlanned, type PlannedItem, type PlannedItems } from './find-planned.ts'
import { bytesOf, type LaneParts, type Outgoing, openReplayLane, type ReplayLane, type Step } from './lane.ts'
import { readOriginal } from './original.ts'
import { createOutcomes, type Outcomes } from './outcomes.ts'

const CHUNK_ITEMS = 100
const CHUNK_BYTES = 8_000_000
const READS_AT_ONCE = 8
const LOOK_EVERY_MS = 2000
const AGAIN_MS = 1000
/** Thrown where a run that waits for a store was told something. */
const ORDERED = Symbol('ordered')
/** Before so many outcomes a share means little. */
const FEWEST_OUTCOMES = 50

/** When a run pauses, and when it stops and asks. */
export type Bounds = {
  /** it pauses while the gate has more records before it than this */
  mostLag: number
  /** what was replayed so often is left out, whatever a plan says */
  mostAttempts: number
  /** it asks when more than this share of the newest outcomes are faults; 0..1 */
  mostFaults: number
}

export type Execution = Omit<LaneParts, 'onPlaced'> & {
  settings: Settings
  registry: Registry
  held: Store
  log: Log
  /** the cluster's id, and the full name of its door */
  cluster: string
  door: string
  /** as far as the worker has read replay.runs: newer than what a run began with */
  runs: ReplayRuns
  bounds: Bounds
  /** ends it between two chunks; whoever comes next goes on */
  signal: AbortSignal
}

/**
 * Carries a run out: the canary, and when it came out as foretold the others, until it is done, stopped, or waits for a word.
 * @throws {SluiceError} where another worker is in charge by now; the faults of the surroundings before its first item
 */
export async function executeRun(execution: Execution, run: Run): Promise<void> {
  const { settings, registry, log } = execution
  const outcomes = createOutcomes()
  const lanes: ReplayLane[] = []
  try {
    for (const { partition, request } of run.parts.values()) {
      const foreseen = new Set(unpackNumbers(request.foreseen))
      const onPlaced: LaneParts['onPlaced'] = (_, first, items) => {
        for (const [at, { input }] of items.entries()) {
          outcomes.expect(partition, first + at, foreseen.has(input.offset))
        }
      }
      const lane = await openReplayLane({ ...execution, onPlaced }, run, partition)
      lanes.push(lane)
      // What comes of those was seen by whoever was at it before; only the canary is looked at again.
      for (const offset of placesOf(lane.part().progress?.produced ?? [])) outcomes.expect(partition, offset, true)
    }
    const from = new Map([...run.parts.values()].map(({ partition, request }) => [partition, request.verdictsTo]))
    // Not before it is known what is expected: what came of it may stand there already.
    const followed = await outcomes.follow({ settings, registry, log }, from)
    try {
      await createExecution(execution, run, lanes, outcomes).carryOut()
    } finally {
      await followed.stop()
    }
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()))
  }
}

function createExecution(execution: Execution, run: Run, lanes: readonly ReplayLane[], outcomes: Outcomes) {
  const { settings, registry, held, log, runs, bounds, signal } = execution
  const partitions = lanes.map(({ partition }) => partition)
  const planned = new Map<number, PlannedItems>()
  let lookedAt = Number.NEGATIVE_INFINITY

  /** By the lanes: they know what they have heeded before the worker has read that. */
  function orderNow(): RunOrder | null {
    const parts = new Map(lanes.map((lane) => [lane.partition, lane.part()]))
    return openOrder({ order: runs.run(run.id)?.order ?? null, parts })
  }

  /** Says of every partition what the run is now. With one moment for all: by that it stands in the book once. */
  async function become(state: RunState, why: string | null, heeded?: number): Promise<void> {
    log.info({ event: 'replay', run: run.id, state, why })
    const at = Date.now()
    for (const lane of lanes) {
      const { progress } = lane.part()
      await lane.take({ items: [], left: [], state, why, heeded: heeded ?? progress?.heeded ?? null, at })
    }
  }

  function states(): Set<RunState> {
    return new Set(lanes.map((lane) => lane.part().progress?.state ?? 'requested'))
  }

  /** @returns whether the run goes on; heeds what on-call has said meanwhile */
  async function mayGoOn(): Promise<boolean> {
    if (signal.aborted) return false
    const order = orderNow()
    if (order?.word === 'stop') {
      await become('stopped', `stopped by ${order.who}: ${order.why}`, order.at)
      return false
    }
    if (order?.word === 'go-on') {
      outcomes.forget()
      await become(hasCanaryLeft() ? 'canary' : 'running', null, order.at)
    }
    return true
  }

  function hasCanaryLeft(): boolean {
    return lanes.some((lane) => (lane.part().progress?.taken ?? 0) < lane.part().request.canary.length)
  }

  /** Up to so many items of the sequence from where the lane is, read and given their headers. */
  async function nextStep(lane: ReplayLane, most: number, state: RunState): Promise<Step> {
    const part = lane.part()
    const { partition, sequence, request, progress } = part
    const items: Outgoing[] = []
    const left: Array<{ offset: number; fate: Fate }> = []
    const from = progress?.taken ?? 0
    let bytes = 0
    for (let at = from; at < sequence.length && at < from + most && bytes < CHUNK_BYTES; at += READS_AT_ONCE) {
      const offsets = sequence.slice(at, Math.min(at + READS_AT_ONCE, from + most))
      const read = await Promise.all(offsets.map((offset) => itemAt(partition, offset, request.attempts)))
      for (const [index, item] of read.entries()) {
        if (typeof item === 'string') left.push({ offset: offsets[index] ?? 0, fate: item })
        else {
          items.push(item)
          bytes += bytesOf(item)
        }
      }
    }
    return { items, left, state, why: null, heeded: progress?.heeded ?? null, at: Date.now() }
  }

  async function itemAt(partition: number, offset: number, most: number): Promise<Outgoing | Fate> {
    const attempts = runs.attempts(partition, offset)
    // By another run: this one has not come to it yet.
    if (runs.isReplayed(partition, offset)) return 'already-replayed'
    if (attempts >= Math.min(most, bounds.mostAttempts)) return 'attempts-exhausted'
    const item = planned.get(partition)?.find(offset) ?? null
    const input: Coordinates = { cluster: execution.cluster, topic: execution.door, partition, offset }
    const original = item === null ? null : await readPatiently(() => messageOf(item, input))
    if (original === null) {
      // By name: what is gone is not passed over in silence.
      log.warn({ event: 'replay-original-missing', run: run.id, partition, offset })
      return 'original-missing'
    }
    const [first] = run.parts.values()
    const stamp = { run: run.id, origin: input, attempt: attempts + 1, who: first?.who ?? '', why: first?.why ?? '' }
    return { input, key: original.key, value: original.value, headers: stamped(original.headers, stamp) }
  }

  /** @returns null where what it takes is gone */
  async function messageOf(item: PlannedItem, input: Coordinates): Promise<Omit<Outgoing, 'input'> | null> {
    if ('held' in item) return await readOriginal(held, item.held, input)
    // Where the recall did not find it either, there is nothing to judge.
    if (!(await held.has(item.cleared))) return null
    return await clearedMessage(settings, registry, input, { sha256: item.cleared, at: item.at })
  }

  async function readPatiently<Read>(read: () => Promise<Read>): Promise<Read> {
    for (;;) {
      try {
        return await read()
      } catch (error) {
        if (!(error instanceof SluiceError) || error.fault !== 'surroundings') throw error
        log.warn({ event: 'replay-waits', run: run.id, err: error })
        execution.assertInCharge()
        signal.throwIfAborted()
        if (orderNow() !== null) throw ORDERED
        await sleep(AGAIN_MS)
      }
    }
  }

  /** @returns a sentence where the canary came out otherwise; null where it did not; undefined where it was told to end before that was known */
  async function canaryDifference(): Promise<string | null | undefined> {
    for (;;) {
      let [open, other, all] = [0, 0, 0]
      for (const lane of lanes) {
        const { partition, request, progress } = lane.part()
        const places = placesOf(progress?.produced ?? [])
        for (const offset of replayedOf(lane.part()).slice(0, request.canary.length)) {
          const { expected = null } = request.canary.find((item) => item.offset === offset) ?? {}
          const place = places.next()
          const came = place.done === true ? null : outcomes.of(partition, place.value)
          all += 1
          if (came === null) open += 1
          // Where nobody could say, a fault is the old one, most likely.
          else if (expected === null ? came.isFault : came.outcome !== expected) other += 1
        }
      }
      if (open === 0)
        return other === 0
          ? null
          : `${other} of the ${all} items that went first came out otherwise than the dry run said, or with a fault again`
      execution.assertInCharge()
      if (signal.aborted || orderNow() !== null) return undefined
      await sleep(200)
    }
  }

  /** Waits while the gate is too far behind. */
  async function pause(): Promise<void> {
    for (let isPaused = false; ; isPaused = true) {
      if (performance.now() - lookedAt < LOOK_EVERY_MS && !isPaused) return
      const lag = await outcomes.lag(settings, partitions).catch((error: unknown) => {
        log.warn({ event: 'replay-waits', run: run.id, err: error })
        return Number.POSITIVE_INFINITY
      })
      lookedAt = performance.now()
      if (lag <= bounds.mostLag) {
        if (isPaused) await become('running', null)
        return
      }
      if (!isPaused) {
        const behind = Number.isFinite(lag) ? `${lag} records` : 'who knows how many records'
        await become('running', `pauses by itself: the gate has ${behind} before it, more than ${bounds.mostLag}`)
      }
      execution.assertInCharge()
      if (signal.aborted || orderNow() !== null) return
      await sleep(LOOK_EVERY_MS)
    }
  }

  function tooManyFaults(): string | null {
    const { items, faults } = outcomes.newest()
    if (items < FEWEST_OUTCOMES || faults / items <= bounds.mostFaults) return null
    return `${faults} of the ${items} newest outcomes are faults: is what had to be mended mended?`
  }

  async function replayCanary(): Promise<boolean> {
    for (const lane of lanes) {
      // Large ones take several steps.
      for (;;) {
        if (signal.aborted || orderNow() !== null) return true
        const { request, progress } = lane.part()
        const most = Math.max(0, request.canary.length - (progress?.taken ?? 0))
        if (progress?.state === 'canary' && most === 0) break
        await lane.take(await nextStep(lane, most, 'canary'))
      }
    }
    const difference = await canaryDifference()
    if (difference === undefined) return true
    const [first] = run.parts.values()
    if (difference !== null && first?.request.unasked !== true) {
      await become('waiting', difference)
      return false
    }
    await become('running', null)
    return true
  }

  async function replayRest(): Promise<boolean> {
    const [first] = run.parts.values()
    const rate = Math.max(1, first?.request.rate ?? 1)
    let due = performance.now()
    for (;;) {
      const open = lanes.filter((lane) => (lane.part().progress?.taken ?? 0) < lane.part().sequence.length)
      if (open.length === 0) return true
      for (const lane of open) {
        await pause()
        if (!(await mayGoOn())) return false
        const sentence = tooManyFaults()
        if (sentence !== null) {
          await become('waiting', sentence)
          return false
        }
        const step = await nextStep(lane, Math.min(CHUNK_ITEMS, rate), 'running')
        await lane.take(step)
        due = Math.max(due, performance.now() - 1000) + (step.items.length / rate) * 1000
        const early = due - performance.now()
        if (early > 0) await sleep(early, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  async function replayAll(): Promise<void> {
    for (const lane of lanes) planned.set(lane.partition, await findPlanned(settings, registry, lane.part(), signal))
    while (states().has('requested') || states().has('canary')) {
      if (!(await mayGoOn())) return
      if (!states().has('requested') && !states().has('canary')) break
      if (!(await replayCanary())) return
    }
    if (await replayRest()) await become('done', null)
  }

  return {
    async carryOut(): Promise<void> {
      if (!(await mayGoOn())) return
      const now = states()
      if (now.has('waiting') || now.has('stopped')) return
      try {
        await replayAll()
      } catch (error) {
        if (error === ORDERED) return await this.carryOut()
        // Told to end while it waits for a store.
        if (signal.aborted && error === signal.reason) return
        // Of the canary as of the others: a message that can't be replayed is for a person, and no reason for the worker to end.
        if (!(error instanceof SluiceError) || error.fault !== 'item') throw error
        await become('waiting', error.message)
      }
    },
  }
}
