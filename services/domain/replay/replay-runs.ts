import type { CanaryItem, ReplayRequest, ReplayRunRecord } from '../records.ts'
import { isAscending, unpackNumbers } from './packed-numbers.ts'

/** How far a run is; of its parts the earliest of these counts. A state that is not known counts as waiting. */
export const runStates = ['requested', 'canary', 'waiting', 'running', 'stopped', 'done'] as const
export type RunState = (typeof runStates)[number]

/** What on-call may say of a run that was asked for. */
export type RunOrder = { word: 'go-on' | 'stop'; who: string; why: string; at: number }

/** What becomes of an item of a run. */
export const fates = ['replayed', 'already-replayed', 'attempts-exhausted', 'original-missing'] as const
export type Fate = (typeof fates)[number]

export type RunProgress = {
  state: RunState
  /** so many of the sequence are done */
  taken: number
  counts: Readonly<Record<string, number>>
  /** what it waits for, or why it was stopped; null where there is nothing to say */
  why: string | null
  worker: string | null
  /** when the last order was written that the worker has heeded */
  heeded: number | null
  /** where the replayed items stand on the door: first offset and number, in the order of the sequence */
  produced: number[]
  /** of the sequence, offsets that were not replayed, ascending */
  left: number[]
  updatedAt: number
}

/** What a run is to do with one partition, and how far that is. */
export type RunPart = {
  partition: number
  who: string
  why: string
  requestedAt: number
  request: ReplayRequest
  /** offsets on the door in the order in which they are replayed: the canary's, then the others' */
  sequence: number[]
  progress: RunProgress | null
}

export type Run = {
  id: string
  /** sha256 of its plan */
  plan: string
  parts: ReadonlyMap<number, RunPart>
  order: RunOrder | null
}

/** The keys of a run's records on replay.runs. */
export const runKeys = {
  request: (run: string) => run,
  progress: (run: string) => `${run}/progress`,
  order: (run: string) => `${run}/order`,
}

/** The key of the record that says which worker is in charge; no run has such an id. */
export const WORKER_KEY = '.worker'

/** A run's id, by which people name it. @param plan sha256 of the plan */
export function runIdOf(plan: string): string {
  return plan.slice(0, 16)
}

/** Whether every partition of a run has its request: somebody may have been killed while asking. */
export function isWhole({ parts }: Run): boolean {
  const [first] = parts.values()
  return first?.request.partitions.every((partition) => parts.has(partition)) ?? false
}

/** On-call's last word, where the worker has not heeded it yet. */
export function openOrder({ order, parts }: Pick<Run, 'order' | 'parts'>): RunOrder | null {
  return order !== null && [...parts.values()].some(({ progress }) => progress?.heeded !== order.at) ? order : null
}

/** Where a run is as a whole: not further than the part that is least far. */
export function stateOf(run: Run): RunState {
  const states = [...run.parts.values()].map(({ progress }) => progress?.state ?? 'requested')
  for (const held of ['stopped', 'waiting'] as const) if (states.includes(held)) return held
  return runStates.find((state) => states.includes(state)) ?? 'requested'
}

/** How many items a run is to replay. */
export function itemsOf({ parts }: Run): number {
  return parts.values().reduce((sum, { sequence }) => sum + sequence.length, 0)
}

/** What a run waits for, or why it was stopped; null where there is nothing to say. */
export function whyOf({ parts }: Run): string | null {
  return [...parts.values()].find(({ progress }) => progress?.why)?.progress?.why ?? null
}

/** What became of the items of a run so far, by fate. */
export function countsOf(run: Run): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { progress } of run.parts.values()) {
    for (const [fate, items] of Object.entries(progress?.counts ?? {})) sums[fate] = (sums[fate] ?? 0) + items
  }
  return sums
}

/** @property progress by partition, also where the request has not been seen yet */
type KnownRun = Run & { parts: Map<number, RunPart>; progress: Map<number, RunProgress> }

