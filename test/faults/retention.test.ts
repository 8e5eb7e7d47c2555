import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { describe, test } from 'node:test'
import type { Admin } from 'kafkajs'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { committed, lanesWaiting, messagesOf, moveOffsets, publish } from './door.ts'

const KNOWN = [{ id: 'known', sha256: sha256(Buffer.from('known')) }]
const HOLD = new URL('hold-transaction.ts', import.meta.url).href
const skip = skipWithoutPython()

describe('what the door loses unjudged is never skipped', { concurrency: true }, () => {
  test('while the gate is down: the lanes concerned halt until somebody gives up what is lost', { skip }, async (t) => {
    const bench = await openBench(t, { partitions: 3 })
    await bench.importList('stand-in', KNOWN)
    await publish(bench, 'first', 10)
    const first = bench.startGate()
    await waitFor('the first items are judged', () => bench.caughtUp())
    await bench.stopGate(first)

    await publish(bench, 'second', 10)
    await deleteBefore(bench, { 0: 15, 1: 20 })
    const second = bench.startGate()
    const halted = await waitFor('two lanes halt and one goes on', async () => {
      const jumped = await lanesWaiting(second, 'POSITION_JUMPED')
      return jumped.size === 2 && (await committed(bench)).get(2) === 20 && jumped
    })
    assert.match(halted.get(0) ?? '', /begins at 15, .* end at 10/)
    assert.match(halted.get(1) ?? '', /begins at 20, .* end at 10/)
    assert.equal(await judgedIn(bench, 0), 10, 'nothing beyond the gap is judged')
    await bench.stopGate(second)

    await moveOffsets(bench, { 0: 15, 1: 20 })
    await publish(bench, 'third', 1)
    const third = bench.startGate({ words: ['--until-caught-up'] })
    assert.equal((await third.ended).code, 0)
    assert.equal(await judgedIn(bench, 0), 16)
    assert.equal(await judgedIn(bench, 1), 11)
  })

  test('while a lane is paused: it halts instead of going on behind the gap, also where nothing is left', {
    skip,
  }, async (t) => {
    const bench = await openBench(t, { partitions: 3 })
    await bench.importList('stand-in', KNOWN)
    await publish(bench, 'first', 10)
    const gate = bench.startGate()
    await waitFor('the first items are judged', () => bench.caughtUp())

    const clean = bench.storeFolder('clean')
    await rename(clean, `${clean}.away`)
    await publish(bench, 'second', 10)
    await waitFor('all lanes are paused', async () => (await lanesWaiting(gate, 'STORE_UNREACHABLE')).size === 3)
    await deleteBefore(bench, { 0: 15, 1: 20 })
    // While it is away nobody can judge what had been fetched before it was deleted.
    const halted = await waitFor('two lanes halt', async () => {
      const jumped = await lanesWaiting(gate, 'POSITION_JUMPED')
      return jumped.size === 2 && jumped
    })
    await rename(`${clean}.away`, clean)
    await waitFor('the third goes on', async () => (await committed(bench)).get(2) === 20)
    assert.match(halted.get(0) ?? '', /begins at 15, .* (position|end at) 10/)
    assert.match(halted.get(1) ?? '', /begins at 20, .* (position|end at) 10/)
    assert.equal(await judgedIn(bench, 0), 10, 'nothing beyond the gap is judged')

    // The client library has by now committed that it is lost; the verdicts know better.
    await bench.stopGate(gate)
    const next = bench.startGate()
    await waitFor('the next gate halts too', async () => (await lanesWaiting(next, 'POSITION_JUMPED')).size === 2)
    await bench.stopGate(next)
  })

  test('while a lane is at work: it halts instead of going on where the client library finds something again', {
    skip,
  }, async (t) => {
    const bench = await openBench(t, { partitions: 1 })
    await bench.importList('stand-in', KNOWN)
    // So many that it fetches nothing more while it stands still: what had been fetched before it was deleted would not be lost.
    await publish(bench, 'first', 100)
    const second = await messagesOf(bench, 'second', 10)
    const gate = await withDoor(bench, async (admin) => {
      // It stands still after its first chunk for less than its session lasts, so that it does not ask for its position anew.
      const started = bench.startGate({ environment: { HOLD_TRANSACTION: '1:after-commit:freeze' }, preload: [HOLD] })
      await started.event('the gate stands still', ({ event }) => event === 'transaction-held')
      await bench.produce('crawl.items', second)
      await deleteBy(admin, bench, { 0: 105 })
      return started
    })
    // Again and again: it says that it stands still a moment before it does.
    const waking = setInterval(() => gate.kill('SIGCONT'), 100)
    t.after(() => clearInterval(waking))
    const halted = await waitFor('the lane halts', async () => {
      const jumped = await lanesWaiting(gate, 'POSITION_JUMPED')
      return jumped.size === 1 && jumped
    })
    assert.match(halted.get(0) ?? '', /begins at 105, .* position 100/)
    assert.equal(await judgedIn(bench, 0), 100, 'nothing beyond the gap is judged')
    await bench.stopGate(gate)
  })

  test('a door that was deleted and made anew is not taken for the one that was judged', { skip }, async (t) => {
    const bench = await openBench(t, { partitions: 2 })
    await bench.importList('stand-in', KNOWN)
    await publish(bench, 'first', 10)
    const first = bench.startGate()
    await waitFor('the first items are judged', () => bench.caughtUp())
    await bench.stopGate(first)

    const topic = bench.topic('crawl.items')
    await withDoor(bench, async (admin) => {
      await admin.deleteTopics({ topics: [topic] })
      await waitFor('the door is gone', async () => !(await admin.listTopics()).includes(topic))
    })
    await bench.sluice(['topics', 'apply', '--partitions', String(bench.partitions)])
    await publish(bench, 'shorter', 5)
    const second = bench.startGate()
    const shorter = await waitFor('both lanes halt', async () => {
      const jumped = await lanesWaiting(second, 'POSITION_JUMPED')
      return jumped.size === 2 && jumped
    })
    assert.match(shorter.get(0) ?? '', /ends at 5, .* end at 10/)
    await bench.stopGate(second)

    await publish(bench, 'longer', 10)
    const third = bench.startGate()
    const longer = await waitFor('both lanes halt again', async () => {
      const jumped = await lanesWaiting(third, 'POSITION_JUMPED')
      return jumped.size === 2 && jumped
    })
    assert.match(longer.get(0) ?? '', /offset 9 .* made anew/)
    await bench.stopGate(third)
    assert.equal(await judgedIn(bench, 0), 10, 'nothing of the new door is judged')
  })
})

/** With a client that knows already who leads the door's partitions. */
function withDoor<Result>(bench: Bench, work: (admin: Admin) => Promise<Result>): Promise<Result> {
  return withAdmin(createKafka(bench.settings, 'test'), async (admin) => {
    await admin.fetchTopicOffsets(bench.topic('crawl.items'))
    return await work(admin)
  })
}

/** As retention does: what is before these offsets is gone. */
function deleteBefore(bench: Bench, offsets: Readonly<Record<number, number>>): Promise<void> {
  return withDoor(bench, (admin) => deleteBy(admin, bench, offsets))
}

function deleteBy(admin: Admin, bench: Bench, offsets: Readonly<Record<number, number>>): Promise<void> {
  const partitions = Object.entries(offsets).map(([partition, offset]) => ({
    partition: Number(partition),
    offset: String(offset),
  }))
  return admin.deleteTopicRecords({ topic: bench.topic('crawl.items'), partitions })
}

/** Verdicts in a partition, committed ones only. */
async function judgedIn(bench: Bench, partition: number): Promise<number> {
  const { records } = await readTopics(bench.settings, [bench.topic('gate.verdicts')])
  return records.filter((record) => record.partition === partition).length
}
