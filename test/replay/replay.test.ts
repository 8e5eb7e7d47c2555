import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { audit, type Fate } from '../integration/audit.ts'
import { openBench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'
import { heldKinds, holdThenMend, kindOf, reportShape, splitHeaders, startWorker, statusOf } from './replay-bench.ts'

const skip = skipWithoutPython()
const ITEMS = 240

const foretold = z.looseObject({ items: z.number(), clean: z.number(), open: z.number(), heldAgain: z.number() })
const planned = z.looseObject({
  run: z.string(),
  total: foretold,
  byReason: z.record(z.string(), foretold),
  byPartition: z.record(z.string(), foretold),
})

test('what was held for what has been mended comes out clean by a replay, to the byte as it was; what is wrong in itself is held again', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 3 })
  const gate = await holdThenMend(bench, ITEMS)
  const before = await audit(bench)
  assert.ok(before.every(({ outcome }) => outcome !== 'clean'))

  const file = join(bench.folder, 'plan.json')
  const words = [
    'replay',
    'plan',
    '--why',
    'a list was wrong, intake was empty',
    '--out',
    file,
    '--canary',
    '12',
    '--json',
  ]
  const plan = planned.parse(JSON.parse((await bench.sluice(words)).stdout()))
  assert.equal(plan.total.items, ITEMS)
  for (const { reason } of Object.values(heldKinds)) {
    assert.equal(plan.byReason[reason]?.items, before.filter(({ reasons }) => reasons.includes(reason)).length, reason)
  }
  assert.deepEqual(
    Object.values(plan.byPartition).map(({ items }) => items),
    [ITEMS / 3, ITEMS / 3, ITEMS / 3],
  )
  assert.equal(plan.byReason.KNOWN_EXACT?.clean, ITEMS / 4)
  assert.equal(plan.byReason.KEY_MISMATCH?.heldAgain, ITEMS / 4)
  assert.equal(plan.byReason.PAYLOAD_MISSING?.open, ITEMS / 4)

  const worker = startWorker(t, bench)
  // What is broken in itself is a fault again, of which the canary would ask.
  const run = await bench.sluice(['replay', 'run', file, '--yes', '--json'])
  const { id } = z.looseObject({ id: z.string() }).parse(JSON.parse(run.stdout()))
  assert.equal(id, plan.run)
  const status = await statusOf(bench, id)
  assert.deepEqual([status.state, status.counts], ['done', { replayed: ITEMS }])
  await waitFor('all are judged', () => bench.caughtUp())
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0, worker.stderr())

  const fates = await audit(bench)
  assert.equal(fates.length, 2 * ITEMS)
  const originals = new Map(before.map(({ door }) => [`${door.partition}/${door.offset}`, door]))
  for (const { door, outcome, verdict } of fates.filter(({ door }) => splitHeaders(door).replay.size > 0)) {
    const { original, replay } = splitHeaders(door)
    const place = replay.get('sluice-replay-origin')?.split('/').slice(-2).join('/') ?? ''
    const first = originals.get(place)
    assert.ok(first, `${place} is replayed once`)
    originals.delete(place)
    assert.equal(door.partition, first.partition)
    assert.deepEqual([door.key, door.valueSha256, original], [first.key, first.valueSha256, first.headers])
    assert.equal(replay.get('sluice-replay-attempt'), '1')
    assert.equal(replay.get('sluice-replay-run'), id)
    const expected = before.find(({ door: one }) => one === first)?.reasons ?? []
    const kind = Object.values(heldKinds).find(({ reason }) => expected.includes(reason))
    assert.equal(outcome, kind?.after, JSON.stringify(verdict))
  }
  assert.equal(originals.size, 0)

  const report = reportShape.parse(JSON.parse((await bench.sluice(['replay', 'report', id, '--json'])).stdout()))
  const replayed = fates.filter(({ door }) => splitHeaders(door).replay.size > 0)
  assert.equal(report.total.items, ITEMS)
  assert.equal(report.total.clean, replayed.filter(({ outcome }) => outcome === 'clean').length)
  assert.equal(report.total.clean, ITEMS / 2)
  assert.equal(report.reasonsAfter.KEY_MISMATCH, ITEMS / 4)

  const { records } = await readTopics(bench.settings, [bench.topic('replay.audit')])
  const book = records.map(({ value }) => z.looseObject({ action: z.string(), why: z.string() }).parse(value))
  assert.deepEqual(
    book.map(({ action }) => action),
    ['plan', 'run', 'done'],
  )
  assert.ok(kindOf(0) === 'listed' && (await readFile(file, 'utf8')).includes(id))
  await bench.stopGate(gate)
})

test('what was held before there were more partitions, and under another policy, is replayed to where it was', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await bench.stopGate(await holdThenMend(bench, 16))
  const before = await audit(bench)
  await bench.sluice(['topics', 'apply', '--partitions', '3'])
  const { SLUICE_POLICY = '' } = bench.environment
  const policy = JSON.parse(await readFile(SLUICE_POLICY, 'utf8'))
  await writeFile(SLUICE_POLICY, JSON.stringify({ ...policy, limits: { ...policy.limits, scanSeconds: 29 } }))
  const gate = bench.startGate()
  await gate.untilReady()

  const file = join(bench.folder, 'plan.json')
  const plan = await bench.sluice(['replay', 'plan', '--why', 'a test', '--out', file, '--json'])
  assert.equal(JSON.parse(plan.stdout()).isOtherPolicy, true)
  const { run } = z
    .object({ run: z.string() })
    .parse(JSON.parse((await bench.sluice(['replay', 'run', file, '--detach', '--yes', '--json'])).stdout()))
  const worker = startWorker(t, bench, ['--until-idle'])
  assert.equal((await worker.ended).code, 0, worker.stderr())
  assert.deepEqual((await statusOf(bench, run)).counts, { replayed: 16 })
  await waitFor('all are judged', () => bench.caughtUp())
  const replayed = (await audit(bench)).filter(({ door }) => splitHeaders(door).replay.size > 0)
  const placesOf = (fates: readonly Fate[]): string[] =>
    fates.map(({ door }) => `${door.partition} ${JSON.stringify([door.key, door.valueSha256])}`).sort()
  assert.deepEqual(placesOf(replayed), placesOf(before))
  const policies = [before, replayed].map((fates) => new Set(fates.map(({ verdict }) => verdict.policyHash)))
  assert.deepEqual(
    policies.map(({ size }) => size),
    [1, 1],
  )
  assert.notDeepEqual(policies[0], policies[1])
  await bench.stopGate(gate)
})

test('of a canary that is many bytes all goes first', { skip }, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [{ id: 'other', sha256: 'ab'.repeat(32) }])
  const gate = bench.startGate()
  const broken = Array.from({ length: 20 }, (_, n) => ({ key: `broken-${n}`, value: Buffer.alloc(600_000, n) }))
  for (const message of broken) await bench.produce('crawl.items', [message])
  await waitFor('all are held', () => bench.caughtUp())
  const file = join(bench.folder, 'plan.json')
  await bench.sluice(['replay', 'plan', '--why', 'a test', '--canary', '16', '--out', file])
  const worker = startWorker(t, bench)
  const run = await bench.sluice(['replay', 'run', file, '--json'], 1)
  const { id } = z.looseObject({ id: z.string() }).parse(JSON.parse(run.stdout()))
  const { state, waits, counts } = await statusOf(bench, id)
  assert.deepEqual([state, counts], ['waiting', { replayed: 16 }])
  assert.match(waits ?? '', /^16 of the 16 items that went first/)
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0, worker.stderr())
  await bench.stopGate(gate)
})
