import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ReplayRunRecord } from '../../../services/domain/records.ts'
import { packNumbers } from '../../../services/domain/replay/packed-numbers.ts'
import {
  countsOf,
  createReplayRuns,
  isWhole,
  openOrder,
  placesOf,
  type ReplayRuns,
  type RunState,
  replayedOf,
  runIdOf,
  runKeys,
  runStates,
  stateOf,
  WORKER_KEY,
} from '../../../services/domain/replay/replay-runs.ts'

const PARTITIONS = 3
const LAST = 200

type Entry = { partition: number; key: string; record: ReplayRunRecord }

const blank: Omit<ReplayRunRecord, 'run' | 'plan' | 'partition'> = {
  state: 'requested',
  nextOffset: null,
  counts: {},
  updatedAt: 1,
  who: null,
  why: null,
  request: null,
  worker: null,
  taken: 0,
  heeded: null,
  produced: null,
  left: null,
}
const planOf = (name: string): string => name.repeat(64)

function requestEntry(
  name: string,
  partition: number,
  { offsets, canary = [], partitions = [partition] }: { offsets: number[]; canary?: number[]; partitions?: number[] },
  more: Partial<ReplayRunRecord> = {},
): Entry {
  const run = runIdOf(planOf(name))
  const request = {
    plannedBy: 'on-call',
    plannedAt: 1,
    partitions,
    offsets: packNumbers(offsets),
    foreseen: packNumbers([]),
    verdictsFrom: 0,
    verdictsTo: 1,
    canary: canary.map((offset) => ({ offset, expected: null })),
    attempts: 3,
    rate: 100,
    unasked: false,
  }
  const record = { ...blank, run, plan: planOf(name), partition, who: 'on-call', why: 'mended', request, ...more }
  return { partition, key: runKeys.request(run), record }
}

function progressEntry(
  name: string,
  partition: number,
  {
    produced = [],
    left = [],
    ...more
  }: { produced?: number[]; left?: number[] } & Partial<Omit<ReplayRunRecord, 'produced' | 'left'>>,
): Entry {
  const run = runIdOf(planOf(name))
  const packed = { produced: packNumbers(produced), left: packNumbers(left) }
  const taken = left.length + [...placesOf(produced)].length
  const record = { ...blank, state: 'running', run, plan: planOf(name), partition, taken, ...packed, ...more }
  return { partition, key: runKeys.progress(run), record }
}

function orderEntry(name: string, partition: number, word: string, at: number): Entry {
  const run = runIdOf(planOf(name))
  const said = { state: word, updatedAt: at, who: 'on-call', why: 'so' }
  return { partition, key: runKeys.order(run), record: { ...blank, run, plan: planOf(name), partition, ...said } }
}

function runsOf(entries: readonly Entry[]): ReplayRuns {
  const runs = createReplayRuns()
  for (const { partition, key, record } of entries) runs.add(partition, key, record)
  return runs
}

/** A run of one partition as a model keeps it: what became of each item, in the order in which they were taken. */
type Lived = { name: string; partition: number; steps: Entry[]; fates: Array<{ offset: number; place: number | null }> }

