import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { countOutcomes, faultsOf, type OutcomeCount } from '../foreign/outcome-count.ts'
import { openBench, openScope } from '../integration/harness.ts'
import { type ChaosReport, runChaos } from './chaos.ts'
import { openJvmBrokers } from './cluster/jvm-brokers.ts'
import { expectedFates, importKnown } from './mixed-load.ts'
import { mean, plot, slope } from './plot.ts'
import type { Chance } from './seeded.ts'
import type { Sample } from './watch-run.ts'

/*
 * Three gates under a mixed load and all faults at random, for as long as is asked; then everything is counted, by librdkafka. Exit code 0
 * when every item has its one outcome and the memory of the gate that lives as long as the run does not grow, else 1.
 */
const USAGE = 'soak.ts [--minutes 45] [--seed n] [--items-per-second 120] [--json file]'

const PARTITIONS = 6
/** longest pauses between two faults of one actor, in seconds */
const PAUSES = { gates: 10, freezes: 60, brokers: 30, surroundings: 30 }
/** items that may wait: more would be caught up with only long after the last fault */
const BACKLOG = 5000
const WARM_UP_MINUTES = 10
/** How long the end of the run is that memory is judged by: what a heap takes once, early or late, is no growth. */
const JUDGED_MINUTES = 30
/** A slope over less than this says nothing. */
const LEAST_MINUTES = 20
const MOST_PERCENT = 1
const MIB = 1_048_576

/** Of the gate that lives as long as the run, in its last minutes, and not before it has warmed up; the slope in percent of the mean in ten minutes. */
type Memory = { minutes: number; meanMib: number; percentInTenMinutes: number }

type Result = {
  minutes: number
  seed: number
  report: Omit<ChaosReport, 'samples'>
  count: OutcomeCount
  /** items whose outcome or reasons are not those of their kind, by kind, outcome and reasons */
  unexpected: Record<string, number>
  gate: Memory
  scanners: Memory
}

async function soak(minutes: number, seed: number, itemsPerSecond: number): Promise<Result & { samples: Sample[] }> {
  const scope = openScope('soak')
  try {
    const cluster = await openJvmBrokers({ secured: true })
    scope.after(() => cluster.close())
    const bench = await openBench(scope, { cluster, partitions: PARTITIONS })
    await importKnown(bench)

    const began = performance.now()
    const elapsed = (): number => (performance.now() - began) / 1000
    const anyOf = <Kind extends string>(...kinds: Kind[]): ((chance: Chance) => Kind | null) => {
      return (chance) => (elapsed() < minutes * 60 ? chance.pick(kinds) : null)
    }
    const { samples, ...report } = await runChaos({
      bench,
      cluster,
      seed,
      ending: anyOf('kill-in-transaction', 'kill-in-transaction', 'kill-around-transaction', 'kill', 'terminate'),
      freezing: anyOf('freeze'),
      breaking: anyOf(
        'kill-coordinator',
        'kill-transaction-coordinator',
        'kill-broker',
        'stop-broker',
        'freeze-broker',
      ),
      disturbing: anyOf('registry-away', 'intake-away', 'clean-away', 'held-away', 'scanner-killed'),
      pauses: PAUSES,
      moreItems: ({ made, lag, over }) => !over && lag < BACKLOG && made < itemsPerSecond * elapsed(),
      say,
    })
    say('counting')
    const count = await countOutcomes(bench.settings)
    const unexpected = Object.fromEntries(Object.entries(count.fates).filter(([fate]) => !expectedFates.has(fate)))
    const gate = memoryOf(samples, ({ gateBytes }) => gateBytes)
    const scanners = memoryOf(samples, ({ scannerBytes }) => scannerBytes)
    const result = { minutes, seed, report, count, unexpected, gate, scanners }
    // Else what the gates wrote is shown.
    scope.passed = isGood(result)
    return { ...result, samples }
  } finally {
    await scope.close()
  }
}

