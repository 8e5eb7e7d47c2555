import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { HASH_ENTRIES } from '../../services/platform/kafka/follow-hash-lists.ts'
import { readTopic } from '../../services/platform/kafka/read-topic.ts'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import type { Event } from '../integration/gate-process.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'
import { peakBytes } from './gate-cost.ts'
import { readOptions, wholeNumber } from './options.ts'

/*
 * How long a list of many PDQ hashes takes onto the topic, and from there, or from a snapshot, into a gate that is ready; how long a new version takes
 * into a gate at work; and the memory of that gate.
 */
const USAGE = 'lists.ts [--times 3] [--known 10000000]'

function* rows(count: number) {
  for (let n = 0; n < count; n++) yield { id: `e${n}`, pdq: hash('sha256', String(n)) }
}

/** Has a gate at work take new versions, each with an entry more. @returns seconds from when each manifest was written until it was in force, and memory */
async function swapVersions(
  bench: Bench,
  times: number,
  known: number,
): Promise<{ swaps: number[]; gibibytes: number[] }> {
  const gate = bench.startGate()
  await withProgress('the gate reads its lists', () => gate.untilReady())
  const swaps: number[] = []
  for (let time = 1; time <= times; time++) {
    const seen = gate.events.length
    await withProgress('a new version goes onto the topic', () => bench.importList('stand-in', rows(known + time)))
    const isNew = (event: Event): boolean => event.event === 'list' && gate.events.indexOf(event) >= seen
    const { time: at } = await gate.event('the new version is in force', isNew)
    swaps.push((Date.parse(String(at)) - (await writtenLast(bench))) / 1000)
  }
  const gibibytes = [peakBytes(gate.pid) / 2 ** 30]
  await bench.stopGate(gate)
  return { swaps, gibibytes }
}

/** When the last record of the lists' topic was written; milliseconds since the epoch. */
async function writtenLast(bench: Bench): Promise<number> {
  let last = 0
  await readTopic({
    kafka: createKafka(bench.settings, 'bench-lists'),
    registry: bench.registry,
    prefix: bench.settings.prefix,
    topic: HASH_ENTRIES,
    from: new Map([[0, (await bench.endOf(HASH_ENTRIES)) - 1]]),
    isWanted({ timestamp }) {
      last = timestamp
      return false
    },
    onValue: () => undefined,
  })
  return last
}

/** @param snapshots folder to read them from; `off`: from the topic */
async function startGates(
  bench: Bench,
  times: number,
  snapshots: string,
): Promise<{ loads: number[]; gibibytes: number[] }> {
  const [loads, gibibytes]: [number[], number[]] = [[], []]
  for (let time = 0; time < times; time++) {
    const started = performance.now()
    const gate = bench.startGate({ environment: { SLUICE_SNAPSHOTS: snapshots } })
    await withProgress('the gate reads its lists', () => gate.untilReady())
    loads.push((performance.now() - started) / 1000)
    gibibytes.push(peakBytes(gate.pid) / 2 ** 30)
    await bench.stopGate(gate)
    if (snapshots !== 'off') assert.equal(gate.events.find(({ event }) => event === 'lists-snapshot')?.what, 'used')
  }
  return { loads, gibibytes }
}

async function writeSnapshot(bench: Bench): Promise<void> {
  const gate = bench.startGate()
  const isWritten = ({ event, what }: Event): boolean => event === 'lists-snapshot' && what === 'written'
  const { seconds } = await gate.event('a snapshot is written', isWritten)
  process.stdout.write(`the snapshot is written in ${seconds} s\n`)
  await bench.stopGate(gate)
}

async function benchLists(times: number, known: number): Promise<void> {
  const scope = openScope('lists')
  try {
    const bench = await openBench(scope)
    const began = performance.now()
    await withProgress(`${known} entries go onto the topic`, () => bench.importList('stand-in', rows(known)))
    const importSeconds = (performance.now() - began) / 1000
    const { SLUICE_SNAPSHOTS: folder = 'off' } = bench.environment
    const fromTopic = await startGates(bench, times, 'off')
    await writeSnapshot(bench)
    const fromSnapshot = await startGates(bench, times, folder)
    const atWork = await swapVersions(bench, times, known)
    const name = `list${known / 1_000_000}mRaw`
    const loads = spread(fromTopic.loads)
    const starts = spread(fromSnapshot.loads)
    const swaps = spread(atWork.swaps)
    const millions = known / 1_000_000
    keep(
      {
        [`listLoadSeconds${millions}m`]: loads,
        [`listSnapshotLoadSeconds${millions}m`]: starts,
        [`listSwapSeconds${millions}m`]: swaps,
      },
      { [name]: { importSeconds, fromTopic, fromSnapshot, atWork } },
    )
    const titles = ['entries', 'a gate', 'seconds', 'gate, gibibytes at most']
    const rowsOf = [
      [
        known,
        'from its start until it is ready, from the topic',
        inWords(loads, 1),
        inWords(spread(fromTopic.gibibytes), 2),
      ],
      [
        known,
        'from its start until it is ready, from a snapshot',
        inWords(starts, 1),
        inWords(spread(fromSnapshot.gibibytes), 2),
      ],
      [known, 'at work, from a manifest until it is in force', inWords(swaps, 1), inWords(spread(atWork.gibibytes), 2)],
    ]
    process.stdout.write(`import: ${importSeconds.toFixed(0)} s\n${asTable(titles, rowsOf)}\n`)
    scope.passed = true
  } finally {
    await scope.close()
  }
}

const { times, known } = readOptions(USAGE, { times: wholeNumber.default(3), known: wholeNumber.default(10_000_000) })
await withStack(() => benchLists(times, known))
