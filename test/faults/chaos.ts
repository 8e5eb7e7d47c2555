import { setTimeout as wait } from 'node:timers/promises'
import type { GateProcess } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'
import { type BrokerFault, breakBroker, mendBrokers } from './break-brokers.ts'
import { type EndingFault, ended, endGate, freezeGate } from './break-gates.ts'
import { breakSurroundings, type SurroundingsFault } from './break-surroundings.ts'
import type { BreakableCluster } from './cluster/breakable-cluster.ts'
import { startLoad } from './mixed-load.ts'
import { type Chance, createChance } from './seeded.ts'
import { type Sample, watchRun } from './watch-run.ts'

export type Fault = EndingFault | 'freeze' | BrokerFault | SurroundingsFault

/** What comes next for somebody; null: nothing more. */
export type Next<Kind extends Fault> = (chance: Chance) => Kind | null

export type ChaosOptions = {
  bench: Bench
  cluster: BreakableCluster
  seed: number
  /** for the two gates that are killed and started again */
  ending: Next<EndingFault>
  /** for the gate that lives as long as the run */
  freezing: Next<'freeze'>
  breaking: Next<BrokerFault>
  /** for what else gates need; default: nothing happens to it */
  disturbing?: Next<SurroundingsFault>
  /** longest pauses between two faults of one actor, in seconds; default: none */
  pauses?: { gates: number; freezes: number; brokers: number; surroundings: number }
  /** Whether more items may be made. @param over whether no more faults will come */
  moreItems(progress: { made: number; lag: number; over: boolean }): boolean
  /** Takes a line every few seconds. */
  say(line: string): void
}

export type ChaosReport = {
  seconds: number
  faults: Record<string, number>
  /** How often a gate ended that nobody had ended; it was started again, as a supervisor would. */
  endedByThemselves: number
  /** faults that were tried again: a gate that had nothing to do holds no transaction to be killed in, say */
  notComeAbout: number
  samples: Sample[]
  /** items that the brokers have confirmed: at least so many are on the door */
  sent: number
}

const ATTEMPTS = 5
const TELL_MS = 5000
const CATCH_UP_SECONDS = 1200

/**
 * Two gates are killed and started again, a third is only frozen, brokers are broken one at a time, all under a mixed load; then the
 * gates judge what is left and stop. What is drawn follows from the seed, when it comes about does not.
 * @throws {Error} when something does not come back
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { bench, cluster, seed, say } = options
  const pauses = options.pauses ?? { gates: 0, freezes: 0, brokers: 0, surroundings: 0 }
  const gap = await bench.gapBefore('registry')
  const registry = new URL(bench.settings.registry)
  registry.host = `127.0.0.1:${gap.port}`
  const began = performance.now()
  const faults: Record<string, number> = {}
  const running = new Set<GateProcess>()
  let endedByThemselves = 0
  let notComeAbout = 0
  let longLived: GateProcess | null = null
  let over = false
  let ending = false

  function start(given?: Parameters<Bench['startGate']>[0]): GateProcess {
    const environment = { ...given?.environment, SLUICE_REGISTRY: registry.href, SLUICE_SCANNERS: '2' }
    const gate = bench.startGate({ ...given, environment })
    running.add(gate)
    gate.ended.then(() => running.delete(gate))
    return gate
  }

  /** Runs a gate for as long as the run lasts. */
  async function supervise(onStart: (gate: GateProcess) => void): Promise<void> {
    while (!ending) {
      const gate = start()
      onStart(gate)
      await gate.ended
      if (!ending) endedByThemselves += 1
    }
  }

  async function goThrough<Kind extends Fault>(
    who: string,
    next: Next<Kind>,
    pause: number,
    work: (fault: Kind, chance: Chance) => Promise<void>,
  ): Promise<void> {
    const chance = createChance(seed, who)
    for (let fault = next(chance); fault !== null; fault = next(chance)) {
      await persist(`${who}: ${fault}`, fault, chance, work)
      faults[fault] = (faults[fault] ?? 0) + 1
      await wait(chance.next() * pause * 1000)
    }
  }

  /** A gate may give up by itself while its brokers are away; then the fault is still to come. */
  async function persist<Kind extends Fault>(
    what: string,
    fault: Kind,
    chance: Chance,
    work: (fault: Kind, chance: Chance) => Promise<void>,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(fault, chance)
      } catch (error) {
        if (attempt === ATTEMPTS) throw error
        notComeAbout += 1
        say(`${what} did not come about: ${String(error).slice(0, 2000)}`)
      }
    }
  }

  const victims = [1, 2].map(async (n) => {
    await goThrough(`gate ${n}`, options.ending, pauses.gates, async (fault, chance) => {
      const mine: GateProcess[] = []
      try {
        await endGate[fault]((given) => {
          const gate = start(given)
          mine.push(gate)
          return gate
        }, chance)
      } finally {
        for (const gate of mine.filter((each) => each.running())) gate.kill('SIGKILL')
      }
    })
  })
  const supervised = [
    supervise((gate) => {
      longLived = gate
    }),
  ]
  const freezes = goThrough('long-lived gate', options.freezing, pauses.freezes, async (_, chance) => {
    const gate = longLived ?? (await waitFor('the gate is there', () => longLived))
    await freezeGate(gate, chance)
  })
  const breaks = goThrough('brokers', options.breaking, pauses.brokers, async (fault, chance) => {
    await mendBrokers(cluster)
    await breakBroker[fault](cluster, bench, chance)
  })

  const disturbances = goThrough(
    'surroundings',
    options.disturbing ?? (() => null),
    pauses.surroundings,
    async (fault, chance) => {
      // Before the first commit a store that is not there is made.
      await waitFor('work has begun', async () => (await bench.committed().catch(() => 0)) > 0, {
        seconds: CATCH_UP_SECONDS,
      })
      await breakSurroundings[fault]({ bench, gap, gate: () => longLived }, chance)
    },
  )

  const watch = watchRun(bench, () => longLived)
  let made = 0
  const load = startLoad(bench, {
    seed,
    wanted(now) {
      made = now
      return options.moreItems({ made, lag: watch.lag(), over })
    },
  })
  const told = setInterval(() => {
    const seconds = Math.round((performance.now() - began) / 1000)
    const happened = Object.entries(faults).map(([fault, times]) => `${fault} ${times}`)
    say(
      `${seconds} s: ${load.sent()} items sent, ${watch.samples.at(-1)?.lag ?? 0} wait; ${running.size} gates; ${happened.join(', ')}`,
    )
  }, TELL_MS)

  try {
    await Promise.all([...victims, freezes, breaks, disturbances])
    over = true
    await waitFor('all items are sent', () => !options.moreItems({ made, lag: 0, over }), { seconds: CATCH_UP_SECONDS })
    await load.stop()
    supervised.push(supervise(() => undefined))
    await waitFor('the gates have caught up', () => bench.caughtUp().catch(() => false), {
      seconds: CATCH_UP_SECONDS,
      everyMs: 500,
    })
  } finally {
    clearInterval(told)
    ending = true
    await load.stop()
    await watch.stop()
  }
  await Promise.all([...running].map((gate) => ended(gate, 'SIGTERM')))
  await Promise.all(supervised)
  return {
    seconds: (performance.now() - began) / 1000,
    faults,
    endedByThemselves,
    notComeAbout,
    samples: watch.samples,
    sent: load.sent(),
  }
}
