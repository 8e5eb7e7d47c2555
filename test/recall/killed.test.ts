import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { RecallRecord } from '../../services/domain/records.ts'
import { createChance } from '../faults/seeded.ts'
import { startSluice } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'
import { clearAll, objectsIn, openRecallBench, pdqOf, recallRecords, sha256Of, versionNow } from './cleared.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const ITEMS = 160
/** Every second one is known by the new version. */
const KNOWN = [...Array(ITEMS).keys()].filter((n) => n % 2 === 0)

/** Starts `sluice recall run` and kills it as soon as the condition holds. @returns whether it did before the command had ended */
async function killWhen(bench: Bench, condition: () => Promise<boolean>): Promise<boolean> {
  const run = startSluice(['recall', 'run'], bench.environment)
  while (run.running() && !(await condition())) await wait(1)
  const isKilled = run.running()
  run.kill('SIGKILL')
  await run.ended
  return isKilled
}

/** No object is lost, and what is recalled can be reviewed. */
async function look(bench: Bench): Promise<RecallRecord[]> {
  const records = await recallRecords(bench)
  const [clean, held] = [new Set(await objectsIn(bench, 'clean')), new Set(await objectsIn(bench, 'held'))]
  for (let n = 0; n < ITEMS; n++) assert.ok(clean.has(sha256Of(n)) || held.has(sha256Of(n)), `${n} is in neither store`)
  for (const { sha256 } of records) assert.ok(held.has(sha256), 'a record says what is not in held')
  return records
}

test(`killed at whatever moment and run again, recall comes to the same set, and writes nothing twice (SEED=${SEED})`, async (t) => {
  const chance = createChance(SEED)
  const bench = await openRecallBench(t)
  await bench.importList('stand-in', [{ id: 'old', pdq: pdqOf(-1) }])
  await clearAll(bench, [...Array(ITEMS).keys()], [await versionNow(bench)])
  await bench.importList(
    'stand-in',
    KNOWN.map((n) => ({ id: `e${n}`, pdq: pdqOf(n) })),
  )

  const [few, more] = [chance.between(1, KNOWN.length / 2), chance.between(KNOWN.length / 2, KNOWN.length - 1)]
  const left = ITEMS - chance.between(1, KNOWN.length - 1)
  const sometime = chance.between(200, 1500)
  const began = performance.now()
  const kills = [
    await killWhen(bench, async () => performance.now() - began > sometime),
    await killWhen(bench, async () => (await objectsIn(bench, 'held')).length >= few),
    await killWhen(bench, async () => (await objectsIn(bench, 'held')).length >= more),
    await killWhen(bench, async () => (await objectsIn(bench, 'clean')).length < ITEMS),
    await killWhen(bench, async () => (await objectsIn(bench, 'clean')).length <= left),
  ]
  t.diagnostic(
    `killed ${kills.filter(Boolean).length} times: after ${sometime} ms, with ${few} and ${more} held, with ${left} left`,
  )
  const before = await look(bench)

  await bench.sluice(['recall', 'run'])
  const records = await look(bench)
  assert.deepEqual(records.slice(0, before.length), before)
  const known = KNOWN.map(sha256Of).sort()
  assert.deepEqual(records.map(({ sha256 }) => sha256).sort(), known, 'each once')
  assert.deepEqual(await objectsIn(bench, 'held'), known)
  assert.equal((await objectsIn(bench, 'clean')).length, ITEMS - KNOWN.length)
})
