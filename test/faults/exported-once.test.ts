import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { digestsOn } from '../../services/train/dataset/manifest.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type GateProcess, startSluice } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { skipWithoutS3, startS3Server } from '../integration/s3-server.ts'
import { waitFor } from '../integration/waiting.ts'
import { verified } from '../train/made-dataset.ts'
import { endGate } from './break-gates.ts'
import { importKnown, kinds, startLoad } from './mixed-load.ts'
import { type Chance, createChance } from './seeded.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
/** `ITEMS=20000 KILLS=10` for as many as the promise is made of. */
const ITEMS = Number(process.env.ITEMS ?? 600)
const KILLS = Number(process.env.KILLS ?? 2)
const SHARD_ITEMS = Math.max(10, Math.floor(ITEMS / 40))
/** Sent ahead of the gate, at most. */
const MOST_WAITING = Math.min(2000, ITEMS / 2)
/** Of the first items so many come a second time. */
const REPEATED = 20

const skip = skipWithoutS3() || skipWithoutPython()
const server = skip === false ? await startS3Server({ after }) : null

const endings = ['kill-in-transaction', 'kill-around-transaction', 'kill'] as const

test(`through ${KILLS} kills of the gate and ${KILLS} of the export, each of ${ITEMS} items that is cleared is exported once, and no object is missing (SEED=${SEED})`, {
  skip,
}, async (t) => {
  if (server === null) return
  const bench = await openBench(t, { partitions: 2, s3: server })
  await importKnown(bench)
  const start: Bench['startGate'] = ({ environment = {}, ...options } = {}) => {
    const own = { ...server.environment('gate'), SLUICE_CHUNK_ITEMS: '16' }
    return bench.startGate({ ...options, environment: { ...own, ...environment } })
  }
  const dataset = join(bench.folder, 'dataset')
  const exported = ['train', 'export', dataset, '--shard-items', String(SHARD_ITEMS)]

  let judged = 0
  let isOver = false
  const watching = setInterval(() => {
    bench.committed().then(
      (now) => {
        judged = now
      },
      () => undefined,
    )
  }, 500)
  t.after(() => clearInterval(watching))
  const load = startLoad(bench, {
    seed: SEED,
    wanted: (made) => (made < ITEMS || !isOver) && made - judged < MOST_WAITING,
  })
  t.after(() => load.stop())

  /** @returns the gate that stays: those that were killed may have cleared nothing, and the exports wait for that */
  async function killGates(chance: Chance): Promise<GateProcess> {
    for (let kill = 0; kill < KILLS; kill++) await endGate[chance.pick(endings)](start, chance)
    return start()
  }

  /** At whatever moment, once it is at work. */
  async function killExports(chance: Chance): Promise<number> {
    let killed = 0
    await waitFor('something is cleared', async () => (await bench.endOf('gate.clean')) > 0)
    while (killed < KILLS) {
      const run = startSluice(exported, { ...bench.environment, ...server?.environment('trainer') })
      await waitFor('it is at work, or done', () => existsSync(join(dataset, 'state')) || !run.running(), {
        everyMs: 5,
      })
      await wait(chance.between(0, 1500))
      if (run.running()) killed += 1
      run.kill('SIGKILL')
      await run.ended
    }
    return killed
  }

  const [gate, killed] = await Promise.all([
    killGates(createChance(SEED, 'gates')),
    killExports(createChance(SEED, 'exports')),
  ])
  isOver = true
  await waitFor('all items are sent', () => load.sent() >= ITEMS)
  await load.stop()
  const again = Array.from({ length: REPEATED }, async (_, n) => {
    assert.ok(kinds.picture)
    return { ...(await kinds.picture.make(bench, n)), partition: n % bench.partitions }
  })
  for (let times = 0; times < 2; times++) await bench.produce('crawl.items', await Promise.all(again))
  await waitFor('the gate has caught up', () => bench.caughtUp())
  await bench.stopGate(gate)
  const run = startSluice(exported, { ...bench.environment, ...server.environment('trainer') })
  assert.equal((await run.ended).code, 0, run.stderr())
  // What came since the run that was killed last had begun.
  const last = startSluice(exported, { ...bench.environment, ...server.environment('trainer') })
  assert.equal((await last.ended).code, 0, last.stderr())

  const fates = await audit(bench)
  const cleared = fates.flatMap(({ clean }) => (clean === null ? [] : [`${clean.id} ${clean.payload.reference}`]))
  const names = [...new Set(cleared)].sort()
  t.diagnostic(
    `${fates.length} items, ${cleared.length} cleared, ${names.length} of them once; exports killed: ${killed}`,
  )
  assert.ok(names.length <= cleared.length - REPEATED, 'some came twice')
  assert.deepEqual(await namesIn(dataset), names)
  const { found, holding } = await verified(dataset, { keyring: readKeyring(bench.settings.keyring) })
  assert.deepEqual([found, holding], [[], names.length])

  const objects = async (store: 'clean' | 'held'): Promise<Set<string>> =>
    new Set((await Array.fromAsync(bench.store(store).list())).flat().map(({ sha256 }) => sha256))
  const [clean, held] = [await objects('clean'), await objects('held')]
  for (const fate of fates) {
    if (fate.clean !== null) assert.ok(clean.has(fate.clean.payload.reference))
    if (fate.held !== null) assert.ok(held.has(fate.held.heldReference))
    if (fate.held?.payloadReference) assert.ok(held.has(fate.held.payloadReference))
  }
})

async function namesIn(dataset: string): Promise<string[]> {
  const folder = join(dataset, 'manifest')
  const shards = await Promise.all(readdirSync(folder).map((file) => digestsOn(join(folder, file))))
  return shards
    .flat()
    .map(({ id, sha256 }) => `${id} ${sha256}`)
    .sort()
}
