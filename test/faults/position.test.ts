import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { openBench } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { committed, lanesWaiting, moveOffsets, publish } from './door.ts'

const KNOWN = [{ id: 'known', sha256: sha256(Buffer.from('known')) }]
const LOST_ANSWERS = new URL('lost-answers.ts', import.meta.url).href
const skip = skipWithoutPython()

test('offsets moved by hand make a lane halt rather than judge twice or skip; where they are gone, the verdicts tell', {
  skip,
}, async (t) => {
  const bench = await openBench(t)
  await bench.importList('stand-in', KNOWN)
  await publish(bench, 'first', 10)
  const first = bench.startGate()
  await waitFor('the first items are judged', () => bench.caughtUp())

  await moveOffsets(bench, { 0: 3, 1: 12 })
  await publish(bench, 'while-running', 5)
  await waitFor('a running gate goes on from where it was', () => bench.caughtUp())
  await bench.stopGate(first)

  await publish(bench, 'while-down', 5)
  await withAdmin(createKafka(bench.settings, 'test'), (admin) => admin.deleteGroups([bench.group]))
  // Of the other two one has no offset any more; the other has what the client library leaves when it is out of range.
  await moveOffsets(bench, { 0: 5, 1: 18, 3: -2 })
  const second = bench.startGate()
  await waitFor('the lanes whose offset is gone have caught up', async () => {
    const offsets = await committed(bench)
    return offsets.get(2) === 20 && offsets.get(3) === 20
  })
  const halted = await waitFor('the lanes whose offset was moved say so', async () => {
    const jumped = await lanesWaiting(second, 'POSITION_JUMPED')
    return jumped.size === 2 && jumped
  })
  assert.match(halted.get(0) ?? '', /is 5, .* end at 15/)
  assert.match(halted.get(1) ?? '', /is 18, .* end at 15/)
  await bench.stopGate(second)
  assert.deepEqual([...(await committed(bench))].sort(), [
    [0, 5],
    [1, 18],
    [2, 20],
    [3, 20],
  ])

  await moveOffsets(bench, { 0: 15, 1: 15 })
  const third = bench.startGate({ words: ['--until-caught-up'] })
  assert.equal((await third.ended).code, 0)
  assert.equal((await audit(bench)).length, 80)
})

test('a lane whose commit went through, though nobody heard of it, is not told as failing for ever when nothing more comes', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', KNOWN)
  await publish(bench, 'only', 1)
  const gate = bench.startGate({ environment: { LOST_ANSWERS: '3' }, preload: [LOST_ANSWERS] })
  await waitFor(
    'it says that transactions fail',
    async () => (await lanesWaiting(gate, 'TRANSACTION_FAILING')).size > 0,
  )
  assert.ok(await bench.caughtUp())
  await gate.untilReady()
  await bench.stopGate(gate)
  assert.equal((await audit(bench)).length, 1)
})
