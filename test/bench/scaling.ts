import { readFileSync } from 'node:fs'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { openScope } from '../integration/harness.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, type Spread, spread } from './figures.ts'
import { findWrong, knownRows, makePictures, produceRound, type Round } from './gate-items.ts'
import { canKeepToCores, type Machine, openGatePlace, runGates, type Turn } from './gate-run.ts'
import { readOptions, wholeNumber } from './options.ts'

/*
 * One gate and two, with 1, 2, 4 and 8 partitions. Each gate is kept to a half of this machine's cores, as if it had a machine of its own: so two
 * gates have twice as much as one, and share only the brokers. Exit code 1 when what is planted is not held, or anything else is.
 */
const USAGE = 'scaling.ts [--times 5] [--items 1600] [--known 1000]'

const partitionCounts = [1, 2, 4, 8] as const
const gateCounts = [1, 2] as const
type GateCount = (typeof gateCounts)[number]

/** Turns with so many partitions, one for each repetition. */
type Result = { partitions: number; turns: Record<GateCount, Turn[]> }

/** One half of this machine's cores for each gate, at least one; all for all where gates can't be kept to cores. */
function halves(): Machine[] {
  const cores = ownCores()
  const half = Math.max(1, Math.floor(cores.length / 2))
  const keeps = canKeepToCores() && cores.length >= 2
  return [cores.slice(0, half), cores.slice(half, 2 * half)].map((mine) => ({
    scanners: half,
    cores: keeps ? mine.join() : null,
  }))
}

/** The cores that this process may use; none where the system does not tell. */
function ownCores(): number[] {
  try {
    const [, list = ''] = /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return list.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, n) => first + n)
    })
  } catch {
    return []
  }
}

/** @throws {Error} when what was judged is not what it should be */
async function measure(
  partitions: number,
  { times, items, known }: { times: number; items: number; known: number },
  broker: number | null,
): Promise<Result> {
  const scope = openScope(`scaling, ${partitions} partitions`)
  try {
    const place = await openGatePlace(scope, broker, { partitions })
    const pictures = await makePictures()
    await place.bench.importList('stand-in', knownRows(pictures, known))
    const machines = halves()
    const turns: Result['turns'] = { 1: [], 2: [] }
    const rounds: Round[] = []
    for (let time = 0; time < times; time++) {
      for (const gates of gateCounts) {
        const label = `${partitions} partitions, ${gates} gates, ${time + 1} of ${times}`
        const turn = await withProgress(label, async () => {
          const name = `${time}-${gates}`
          const round = await produceRound(place.bench, place.admin, pictures, { name, items, way: 'inline' })
          rounds.push(round)
          return await runGates(place, round, machines.slice(0, gates))
        })
        turns[gates].push(turn)
        process.stderr.write(`${label}: ${turn.perSecond.toFixed(0)} pictures a second\n`)
      }
    }
    const wrong = await findWrong(place.bench, rounds)
    if (wrong !== null) throw new Error(`not what was expected: ${wrong}`)
    scope.passed = true
    return { partitions, turns }
  } finally {
    await scope.close()
  }
}

/** How many times as fast as one gate two are. */
function gain({ turns }: Result): Spread {
  return spread(turns[2].map(({ perSecond }, at) => perSecond / (turns[1][at]?.perSecond ?? Number.NaN)))
}

/** Core-milliseconds an item that gates and brokers have had. */
function costOf({ coreMs }: Turn): number {
  if (coreMs === null) return Number.NaN
  return coreMs.scanners + coreMs.main + coreMs.threads + coreMs.broker
}

const options = readOptions(USAGE, {
  times: wholeNumber.default(5),
  items: wholeNumber.default(1600),
  known: wholeNumber.default(1000),
})
await withStack(async (broker) => {
  const results: Result[] = []
  for (const partitions of partitionCounts) results.push(await measure(partitions, options, broker))
  keep(Object.fromEntries(results.map((result) => [`twoGatesVsOne${result.partitions}Partitions`, gain(result)])), {
    scaling: { ...options, machines: halves(), results },
  })
  const rows = results.flatMap((result) =>
    gateCounts.map((gates) => [
      result.partitions,
      gates,
      inWords(spread(result.turns[gates].map(({ perSecond }) => perSecond)), 0),
      inWords(spread(result.turns[gates].map(costOf)), 1),
      gates === 1 ? '' : inWords(gain(result), 2),
    ]),
  )
  const [machine] = halves()
  const share = machine?.cores == null ? 'not kept to cores: taskset is not there' : `${machine.scanners} cores each`
  const head = [
    'partitions',
    `gates (${share})`,
    'pictures a second',
    'core-ms a picture, gates and brokers',
    'times as fast as one',
  ]
  process.stdout.write(`${asTable(head, rows)}\n`)
})
