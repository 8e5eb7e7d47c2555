import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { newKey } from '../../../services/cluster/keys.ts'
import { skipWithoutPython } from '../../foreign/foreign.ts'
import { audit } from '../../integration/audit.ts'
import type { GateProcess } from '../../integration/gate-process.ts'
import { openBench } from '../../integration/harness.ts'
import { sha256 } from '../../integration/items.ts'
import { sharedStack } from '../../integration/shared-stack.ts'
import { waitFor } from '../../integration/waiting.ts'
import { lanesWaiting, publish } from '../door.ts'
import { openJvmBrokers } from './jvm-brokers.ts'

const HOUR = 3_600_000
const LIBRARY = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
].find((file) => existsSync(file))

function skip(): string | false {
  if (LIBRARY !== undefined) return skipWithoutPython()
  const sentence = 'there is no libfaketime, so no clock can be stepped: install the package libfaketime'
  if (process.env.CI) throw new Error(sentence)
  return sentence
}

/** Hours since the list was checked, by the gate's clock. */
async function listAge(gate: GateProcess): Promise<number> {
  const [, seconds] = /^sluice_list_age_seconds\{.*\} (\S+)$/m.exec(await gate.metrics()) ?? []
  return Number(seconds) / 3600
}

/** A time of day for other processes. @param file says how far it is off */
function createClock(file: string): { environment: Record<string, string>; step(hours: number): void } {
  const step = (hours: number): void => writeFileSync(file, `${hours < 0 ? '' : '+'}${hours * 3600}\n`)
  step(0)
  return {
    environment: {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      // Looked up every second: at every look at the clock would keep a broker from its work.
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Else waiting for some time never ends in Java.
      FAKETIME_FORCE_MONOTONIC_FIX: '0',
    },
    step,
  }
}

test('a clock that jumps days forward and back loses nothing and repeats nothing; lists that look stale hold everything back', {
  skip: skip(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  // Old enough not to lie in the future when the clock goes back, and young enough for policy, which says a week.
  const checkedAt = new Date(Date.now() - 100 * HOUR)
  await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }], checkedAt)
  // A key that counts from before all of this; a gate whose clock is before that waits for another one.
  await rm(join(bench.folder, 'keys'), { recursive: true })
  await newKey(bench.settings, Date.now() - 100 * HOUR)
  const { environment, step } = createClock(join(bench.folder, 'clock'))
  const gate = bench.startGate({ environment })
  await publish(bench, 'first', 10)
  await waitFor('the first items are judged', () => bench.caughtUp())

  step(100)
  await waitFor('the lists look stale', async () =>
    (await gate.readiness())?.waiting.some(({ code }) => code === 'LISTS_STALE'),
  )
  await publish(bench, 'forward', 10)
  await waitFor('the lanes wait', async () => (await lanesWaiting(gate, 'LISTS_STALE')).size === 2)
  assert.equal(await bench.committed(), 20, 'nothing is judged')
  step(0)
  await waitFor('all is judged', () => bench.caughtUp())
  await gate.untilReady()

  step(-50)
  await waitFor('the lists look younger', async () => (await listAge(gate)) < 60)
  await publish(bench, 'back', 10)
  await waitFor('all is judged', () => bench.caughtUp())
  const other = bench.startGate()
  await other.event(
    'the group shares its lanes out anew',
    ({ event, partitions }) => event === 'assigned' && Array.isArray(partitions) && partitions.length === 1,
  )
  await other.untilReady()
  await publish(bench, 'two', 10)
  await waitFor('all is judged', () => bench.caughtUp())
  await gate.untilReady()
  await bench.stopGate(gate)
  await bench.stopGate(other)
  assert.equal((await audit(bench)).length, 80)
})

test('brokers whose clocks jump hours apart lose nothing and repeat nothing', { skip: skip() }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-clocks-'))
  t.after(() => rm(folder, { recursive: true }))
  const clocks = [1, 2, 3].map((id) => createClock(join(folder, String(id))))
  const [one, two, three] = clocks.map(({ environment }) => ({ environment }))
  const cluster = await openJvmBrokers({
    registry: sharedStack().registry,
    brokers: { ...(one && { 1: one }), ...(two && { 2: two }), ...(three && { 3: three }) },
  })
  t.after(() => cluster.close())
  const bench = await openBench(t, { cluster, partitions: 3 })
  await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
  const gate = bench.startGate()
  for (const [round, hours] of [
    [0, 0, 0],
    [5, 0, -5],
    [-5, 5, 0],
    [0, 0, 0],
  ].entries()) {
    for (const [index, clock] of clocks.entries()) clock.step(hours[index] ?? 0)
    await publish(bench, `round-${round}`, 20)
    await waitFor('all is judged', () => bench.caughtUp())
  }
  await gate.untilReady()
  await bench.stopGate(gate)
  assert.equal((await audit(bench)).length, 240)
})
