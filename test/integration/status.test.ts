import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { surroundings } from '../../services/domain/errors.ts'
import { gateStatus } from '../../services/gate/status.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from './audit.ts'
import { type SluiceProcess, startSluice } from './gate-process.ts'
import { openBench } from './harness.ts'
import { crawlItem, sha256, tinyPicture } from './items.ts'
import { waitFor } from './waiting.ts'

const CLEAN = 30
const KNOWN = 3
const TEXTS = 2

test('the status of a gate says what it waits for, since when and what to do; then what it judged, as librdkafka counts it', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const known = await tinyPicture(1000)
  const pictures = await Promise.all(Array.from({ length: CLEAN }, (_, seed) => tinyPicture(seed)))
  const payloads = [
    ...pictures,
    ...Array.from({ length: KNOWN }, () => known),
    ...Array.from({ length: TEXTS }, (_, number) => Buffer.from(`a text, number ${number}`)),
  ]
  const messages = payloads.map(async (inline, number) => ({
    key: `item-${number}`,
    value: await bench.registry.encode('crawl.items', crawlItem(`item-${number}`, { inline })),
    partition: number % bench.partitions,
  }))
  await bench.produce('crawl.items', await Promise.all(messages))

  const before = Date.now()
  const gate = bench.startGate()
  const { port } = await gate.event('the gate listens', ({ event }) => event === 'listening')
  const url = `http://127.0.0.1:${z.number().parse(port)}`
  const words = ['gate', 'status', '--json', '--gate', url]
  const statusIn = (command: SluiceProcess) => {
    const [found] = z.array(gateStatus).parse(JSON.parse(command.stdout()))
    assert.ok(found)
    return found
  }

  await waitFor('the gate waits for a list', async () =>
    (await gate.readiness())?.waiting.some(({ sentence }) => sentence.startsWith('list stand-in has no')),
  )
  const waits = statusIn(await bench.sluice(words, 1))
  const pause = waits.waiting.find(({ code }) => code === 'LISTS_INCOMPLETE')
  assert.ok(pause)
  assert.equal(pause.partition, null)
  assert.equal(pause.action, surroundings.LISTS_INCOMPLETE.action)
  assert.ok(Date.parse(pause.since) >= before && Date.parse(pause.since) <= Date.now(), pause.since)
  assert.deepEqual(
    waits.lists.map(({ list, problem }) => [list, problem?.code]),
    [['stand-in', 'LISTS_INCOMPLETE']],
  )
  assert.match(await gate.metrics(), /^sluice_gate_waiting\{reason="LISTS_INCOMPLETE"\} 1$/m)
  await gate.event('the log says so', ({ event, code }) => event === 'gate-waits' && code === pause.code)
  assert.equal(waits.judged.items, 0)
  const screen = (await bench.sluice(['gate', 'status', '--gate', url], 1)).stdout()
  assert.match(screen, /WAITS for LISTS_INCOMPLETE[\s\S]*What to do: /)

  await bench.importList('stand-in', [{ id: 'known', sha256: sha256(known) }])
  await waitFor('the gate has caught up', () => bench.caughtUp())
  await gate.untilReady()
  const ready = await waitFor('the status knows that all is judged', async () => {
    const command = startSluice(words, bench.environment)
    if ((await command.ended).code !== 0) return null
    const found = statusIn(command)
    return found.lanes.every(({ state }) => state === 'caught up') && found
  })
  assert.deepEqual(ready.waiting, [])
  assert.doesNotMatch(await gate.metrics(), /^sluice_(gate_waiting|lane_paused)\{/m)
  await gate.event('the log says that it goes on', ({ event, code }) => event === 'gate-goes-on' && code === pause.code)

  const fates = await audit(bench)
  assert.equal(ready.judged.items, fates.length)
  assert.deepEqual(ready.judged.outcomes, counts(fates.map(({ outcome }) => outcome)))
  assert.deepEqual(ready.judged.reasons, counts(fates.flatMap(({ reasons }) => reasons)))
  assert.ok(ready.judged.perSecond > 0)
  assert.deepEqual(
    ready.lanes.map(({ partition, lag, overdue }) => [partition, lag, overdue]),
    Array.from({ length: bench.partitions }, (_, partition) => [partition, 0, 0]),
  )
  assert.deepEqual(
    ready.lists.map(({ list, entries, problem }) => [list, entries, problem]),
    [['stand-in', 1, null]],
  )
  const screenAfter = (await bench.sluice(['gate', 'status', '--gate', url])).stdout()
  assert.match(screenAfter, /READY/)
  const one = await bench.sluice(['gate', 'status', '--gate', url, bench.settings.registry], 2)
  assert.match(one.stdout(), /READY/, 'those that answer are shown')
  assert.match(one.stderr(), /is no gate/)

  await bench.stopGate(gate)
  const gone = await bench.sluice(['gate', 'status', '--gate', url], 2)
  assert.match(gone.stderr(), /no gate answers at .*SLUICE_LISTEN/)
})

function counts(names: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {}
  for (const name of names) found[name] = (found[name] ?? 0) + 1
  return found
}