export type ReplayRuns = {
  /**
   * Takes a record of replay.runs; the last of a key counts.
   * @returns the run that it is about; null for what can't be understood, which tells of nothing
   */
  add(partition: number, key: string, record: ReplayRunRecord): Run | null
  /** null also where nothing is known of it but orders or progress */
  run(id: string): Run | null
  /** all, the oldest request first */
  runs(): Run[]
  /** Whether an item on the door has been put through it again. */
  isReplayed(partition: number, offset: number): boolean
  /** How often what stands here on the door had been held and replayed before. Counted by what the worker wrote, not by headers. */
  attempts(partition: number, offset: number): number
}

/** All that replay.runs tells. */
export function createReplayRuns(): ReplayRuns {
  const runs = new Map<string, KnownRun>()

  function partsOf(partition: number): RunPart[] {
    return [...runs.values()].flatMap(({ parts }) => parts.get(partition) ?? [])
  }

  /** The held item of which a replay stands here; null where none does. */
  function originOf(partition: number, offset: number): number | null {
    for (const part of partsOf(partition)) {
      const origin = originsOf(part).of(offset)
      if (origin !== null) return origin
    }
    return null
  }

  return {
    add(partition, key, record) {
      const known = runs.get(record.run)
      const { run: id, plan, who, why, updatedAt } = record
      const run = known ?? { id, plan, parts: new Map<number, RunPart>(), progress: new Map(), order: null }
      if (run.plan !== plan || record.partition !== partition) return null
      if (key === runKeys.order(id)) {
        if (record.state !== 'go-on' && record.state !== 'stop') return null
        run.order = { word: record.state, who: who ?? '', why: why ?? '', at: updatedAt }
      } else if (key === runKeys.request(id)) {
        const sequence = record.request === null ? null : sequenceOf(record.request)
        if (sequence === null || record.request === null) return null
        const { request } = record
        const progress = fitting(run.progress.get(partition), sequence)
        const asked = { who: who ?? '', why: why ?? '', requestedAt: updatedAt }
        run.parts.set(partition, { partition, ...asked, request, sequence, progress })
      } else if (key === runKeys.progress(id)) {
        const part = run.parts.get(partition)
        const progress = progressOf(record)
        if (progress === null || !goesOn(run.progress.get(partition), progress)) return null
        if (part !== undefined) {
          if (fitting(progress, part.sequence) === null) return null
          run.parts.set(partition, { ...part, progress })
        }
        run.progress.set(partition, progress)
      } else return null
      runs.set(id, run)
      return run
    },
    run: (id) => [runs.get(id)].find(isAskedFor) ?? null,
    runs: () => [...runs.values()].filter(isAskedFor).sort((a, b) => requestedAt(a) - requestedAt(b)),
    isReplayed: (partition, offset) =>
      partsOf(partition).some((part) => {
        const taken = part.progress?.taken ?? 0
        const canary = part.request.canary.length
        const isTaken =
          isAmong(part.sequence, offset, 0, Math.min(taken, canary)) ||
          isAmong(part.sequence, offset, canary, Math.max(taken, canary))
        return isTaken && !isAmong(part.progress?.left ?? [], offset)
      }),
    attempts(partition, offset) {
      let attempts = 0
      for (let at = originOf(partition, offset); at !== null; at = originOf(partition, at)) attempts += 1
      return attempts
    },
  }
}

/** Offsets of a part that were replayed, in the order in which they were. */
export function replayedOf({ sequence, progress }: RunPart): number[] {
  if (progress === null) return []
  const left = new Set(progress.left)
  return sequence.slice(0, progress.taken).filter((offset) => !left.has(offset))
}

/** Where replayed items stand on the door, one after the other. @param produced pairs of first offset and number */
export function* placesOf(produced: readonly number[]): Generator<number> {
  for (let at = 0; at + 1 < produced.length; at += 2) {
    const [first = 0, items = 0] = produced.slice(at, at + 2)
    for (let offset = first; offset < first + items; offset++) yield offset
  }
}

type Origins = { of(offset: number): number | null }