/** Looks at the last minutes of the process that lived last. */
function memoryOf(samples: readonly Sample[], bytesOf: (sample: Sample) => number): Memory {
  const pid = samples.at(-1)?.pid
  const its = samples.filter((sample) => sample.pid === pid && bytesOf(sample) > 0)
  const warm = (its[0]?.seconds ?? 0) + WARM_UP_MINUTES * 60
  const from = Math.max(warm, (its.at(-1)?.seconds ?? 0) - JUDGED_MINUTES * 60)
  const points = its
    .filter(({ seconds }) => seconds >= from)
    .map((each) => ({ x: each.seconds / 600, y: bytesOf(each) }))
  const mib = mean(points.map(({ y }) => y)) / MIB
  return {
    minutes: ((points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0)) * 10,
    meanMib: mib,
    percentInTenMinutes: mib === 0 ? 0 : (slope(points) / MIB / mib) * 100,
  }
}

function isGood({ count, unexpected, report, gate, scanners }: Result): boolean {
  const grows = [gate, scanners].some(
    ({ minutes, percentInTenMinutes }) => minutes >= LEAST_MINUTES && percentInTenMinutes >= MOST_PERCENT,
  )
  const wrong = Object.values(faultsOf(count)).some((number) => number > 0) || Object.keys(unexpected).length > 0
  return !wrong && !grows && count.items >= report.sent
}

function tell(result: Result, samples: readonly Sample[]): void {
  const { report, count, unexpected, gate, scanners } = result
  const rows: Array<readonly [string, string | number]> = [
    ['soak', `${result.minutes} minutes of faults, ${Math.round(report.seconds / 60)} in all, seed ${result.seed}`],
    ['items', `${count.items} on the door, ${report.sent} confirmed to their senders`],
    ['outcomes', inWords(count.outcomes)],
    ['faults', inWords(report.faults)],
    ['faults that did not come about', report.notComeAbout],
    ['gates that ended by themselves', report.endedByThemselves],
    ...Object.entries(faultsOf(count)),
    ['other verdicts than expected', Object.keys(unexpected).length === 0 ? 0 : inWords(unexpected)],
    ['objects that outcomes refer to', count.objects],
    ['memory of the long-lived gate', memoryInWords(gate)],
    ['memory of its scanners', memoryInWords(scanners)],
  ]
  const lines = rows.map(([name, value]) => `${name.padEnd(32)} ${value}`)
  const lag = plot(samples.map((sample) => sample.lag))
  const memory = plot(
    samples.map((sample) => sample.gateBytes),
    { label: (bytes) => `${Math.round(bytes / MIB)} MiB` },
  )
  process.stdout.write(`${lines.join('\n')}\n\nitems that wait\n${lag}\n\nmemory of the long-lived gate\n${memory}\n`)
  if (count.examples.length > 0) process.stdout.write(`\n${count.examples.join('\n')}\n`)
}

function memoryInWords({ minutes, meanMib, percentInTenMinutes }: Memory): string {
  if (minutes === 0) return `not told: the first ${WARM_UP_MINUTES} minutes do not count`
  const change = `${percentInTenMinutes.toFixed(2)} % in ten minutes`
  const judged = minutes < LEAST_MINUTES ? ` (not judged: less than ${LEAST_MINUTES} minutes)` : ''
  return `${Math.round(meanMib)} MiB, ${change}, over ${Math.round(minutes)} minutes${judged}`
}

function inWords(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, number]) => `${name} ${number}`)
    .join(', ')
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '45' },
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    'items-per-second': { type: 'string', default: '120' },
    json: { type: 'string' },
  },
})
const numbers = [values.minutes, values.seed, values['items-per-second']].map(Number)
const [minutes = Number.NaN, seed = Number.NaN, itemsPerSecond = Number.NaN] = numbers
if (!(minutes > 0) || !Number.isInteger(seed) || !(itemsPerSecond > 0)) {
  say(`expected numbers: ${USAGE}`)
  process.exit(2)
}
say(`soak of ${minutes} minutes, seed ${seed}`)
const { samples, ...result } = await soak(minutes, seed, itemsPerSecond)
tell(result, samples)
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ ...result, samples }, null, 2)}\n`)
process.exit(isGood(result) ? 0 : 1)
