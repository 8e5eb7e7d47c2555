import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pino } from 'pino'
import { surroundings } from '../../services/domain/errors.ts'
import type { ListState } from '../../services/domain/hash-list-state.ts'
import { createPauses, type Pause } from '../../services/gate/pauses.ts'
import { type GateStatus, gateStatus, laneStatuses, listStatuses } from '../../services/gate/status.ts'
import { statusScreen } from '../../services/gate/status-screen.ts'
import { createTally } from '../../services/gate/tally.ts'
import { createMetrics } from '../../services/platform/metrics.ts'

const NOW = Date.parse('2026-03-01T03:10:00Z')
const GATE = 'http://gate-1:9464'

const idle: GateStatus = {
  at: new Date(NOW).toISOString(),
  startedAt: '2026-03-01T01:00:00.000Z',
  ready: true,
  waiting: [],
  lanes: [],
  lists: [],
  judged: { items: 0, outcomes: {}, reasons: {}, perSecond: 0 },
  scanners: { running: 0, most: 2, restarts: 0, isolation: null },
  transactionFailures: 0,
}

/** Pauses with metrics and a log to look at, and a clock to set. */
function watched() {
  const clock = { now: NOW }
  const lines: string[] = []
  const metrics = createMetrics()
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) })
  const pauses = createPauses({ log, metrics, now: () => clock.now })
  return { clock, pauses, logged: () => lines.join(''), metrics: () => metrics.registry.metrics() }
}

function flat(screen: string): string {
  return screen.replace(/\s+/g, ' ')
}

describe('every reason to wait is told in full', () => {
  for (const [code, { action }] of Object.entries(surroundings)) {
    const sentence = `something about ${code} that fills more than one line of a screen, as sentences about lists and topics do`

    test(`${code} of the whole gate: a sentence, a time, what to do, a metric, a log line`, async () => {
      const { pauses, logged, metrics } = watched()
      const waiting = pauses.update([{ partition: null, code, sentence }])
      const screen = statusScreen(GATE, { ...idle, ready: false, waiting })
      for (const part of [
        `WAITS for ${code}`,
        `${code}: the whole gate, since 2026-03-01T03:10:00Z`,
        sentence,
        action,
      ]) {
        assert.ok(flat(screen).includes(part), `${part}\nis not in\n${screen}`)
      }
      assert.deepEqual(tooWide(screen), [])
      assert.ok((await metrics()).includes(`sluice_gate_waiting{reason="${code}"} 1`))
      assert.match(logged(), new RegExp(`"event":"gate-waits","code":"${code}"`))
      pauses.update([])
      assert.ok(!(await metrics()).includes(`sluice_gate_waiting{`))
      assert.match(logged(), new RegExp(`"event":"gate-goes-on","code":"${code}"`))
    })

    test(`${code} of a lane: a sentence, a time, what to do, a metric`, async () => {
      const { pauses, metrics } = watched()
      const waiting = pauses.update([{ partition: 7, code, sentence, since: '2026-03-01T03:00:00.000Z' }])
      const lanes = laneStatuses(
        [{ partition: 7, position: 5, end: 9, lag: 4, overdue: 0 }],
        new Map([[7, 5]]),
        waiting,
      )
      const screen = statusScreen(GATE, { ...idle, ready: false, waiting, lanes })
      const state = code === 'STARTING' ? 'starting' : `waits: ${code}`
      for (const part of [`${code}: partition 7, since 2026-03-01T03:00:00Z (10 min)`, sentence, action, state]) {
        assert.ok(flat(screen).includes(part), `${part}\nis not in\n${screen}`)
      }
      assert.deepEqual(tooWide(screen), [])
      assert.ok((await metrics()).includes(`sluice_lane_paused{partition="7",reason="${code}"} 1`))
      pauses.update([])
      assert.ok(!(await metrics()).includes(`sluice_lane_paused{`))
    })
  }
})

test('a pause keeps the time when it began while its sentence changes, and is logged again for that alone', () => {
  const { clock, pauses, logged } = watched()
  const pause: Pause = { partition: null, code: 'TOPICS_MISSING', sentence: 'two topics are missing' }
  pauses.update([pause])
  clock.now += 60_000
  pauses.update([pause])
  const [waiting] = pauses.update([{ ...pause, sentence: 'one topic is missing' }])
  assert.equal(waiting?.since, new Date(NOW).toISOString())
  assert.equal(waiting.sentence, 'one topic is missing')
  assert.equal(logged().match(/gate-waits/g)?.length, 2)
  pauses.update([])
  assert.equal(pauses.update([pause])[0]?.since, new Date(NOW + 60_000).toISOString(), 'a new pause')
})

test('a lane that can not be set up is logged; one that logged it itself is not logged again', () => {
  const { pauses, logged } = watched()
  const pause: Pause = { partition: 3, code: 'POSITION_JUMPED', sentence: 'the position was lost' }
  pauses.update([pause, { ...pause, partition: 4, since: '2026-03-01T03:00:00.000Z' }])
  pauses.update([pause])
  pauses.update([])
  assert.equal(logged().match(/"event":"lane-waits","partition":3,"code":"POSITION_JUMPED"/g)?.length, 1)
  assert.equal(logged().match(/"event":"lane-goes-on","partition":3/g)?.length, 1)
  assert.doesNotMatch(logged(), /"partition":4/)
})

