import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { createKafka } from '../../services/platform/kafka/client.ts'
import type { GateProcess } from '../integration/gate-process.ts'
import { type Bench, type BenchOptions, openBench, type Scope } from '../integration/harness.ts'
import { type Clocks, costEach, peakBytes, peakScannerBytes, readClocks } from './gate-cost.ts'
import type { Round } from './gate-items.ts'

/** Shares of a round between which is measured: before, a gate that has just started warms up; after, lanes are done one by one. */
const STRETCH = { from: 0.15, to: 0.95 }
const LOOK_MS = 50
/** A list of ten million hashes is read in less than a minute. */
const TASKSET = '/usr/bin/taskset'

/** A place to measure a gate at. */
export type GatePlace = {
  bench: Bench
  admin: Admin
  /** process id of the broker; null where that is unknown */
  broker: number | null
}

/** What one gate is given of the machine. */
export type Machine = {
  scanners: number
  /** cores that it and its scanners are kept to, as `taskset` writes them; null for all */
  cores: string | null
}

/** One round's figures, between the moments when 15 and 95 % of it were committed. */
export type Turn = {
  perSecond: number
  /** core-milliseconds an item, by who has had them; null where the system does not tell */
  coreMs: Clocks | null
  /** milliseconds an item by stage, as the gates' metrics tell them, waiting included */
  stageMs: Record<string, number>
  /** how late the event loop of a gate was, 99 % of the time no later */
  loopDelayMs: number
  /** most memory that a gate has held, its lists included, and that one scanner has */
  gateMib: number
  scannerMib: number
}

/** All of this machine for one gate. */
export const wholeMachine: Machine = { scanners: availableParallelism(), cores: null }

/** Opens a bench with a client that looks how far its groups are. */
export async function openGatePlace(scope: Scope, broker: number | null, options?: BenchOptions): Promise<GatePlace> {
  const bench = await openBench(scope, options)
  const admin = createKafka(bench.settings, 'gate-bench').admin()
  await admin.connect()
  scope.after(() => admin.disconnect())
  return { bench, admin, broker }
}

/** Starts gates, has them judge a round, and ends them. */
export async function runGates(place: GatePlace, round: Round, machines: readonly Machine[]): Promise<Turn> {
  const gates = machines.map((machine) => startOn(place.bench, machine))
  const assertRunning = (): void => {
    for (const gate of gates) if (!gate.running()) throw new Error(`a gate ended: ${gate.stderr()}`)
  }
  // Of several, one may have begun before the others have joined it.
  await Promise.all(gates.map((gate) => gate.untilReady()))
  const { items, seconds, before, after } = await followRound(place, place.bench.group, round, assertRunning, () =>
    readGates(place, gates),
  )
  await Promise.all(gates.map((gate) => place.bench.stopGate(gate)))
  const stages = Object.keys(after.stages)
  return {
    perSecond: items / seconds,
    coreMs: before.clocks && after.clocks && costEach(before.clocks, after.clocks, items),
    stageMs: Object.fromEntries(
      stages.map((stage) => [stage, (((after.stages[stage] ?? 0) - (before.stages[stage] ?? 0)) * 1000) / items]),
    ),
    loopDelayMs: after.loopDelay * 1000,
    gateMib: after.gateBytes / 2 ** 20,
    scannerMib: Math.max(before.scannerBytes, after.scannerBytes) / 2 ** 20,
  }
}

function startOn(bench: Bench, { scanners, cores }: Machine): GateProcess {
  const gate = bench.startGate({ environment: { SLUICE_SCANNERS: String(scanners) } })
  // At once: what it starts from now on inherits it.
  if (cores !== null && canKeepToCores()) keepToCores(gate.pid, cores)
  return gate
}

/** Whether a {@link Machine} can be less than this one. */
export function canKeepToCores(): boolean {
  return existsSync(TASKSET)
}

function keepToCores(pid: number, cores: string): void {
  execFileSync(TASKSET, ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)], { stdio: 'ignore' })
}

async function readGates({ broker }: GatePlace, gates: readonly GateProcess[]) {
  const pids = gates.map(({ pid }) => pid)
  const clocks = readClocks(pids, broker)
  const gateBytes = Math.max(...pids.map(peakBytes))
  const scannerBytes = Math.max(...pids.map(peakScannerBytes))
  // To be asked for it makes a gate count lateness anew.
  const texts = await Promise.all(gates.map((gate) => gate.metrics()))
  const stages: Record<string, number> = {}
  for (const [, stage = '', sum] of texts.flatMap((text) => [
    ...text.matchAll(/^sluice_stage_seconds_sum\{stage="(\w+)"\} (.*)$/gm),
  ])) {
    stages[stage] = (stages[stage] ?? 0) + Number(sum)
  }
  const delays = texts.map((text) => Number(/^sluice_loop_delay_seconds (.*)$/m.exec(text)?.[1]))
  return { clocks, gateBytes, scannerBytes, stages, loopDelay: Math.max(...delays) }
}

/**
 * Waits until a group has committed all of a round.
 * @param assertGoesOn throws when that will never be
 * @param read called at both ends of the stretch that is measured
 * @returns the items and seconds between the ends of the stretch, and what was read there
 */
export async function followRound<Reading>(
  { bench, admin }: GatePlace,
  group: string,
  { items, places }: Round,
  assertGoesOn: () => void,
  read: () => Promise<Reading>,
): Promise<{ items: number; seconds: number; before: Reading; after: Reading }> {
  const committed = async (): Promise<number> => {
    const [door] = await admin.fetchOffsets({ groupId: group, topics: [bench.topic('crawl.items')] })
    const offsets = new Map(door?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
    return places.reduce((sum, { partition, begin, end }) => {
      return sum + Math.min(end, Math.max(begin, offsets.get(partition) ?? begin)) - begin
    }, 0)
  }
  const reach = async (goal: number) => {
    for (;;) {
      const done = await committed()
      if (done >= goal) return { done, at: performance.now() }
      assertGoesOn()
      await sleep(LOOK_MS)
    }
  }
  const first = await reach(items * STRETCH.from)
  const before = await read()
  const last = await reach(items * STRETCH.to)
  const after = await read()
  await reach(items)
  if (last.done === first.done) throw new Error(`${items} items are too few: all were judged between two looks`)
  return { items: last.done - first.done, seconds: (last.at - first.at) / 1000, before, after }
}
