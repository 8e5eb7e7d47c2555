import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { createChance } from '../faults/seeded.ts'
import { startSluice } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'
import { clearItems, openTrainBench, recall, recallsNow } from './cleared.ts'
import { verified } from './made-dataset.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
/** `ITEMS=20000 KILLS=10` for as many as the promise is made of. */
const ITEMS = Number(process.env.ITEMS ?? 300)
const KILLS = Number(process.env.KILLS ?? 5)
/** So many that each kill finds work left. */
const SHARD_ITEMS = Math.max(1, Math.floor(ITEMS / (KILLS * 4)))

/** Starts a command, and kills it as soon as the condition holds and so many milliseconds more have passed. @returns whether it was at work still */
async function killWhen(bench: Bench, words: string[], condition: () => boolean, later: number): Promise<boolean> {
  const run = startSluice(words, bench.environment)
  while (run.running() && !condition()) await wait(1)
  await wait(later)
  const isKilled = run.running()
  run.kill('SIGKILL')
  await run.ended
  return isKilled
}

function recordsIn(folder: string): number {
  const state = join(folder, 'state')
  return existsSync(state) ? readdirSync(state).filter((name) => /^\d{6}\.json$/.test(name)).length : 0
}

function draftsIn(folder: string): string[] {
  return ['shards', 'manifest'].flatMap((name) =>
    readdirSync(join(folder, name)).filter((file) => !/^\d{6}\.(tar|parquet)$/.test(file)),
  )
}

test(`an export that is killed at whatever moment and called again holds every item once, as one that nobody killed; so does a redaction (SEED=${SEED})`, async (t) => {
  const chance = createChance(SEED)
  const bench = await openTrainBench(t)
  const items = await clearItems(bench, [...Array(ITEMS).keys()])
  const [folder, whole] = [join(bench.folder, 'killed'), join(bench.folder, 'whole')]
  const words = (into: string) => ['train', 'export', into, '--shard-items', String(SHARD_ITEMS)]
  const keyring = readKeyring(bench.settings.keyring)

  const kills: boolean[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const wanted = recordsIn(folder) + chance.between(kill === 0 ? 0 : 1, 3)
    const later = chance.between(0, 20)
    kills.push(await killWhen(bench, words(folder), () => recordsIn(folder) >= wanted, later))
  }
  t.diagnostic(`killed ${kills.filter(Boolean).length} times, with ${recordsIn(folder)} shards of ${SHARD_ITEMS}`)
  await bench.sluice(words(folder))
  await bench.sluice(words(whole))
  const { found, holding } = await verified(folder, { keyring })
  assert.deepEqual([found, holding], [[], ITEMS])
  assert.deepEqual(draftsIn(folder), [], 'no half file stays')
  assertSame(folder, whole)

  const gone = items.filter((_, index) => index % 3 === 0)
  await recall(bench, gone)
  const redacting = [...Array(KILLS).keys()].map((kill) => Math.ceil(((kill + 1) * recordsIn(folder)) / (KILLS + 1)))
  const smaller = () => rewritten(folder, whole)
  for (const wanted of redacting) {
    await killWhen(bench, ['train', 'redact', folder], () => smaller() >= wanted, chance.between(0, 10))
  }
  await bench.sluice(['train', 'redact', folder])
  const after = await verified(folder, { keyring, recalls: await recallsNow(bench) })
  assert.deepEqual([after.found, after.holding, after.redacted], [[], ITEMS - gone.length, gone.length])
  assert.deepEqual(draftsIn(folder), [])
})

/** Whether two datasets are the same, byte by byte. */
function assertSame(one: string, other: string): void {
  for (const name of ['shards', 'manifest']) {
    assert.deepEqual(readdirSync(join(one, name)), readdirSync(join(other, name)))
    for (const file of readdirSync(join(one, name))) {
      assert.ok(readFileSync(join(one, name, file)).equals(readFileSync(join(other, name, file))), file)
    }
  }
}

/** How many shards are not as they were. */
function rewritten(folder: string, whole: string): number {
  return readdirSync(join(whole, 'shards')).filter((file) => {
    const path = join(folder, 'shards', file)
    return !existsSync(path) || readFileSync(path).length !== readFileSync(join(whole, 'shards', file)).length
  }).length
}
