import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type GateProcess, startSluice, stopWhen } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

const pictures = await Promise.all([0, 1, 2].map((n) => tinyPicture(n)))
const rows = pictures.map((picture, n) => ({ id: `known-${n}`, sha256: sha256(picture) }))
const others = [3, 4, 5].map((n) => ({ id: `other-${n}`, sha256: sha256(Buffer.from(String(n))) }))

/** Publishes the three pictures, when a gate that knows nothing must not judge them. */
async function publish(bench: Bench, round: string): Promise<void> {
  const messages = pictures.map(async (inline, n) => {
    const id = `${round}-${n}`
    return { key: id, partition: 0, value: await bench.registry.encode('crawl.items', crawlItem(id, { inline })) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}

async function isIncomplete(gate: GateProcess): Promise<boolean> {
  const state = await gate.readiness()
  return state?.status === 503 && state.waiting.some(({ code }) => code === 'LISTS_INCOMPLETE')
}

test('a list that is withdrawn, or whose topic is deleted or made anew, stops the gate until there is a list again', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const topic = bench.topic('gate.hash-entries')
  const gate = bench.startGate()
  const goesOn = (): Promise<unknown> => waitFor('the gate has caught up by itself', () => bench.caughtUp())
  const deleteTopic = async (): Promise<void> => {
    await bench.ask(async (admin) => {
      if ((await admin.listTopics()).includes(topic)) await admin.deleteTopics({ topics: [topic] })
    })
    await waitFor('the topic is gone', () => bench.ask(async (admin) => !(await admin.listTopics()).includes(topic)))
  }

  await bench.importList('stand-in', rows)
  await publish(bench, 'first')
  await goesOn()

  const version = gate.events.findLast(({ event }) => event === 'list')?.version
  await bench.produce('gate.hash-entries', [{ key: `stand-in/version/${version}`, value: null, partition: 0 }])
  await waitFor('the gate misses the version that was taken back', () => isIncomplete(gate))
  await publish(bench, 'withdrawn')
  await bench.importList('stand-in', rows)
  await goesOn()

  await deleteTopic()
  await waitFor('the gate misses the topic', () => isIncomplete(gate))
  await publish(bench, 'deleted')
  await bench.sluice(['topics', 'apply', '--partitions', '1'])
  await bench.importList('stand-in', rows)
  await goesOn()

  // Made anew at once, and longer than before: its end alone does not tell.
  await deleteTopic()
  await bench.sluice(['topics', 'apply', '--partitions', '1'])
  await bench.importList('stand-in', [...others, ...rows])
  await waitFor('the gate reads it from the beginning', () =>
    gate.events.some(({ event, entries }) => event === 'list' && entries === 6),
  )
  await publish(bench, 'anew')
  await goesOn()
  await bench.stopGate(gate)

  const fates = await audit(bench)
  assert.equal(fates.length, 12)
  for (const { outcome, reasons, verdict } of fates) {
    assert.deepEqual([outcome, reasons], ['quarantine', ['KNOWN_EXACT']], verdict.itemId ?? '')
  }
})

test('an import that ends half-way changes no verdict, neither of a gate that runs nor of one that starts, and can be done again', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows)
  const running = bench.startGate()
  await running.untilReady()
  const written = await bench.endOf('gate.hash-entries')

  // It takes back what was known, and is too long to be done at once.
  const file = join(bench.folder, 'longer.csv')
  const lines = Array.from({ length: 60_000 }, (_, n) => `new-${n},${sha256(Buffer.from(`new-${n}`))}`)
  await writeFile(file, ['id,sha256', ...lines, ''].join('\n'))
  const half = startSluice(['lists', 'import', file, '--list', 'stand-in'], bench.environment)
  await stopWhen(
    half,
    'a part of it is written',
    async () => (await bench.endOf('gate.hash-entries')) >= written + 1000,
  )
  half.kill('SIGTERM')
  half.kill('SIGCONT')
  assert.notEqual((await half.ended).code, 0)

  await publish(bench, 'half')
  await waitFor('the gate that runs has caught up', () => bench.caughtUp())
  await running.untilReady()
  await bench.stopGate(running)
  const starting = bench.startGate({ environment: { SLUICE_SNAPSHOTS: 'off' } })
  await starting.untilReady()
  await publish(bench, 'started')
  await waitFor('the gate that started has caught up', () => bench.caughtUp())
  await bench.sluice(['lists', 'import', file, '--list', 'stand-in'])
  await waitFor('the gate that started has the whole version', () =>
    starting.events.some(({ event, entries }) => event === 'list' && entries === lines.length),
  )
  await publish(bench, 'done')
  await waitFor('it has caught up again', () => bench.caughtUp())
  await bench.stopGate(starting)

  const fates = await audit(bench)
  const outcomesOf = (round: string): string[] =>
    fates.filter(({ verdict }) => verdict.itemId?.startsWith(round)).map(({ outcome }) => outcome)
  assert.deepEqual(outcomesOf('half'), Array(3).fill('quarantine'))
  assert.deepEqual(outcomesOf('started'), Array(3).fill('quarantine'))
  assert.deepEqual(outcomesOf('done'), Array(3).fill('clean'))
})
