import { setTimeout as wait } from 'node:timers/promises'
import type { Ended, GateProcess } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'
import type { Chance } from './seeded.ts'

/** What happens to a gate that is started for it. */
export type EndingFault = 'kill-in-transaction' | 'kill-around-transaction' | 'kill' | 'terminate'

const HOLD = new URL('hold-transaction.ts', import.meta.url).href
/** Beyond the session timeout, so that the group gives the frozen gate up. */
const FROZEN_MS = { least: 7500, most: 11_000 }

type StartGate = (options?: Parameters<Bench['startGate']>[0]) => GateProcess

/** Starts a gate and ends it in the way that is named. @throws {Error} when it ended before by itself, or could not be brought so far */
export const endGate: Readonly<Record<EndingFault, (start: StartGate, chance: Chance) => Promise<void>>> = {
  async 'kill-in-transaction'(start, chance) {
    await killHeld(start, chance, ['amid-sends', 'before-offsets', 'before-commit'])
  },

  async 'kill-around-transaction'(start, chance) {
    await killHeld(start, chance, ['after-fencing', 'before-begin', 'before-sends', 'amid-commit', 'after-commit'])
  },

  async kill(start, chance) {
    await ended(await atWork(start, chance), 'SIGKILL')
  },

  async terminate(start, chance) {
    const gate = await atWork(start, chance)
    const { code } = await ended(gate, 'SIGTERM')
    if (code !== 0) throw new Error(`the gate ended with ${code} after SIGTERM:\n${gate.stderr()}`)
  },
}

/** Freezes a gate that has lanes for so long that they are given away, and waits until it is ready again. */
export async function freezeGate(gate: GateProcess, chance: Chance): Promise<void> {
  await gate.event('a lane is ready', ({ event }) => event === 'lane-ready')
  gate.kill('SIGSTOP')
  try {
    await wait(chance.between(FROZEN_MS.least, FROZEN_MS.most))
  } finally {
    gate.kill('SIGCONT')
  }
  await gate.untilReady()
}

async function killHeld(start: StartGate, chance: Chance, steps: readonly string[]): Promise<void> {
  const step = chance.pick(steps)
  // A gate fences once for each of its lanes, and of several gates one may have a single lane.
  const hold = `${step.endsWith('-fencing') ? 1 : chance.between(1, 6)}:${step}`
  const gate = start({ environment: { HOLD_TRANSACTION: hold }, preload: [HOLD] })
  try {
    await gate.event('a transaction is held', ({ event }) => event === 'transaction-held')
  } catch (error) {
    throw new Error(`${String(error)}; it was to be at ${hold}, and the gate wrote:\n${gate.stderr()}`)
  }
  await ended(gate, 'SIGKILL')
}

async function atWork(start: StartGate, chance: Chance): Promise<GateProcess> {
  const gate = start()
  await gate.event('a lane is ready', ({ event }) => event === 'lane-ready')
  await wait(chance.between(0, 2000))
  return gate
}

/** @throws {Error} when it had ended before, or does not end now */
export async function ended(gate: GateProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<Ended> {
  if (!gate.running()) throw new Error(`the gate has ended by itself:\n${gate.stderr()}`)
  gate.kill(signal)
  await waitFor(`gate ${gate.pid} has ended after ${signal}`, () => !gate.running())
  return await gate.ended
}