/** A part is never changed, so what is found out about it is kept. */
const knownOrigins = new WeakMap<RunPart, Origins>()

/** Which held item stands where on the door by this part. */
function originsOf(part: RunPart): Origins {
  const known = knownOrigins.get(part)
  if (known !== undefined) return known
  const places = [...placesOf(part.progress?.produced ?? [])]
  const replayed = replayedOf(part)
  const origins: Origins = {
    of: (offset) => {
      const at = placeAmong(places, offset)
      const origin = at < 0 ? undefined : replayed[at]
      // What is replayed stands behind what it replays: else following origins would not end.
      return origin !== undefined && origin < offset ? origin : null
    },
  }
  knownOrigins.set(part, origins)
  return origins
}

function sequenceOf({ offsets, foreseen, canary }: ReplayRequest): number[] | null {
  try {
    const first = canary.map(({ offset }: CanaryItem) => offset).sort((a, b) => a - b)
    const isFirst = new Set(first)
    const all = unpackNumbers(offsets)
    // What the worker will need: where it can't be read nothing is to be begun.
    unpackNumbers(foreseen)
    // What is there twice would be replayed twice.
    if (!isAscending(all) || !isAscending(first) || first.some((offset) => !isAmong(all, offset))) return null
    return [...first, ...all.filter((offset) => !isFirst.has(offset))]
  } catch {
    return null
  }
}

function progressOf(record: ReplayRunRecord): RunProgress | null {
  try {
    const produced = record.produced === null ? [] : unpackNumbers(record.produced)
    const left = record.left === null ? [] : unpackNumbers(record.left)
    if (!isAscending(left) || itemsIn(produced) !== record.taken - left.length) return null
    return {
      state: runStates.find((state) => state === record.state) ?? 'waiting',
      taken: record.taken,
      counts: record.counts,
      why: record.why,
      worker: record.worker,
      heeded: record.heeded,
      produced,
      left,
      updatedAt: record.updatedAt,
    }
  } catch {
    return null
  }
}

/** Of pairs of first offset and number, each behind the one before; NaN where they are something else. */
function itemsIn(produced: readonly number[]): number {
  let [items, end] = [0, 0]
  for (let at = 0; at < produced.length; at += 2) {
    const [first = 0, number = 0] = produced.slice(at, at + 2)
    if (number < 1 || first < end) return Number.NaN
    items += number
    end = first + number
  }
  return items
}

/** Whether a run may come from one progress to another: what was replayed once has been replayed, whoever says otherwise. */
function goesOn(before: RunProgress | undefined, after: RunProgress): boolean {
  if (before === undefined) return true
  const last = before.produced.length - 1
  const isThere = before.produced.every((number, at) => {
    const now = after.produced[at] ?? -1
    // The last stretch may have become longer.
    return at === last ? now >= number : now === number
  })
  return isThere && after.taken >= before.taken && before.left.every((offset) => isAmong(after.left, offset))
}

/** Progress that can be one of this sequence. */
function fitting(progress: RunProgress | undefined, sequence: readonly number[]): RunProgress | null {
  return progress !== undefined && progress.taken <= sequence.length ? progress : null
}

function isAskedFor(run: Run | undefined): run is Run {
  return run !== undefined && run.parts.size > 0
}

function isAmong(numbers: readonly number[], wanted: number, from = 0, to = numbers.length): boolean {
  return placeAmong(numbers, wanted, from, to) >= 0
}

/** By halves, among ascending numbers from one place up to another. @returns -1 where it is not among them */
function placeAmong(numbers: readonly number[], wanted: number, from = 0, to = numbers.length): number {
  let [low, high] = [from, to]
  while (low < high) {
    const middle = (low + high) >> 1
    const found = numbers[middle] ?? 0
    if (found === wanted) return middle
    if (found < wanted) low = middle + 1
    else high = middle
  }
  return -1
}

function requestedAt({ parts }: Run): number {
  return Math.min(...[...parts.values()].map((part) => part.requestedAt))
}