test('lanes that wait for the same are told of together, with few of their sentences', () => {
  const { pauses } = watched()
  const partitions = Array.from({ length: 64 }, (_, partition) => partition)
  const waiting = pauses.update(
    partitions.map((partition) => ({ partition, code: 'STORE_UNREACHABLE', sentence: `store of lane ${partition}` })),
  )
  const screen = statusScreen(GATE, { ...idle, ready: false, waiting })
  assert.equal(screen.match(/^STORE_UNREACHABLE: partitions 0-63, /gm)?.length, 1)
  assert.equal(screen.match(/store of lane/g)?.length, 3)
  assert.match(screen, /and 61 more/)
  assert.deepEqual(tooWide(screen), [])
})

test('the lists fit the screen, however long their names are', () => {
  const list = {
    list: 'l'.repeat(64),
    mode: 'enforce' as const,
    version: '2026-03-01T03:10:00.000Z-0123456789ab',
    entries: 12_345_678,
    ageSeconds: 7199,
    problem: { code: 'LISTS_INCOMPLETE', sentence: '' },
  }
  assert.deepEqual(tooWide(statusScreen(GATE, { ...idle, lists: [list] })), [])
})

test('the state of a lane says whether it judges, has caught up, starts, waits or is not here', () => {
  const door = [0, 1, 2, 3, 4].map((partition) => ({ partition, position: 5, end: 9, lag: 4, overdue: 1 }))
  const ends = new Map([
    [0, 6],
    [1, 9],
    [2, 5],
    [9, 3],
  ])
  const waits = (partition: number | null, code: string) => ({ partition, code, sentence: '', action: '', since: '' })
  const found = laneStatuses(door, ends, [waits(2, 'STORE_UNREACHABLE'), waits(3, 'STARTING')])
  assert.deepEqual(
    found.map(({ partition, state, position, end, lag }) => [partition, state, position, end, lag]),
    [
      [0, 'judging', 6, 9, 3],
      [1, 'caught up', 9, 9, 0],
      [2, 'waits', 5, 9, 4],
      [3, 'starting', 5, 9, 4],
      [4, 'elsewhere', 5, 9, 4],
      [9, 'judging', 3, null, null],
    ],
  )
  const whole = laneStatuses(door, ends, [waits(null, 'LISTS_STALE')])
  assert.deepEqual(
    whole.map(({ state }) => state),
    ['waits', 'waits', 'waits', 'elsewhere', 'elsewhere', 'waits'],
  )
})

test('every list that policy names or the topic has is told of, with its own problem', () => {
  const state = (list: string, hours: number): ListState => ({
    list,
    inForce: { list, version: 'v1', digest: '', checkedAt: NOW - hours * 3_600_000, shadowed: [], entries: [] },
    broken: null,
    changing: false,
  })
  const policy = {
    lists: {
      missing: { mode: 'enforce' as const, maxAgeHours: 24, leastMatchable: 0 },
      old: { mode: 'enforce' as const, maxAgeHours: 24, leastMatchable: 0 },
      trial: { mode: 'shadow' as const, maxAgeHours: 24, leastMatchable: 0 },
    },
  }
  const found = listStatuses(policy, [state('old', 30), state('trial', 1), state('unnamed', 900)], NOW)
  assert.deepEqual(
    found.map(({ list, mode, version, ageSeconds, problem }) => [
      list,
      mode,
      version,
      ageSeconds,
      problem?.code ?? null,
    ]),
    [
      ['missing', 'enforce', null, null, 'LISTS_INCOMPLETE'],
      ['old', 'enforce', 'v1', 108_000, 'LISTS_STALE'],
      ['trial', 'shadow', 'v1', 3600, null],
      ['unnamed', 'enforce', 'v1', 3_240_000, null],
    ],
  )
})

test('the rate is that of the last minute', () => {
  const clock = { now: 5_000_000 }
  const tally = createTally(createMetrics(), () => clock.now)
  const routed = { outcome: 'clean' as const, reasons: [], missing: [], payloadBytes: 1 }
  const ten = Array.from({ length: 10 }, () => routed)
  tally.begin()
  clock.now += 10_000
  tally.add(ten)
  assert.equal(tally.perSecond(), 1, 'since the first work')
  clock.now += 50_000
  tally.add(ten)
  assert.equal(tally.perSecond(), 20 / 60)
  clock.now += 40_000
  assert.equal(tally.perSecond(), 10 / 60, 'what is older than a minute counts no more')
  clock.now += 3_600_000
  assert.equal(tally.perSecond(), 0)
  assert.deepEqual([tally.total.items, tally.total.outcomes, tally.total.seconds], [20, { clean: 20 }, 60])
})

test('what a gate serves is what the command reads; anything else is refused', () => {
  assert.deepEqual(gateStatus.parse(JSON.parse(JSON.stringify(idle))), idle)
  assert.equal(gateStatus.safeParse({ ...idle, lanes: [{ partition: 'x' }] }).success, false)
  assert.equal(gateStatus.safeParse({ ready: true, waiting: [] }).success, false)
})

function tooWide(screen: string): string[] {
  return screen.split('\n').filter((line) => line.length > 100)
}