/** Several runs, one after the other, each of items that stand on the door by then, held anew ones included; with all that was written of them. */
const lives = fc
  .array(
    fc.record({
      partition: fc.nat(PARTITIONS - 1),
      picks: fc.uniqueArray(fc.nat(LAST), { minLength: 1, maxLength: 30 }),
      canary: fc.nat(8),
      done: fc.nat(30),
      isLeft: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
      gaps: fc.array(fc.nat(3), { minLength: 30, maxLength: 30 }),
      chunk: fc.integer({ min: 1, max: 7 }),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((choices) => {
    const ends = Array.from({ length: PARTITIONS }, () => LAST)
    return choices.map(({ partition, picks, canary, done, isLeft, gaps, chunk }, at): Lived => {
      const name = 'abcdef'[at] ?? 'a'
      // Scaled, so that what came of earlier runs is chosen as well.
      const known = new Set(picks.map((pick) => Math.floor((pick / (LAST + 1)) * (ends[partition] ?? LAST))))
      const offsets = [...known].sort((a, b) => a - b)
      const first = offsets.filter((_, n) => n % 3 === 0).slice(0, canary)
      const sequence = [...first, ...offsets.filter((offset) => !first.includes(offset))]
      const steps = [requestEntry(name, partition, { offsets, canary: first })]
      const fates: Lived['fates'] = []
      const produced: number[] = []
      const left: number[] = []
      for (const [n, offset] of sequence.slice(0, done).entries()) {
        if (isLeft[n]) {
          left.push(offset)
          fates.push({ offset, place: null })
        } else {
          const place = (ends[partition] ?? LAST) + (gaps[n] ?? 0)
          ends[partition] = place + 1
          produced.push(place, 1)
          fates.push({ offset, place })
        }
        if (fates.length % chunk === 0 || n === Math.min(done, sequence.length) - 1) {
          const counts = { replayed: produced.length / 2, 'original-missing': left.length }
          const lefts = [...left].sort((a, b) => a - b)
          steps.push(progressEntry(name, partition, { produced: [...produced], left: lefts, counts }))
        }
      }
      return { name, partition, steps, fates }
    })
  })

test('what was replayed, where it stands and how often is what was written, whichever of several runs is read first', () => {
  fc.assert(
    fc.property(lives, fc.boolean(), (lived, isTurned) => {
      const entries = lived.flatMap(({ steps }) => steps)
      // Compacted: the last of each key; in any order of runs, and progress before its request.
      const compacted = [...new Map(entries.map((entry) => [`${entry.partition} ${entry.key}`, entry])).values()]
      for (const runs of [runsOf(entries), runsOf(isTurned ? compacted.toReversed() : compacted)]) {
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const fates = lived.filter((life) => life.partition === partition).flatMap((life) => life.fates)
          const origin = new Map(fates.flatMap(({ offset, place }) => (place === null ? [] : [[place, offset]])))
          for (let offset = 0; offset < LAST * 3; offset++) {
            const isReplayed = fates.some((fate) => fate.offset === offset && fate.place !== null)
            assert.equal(runs.isReplayed(partition, offset), isReplayed, `${partition}/${offset}`)
            let attempts = 0
            for (let at = origin.get(offset); at !== undefined; at = origin.get(at)) attempts += 1
            assert.equal(runs.attempts(partition, offset), attempts, `${partition}/${offset}`)
          }
        }
        for (const { name, partition, fates } of lived) {
          const run = runs.run(runIdOf(planOf(name)))
          const part = run?.parts.get(partition)
          assert.ok(run && part)
          const replayed = fates.filter(({ place }) => place !== null)
          assert.deepEqual(
            replayedOf(part),
            replayed.map(({ offset }) => offset),
          )
          assert.deepEqual(
            [...placesOf(part.progress?.produced ?? [])],
            replayed.map(({ place }) => place),
          )
          assert.equal(countsOf(run).replayed ?? 0, replayed.length)
        }
      }
    }),
  )
})

const states: ReadonlyArray<readonly [ReadonlyArray<RunState | null>, RunState]> = [
  [[null, null], 'requested'],
  [['done', 'done'], 'done'],
  [['done', null], 'requested'],
  [['done', 'running'], 'running'],
  [['canary', 'running'], 'canary'],
  [['waiting', 'done'], 'waiting'],
  [['waiting', 'canary'], 'waiting'],
  [['stopped', 'waiting'], 'stopped'],
  [['stopped', 'done'], 'stopped'],
]
for (const [parts, expected] of states) {
  test(`a run of which one part is ${parts[0] ?? 'not begun'} and another ${parts[1] ?? 'not begun'} is ${expected}`, () => {
    const run = runsOf(
      parts.flatMap((state, partition) => [
        requestEntry('a', partition, { offsets: [1], partitions: [0, 1] }),
        ...(state === null ? [] : [progressEntry('a', partition, { state })]),
      ]),
    ).run(runIdOf(planOf('a')))
    assert.ok(run)
    assert.equal(stateOf(run), expected)
  })
}

test('a state that is not known counts as waiting: nothing goes on by itself', () => {
  const entries = [requestEntry('a', 0, { offsets: [1] }), progressEntry('a', 0, { state: 'something new' })]
  const run = runsOf(entries).run(runIdOf(planOf('a')))
  assert.ok(run && runStates.includes(stateOf(run)))
  assert.equal(stateOf(run), 'waiting')
})

test('a run is whole when each of its partitions has its request', () => {
  const partitions = [0, 2]
  const runs = createReplayRuns()
  const add = ({ partition, key, record }: Entry) => runs.add(partition, key, record)
  const half = add(requestEntry('a', 2, { offsets: [1], partitions }))
  assert.ok(half && !isWhole(half))
  const all = add(requestEntry('a', 0, { offsets: [1], partitions }))
  assert.ok(all && isWhole(all))
})

test('an order is open until every partition has heeded the last one', () => {
  const run = (more: readonly Entry[]) =>
    runsOf([
      requestEntry('a', 0, { offsets: [1], partitions: [0, 1] }),
      requestEntry('a', 1, { offsets: [1], partitions: [0, 1] }),
      ...more,
    ]).run(runIdOf(planOf('a')))
  const heeded = (at: number) => [0, 1].map((partition) => progressEntry('a', partition, { heeded: at }))
  const openOf = (more: readonly Entry[]) => {
    const found = run(more)
    assert.ok(found)
    return openOrder(found)?.word ?? null
  }
  const stop = orderEntry('a', 0, 'stop', 5)
  assert.equal(openOf([]), null)
  assert.equal(openOf([stop]), 'stop')
  assert.equal(openOf([stop, ...heeded(5).slice(1)]), 'stop')
  assert.equal(openOf([stop, ...heeded(5)]), null)
  assert.equal(openOf([stop, ...heeded(5), orderEntry('a', 0, 'go-on', 6)]), 'go-on')
  assert.equal(openOf([orderEntry('a', 0, 'give everything', 5)]), null)
})

const meaningless: Readonly<Record<string, readonly Entry[]>> = {
  'which worker is in charge': [
    { partition: 0, key: WORKER_KEY, record: { ...blank, run: WORKER_KEY, plan: '', state: 'claim', partition: 0 } },
  ],
  'progress of what nobody asked for': [progressEntry('a', 0, { produced: [5, 1] })],
  'an order about what nobody asked for': [orderEntry('a', 0, 'go-on', 1)],
  'a request of another partition than it stands on': [{ ...requestEntry('a', 0, { offsets: [1] }), partition: 1 }],
  'a request under another key': [{ ...requestEntry('a', 0, { offsets: [1] }), key: 'something' }],
  'a request of nothing': [requestEntry('a', 0, { offsets: [1] }, { request: null })],
  'a request whose offsets descend': [requestEntry('a', 0, { offsets: [2, 1] })],
  'a request that has an item twice': [requestEntry('a', 0, { offsets: [1, 1] })],
  'a request in which an item goes first twice': [requestEntry('a', 0, { offsets: [1, 2], canary: [1, 1] })],
  'a request in which goes first what is not asked for': [requestEntry('a', 0, { offsets: [1, 2], canary: [3] })],
}
for (const [what, entries] of Object.entries(meaningless)) {
  test(`${what} is no run`, () => {
    const runs = runsOf(entries)
    assert.deepEqual(runs.runs(), [])
    assert.equal(runs.run(runIdOf(planOf('a'))), null)
    assert.ok(!runs.isReplayed(0, 5) && runs.attempts(0, 5) === 0)
  })
}

test('another plan can not take the name of a run that there is', () => {
  const first = requestEntry('a', 0, { offsets: [1] })
  const runs = runsOf([first])
  const other = { ...requestEntry('a', 0, { offsets: [2] }).record, plan: planOf('b') }
  assert.equal(runs.add(0, first.key, other), null)
  assert.deepEqual(runs.run(runIdOf(planOf('a')))?.parts.get(0)?.sequence, [1])
})

const impossible: Readonly<Record<string, Parameters<typeof progressEntry>[2]>> = {
  'more items than anybody could count': { produced: [7, 1], taken: 2 },
  'more than was asked for': { produced: [10, 4] },
  'places that go back': { produced: [10, 1, 9, 1] },
  'a place twice': { produced: [10, 1, 10, 1] },
  'half a pair': { produced: [10, 1, 12], taken: 1 },
  'less than nothing': { taken: -1 },
  'less done than placed': { produced: [10, 2], taken: 1 },
  'items that are left in another order': { left: [2, 1], taken: 2 },
}
for (const [what, progress] of Object.entries(impossible)) {
  test(`progress that tells of ${what} tells of nothing`, () => {
    const before = progressEntry('a', 0, { produced: [8, 1] })
    const runs = runsOf([requestEntry('a', 0, { offsets: [1, 2, 3] }), before, progressEntry('a', 0, progress)])
    assert.equal(runs.attempts(0, 8), 1)
    assert.deepEqual(
      [1, 2, 3].filter((offset) => runs.isReplayed(0, offset)),
      [1],
    )
  })
}

test('progress that takes back what was replayed is no progress: what stands on the door once is not replayed once more', () => {
  const runs = createReplayRuns()
  const add = ({ partition, key, record }: Entry) => runs.add(partition, key, record)
  add(requestEntry('a', 0, { offsets: [1, 2, 3, 4] }))
  assert.ok(add(progressEntry('a', 0, { produced: [10, 2], left: [3] })))
  for (const forged of [{}, { produced: [10, 1] }, { produced: [10, 3] }, { produced: [20, 2], left: [3] }]) {
    assert.equal(add(progressEntry('a', 0, forged)), null, JSON.stringify(forged))
  }
  assert.deepEqual(
    [1, 2, 3].map((offset) => runs.isReplayed(0, offset)),
    [true, true, false],
  )
  assert.ok(add(progressEntry('a', 0, { produced: [10, 3], left: [3] })))
  assert.equal(runs.isReplayed(0, 4), true)
})

test('progress that tells of endless places is refused at once', () => {
  const packed = packNumbers([10, Number.MAX_SAFE_INTEGER - 10])
  const huge = progressEntry('a', 0, {})
  const record = { ...huge.record, produced: packed, taken: Number.MAX_SAFE_INTEGER - 10 }
  for (const entries of [
    [requestEntry('a', 0, { offsets: [1] }), { ...huge, record }],
    [{ ...huge, record }, requestEntry('a', 0, { offsets: [1] })],
  ]) {
    const runs = runsOf(entries)
    assert.deepEqual([runs.attempts(0, 11), runs.isReplayed(0, 1)], [0, false])
  }
})

test('what would be a replay of itself, or of what stands behind it, has not been replayed: counting ends', () => {
  const runs = runsOf([
    requestEntry('a', 0, { offsets: [5, 9] }),
    progressEntry('a', 0, { produced: [5, 1] }),
    requestEntry('b', 0, { offsets: [9] }),
    progressEntry('b', 0, { produced: [7, 1] }),
    requestEntry('c', 0, { offsets: [7] }),
    progressEntry('c', 0, { produced: [9, 1] }),
  ])
  assert.deepEqual(
    [5, 7, 9].map((offset) => runs.attempts(0, offset)),
    [0, 0, 1],
  )
})
