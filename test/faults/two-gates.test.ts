import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'
import { publish } from './door.ts'
import { assertOneWriter } from './one-writer.ts'
import { type Chance, createChance } from './seeded.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const ROUNDS = 3
const EACH = 60

const endings = ['SIGTERM', 'SIGTERM twice', 'SIGKILL'] as const

test(`two gates started and stopped at random judge everything once, in order (SEED=${SEED})`, {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
  await publish(bench, 'begin', EACH)
  const lives = ['one', 'other'].map(async (name) => {
    const chance = createChance(SEED, name)
    for (let round = 0; round < ROUNDS; round++) {
      t.diagnostic(`${name}: ${await live(bench, chance)}`)
      await publish(bench, `${name}-${round}`, EACH / 4)
    }
  })
  await Promise.all(lives)
  const last = bench.startGate({ words: ['--until-caught-up'] })
  assert.equal((await last.ended).code, 0)
  assert.equal((await audit(bench)).length, (EACH + (2 * ROUNDS * EACH) / 4) * bench.partitions)
  await assertOneWriter(bench)
})

/** A gate from its start to its end, at any moment after it has joined. */
async function live(bench: Bench, chance: Chance): Promise<string> {
  const ending = chance.pick(endings)
  const gate = bench.startGate({ environment: { SLUICE_CHUNK_ITEMS: '8' } })
  await gate.event('it has joined', ({ event }) => event === 'assigned')
  await wait(chance.between(0, 2000))
  gate.kill(ending === 'SIGKILL' ? 'SIGKILL' : 'SIGTERM')
  if (ending === 'SIGTERM twice') {
    await gate.event('it was told', ({ event }) => event === 'stopping')
    gate.kill('SIGTERM')
  }
  const { code, signal } = await gate.ended
  if (ending === 'SIGKILL') assert.equal(signal, 'SIGKILL')
  // The second one may come when all is done.
  else assert.ok(code === 0 || (code === 1 && ending === 'SIGTERM twice'), `${ending}: ended with ${code}`)
  return ending
}
