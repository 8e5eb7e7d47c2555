import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { z } from 'zod'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from './audit.ts'
import { type GateProcess, startSluice, stopWhen } from './gate-process.ts'
import { type Bench, openBench } from './harness.ts'
import { crawlItem, photograph, sha256 } from './items.ts'

const ITEMS = 80
const KNOWN = [{ id: 'known', sha256: sha256(Buffer.from('known')) }]

test('SIGTERM finishes and commits the current chunk; the next gate goes on from there', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', KNOWN)
  await publishPhotographs(bench)
  const gate = bench.startGate({ words: ['--json'], environment: { SLUICE_CHUNK_ITEMS: '8' } })
  await stopWhen(gate, 'some items are judged', async () => (await bench.endOf('gate.verdicts')) > 0)
  gate.kill('SIGCONT')
  await bench.stopGate(gate)

  const committed = await bench.committed()
  assert.ok(committed > 0 && committed < ITEMS, `stopped in the middle, at ${committed}`)
  assert.deepEqual(totals(gate), { items: committed }, 'what it took up it has committed')

  const next = bench.startGate({ words: ['--until-caught-up', '--json'] })
  assert.deepEqual(await next.ended, { code: 0, signal: null }, 'ends by itself when everything is judged')
  assert.deepEqual(totals(next), { items: ITEMS - committed })
  assert.equal((await audit(bench)).length, ITEMS)
})

test('--until-caught-up ends at once on an empty door', async (t) => {
  const bench = await openBench(t)
  await bench.importList('stand-in', KNOWN)
  const gate = bench.startGate({ words: ['--until-caught-up'] })
  assert.deepEqual(await gate.ended, { code: 0, signal: null })
})

test('a gate with a wrong setting or policy ends with code 2 and one sentence that names it', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const policy = `${bench.folder}/wrong.yaml`
  await writeFile(policy, 'version: 1\nlimits:\n  payloadBytes: many\n')
  const cases: Array<{ environment: Record<string, string>; words?: string[]; names: RegExp }> = [
    { environment: { SLUICE_CHUNK_ITEMS: 'many' }, names: /SLUICE_CHUNK_ITEMS/ },
    { environment: { SLUICE_BROKERS: 'nowhere' }, names: /SLUICE_BROKERS.*host:port/ },
    { environment: { SLUICE_POLICY: policy }, names: /wrong\.yaml, line 3, limits > payloadBytes/ },
    { environment: { SLUICE_POLICY: `${bench.folder}/absent.yaml` }, names: /absent\.yaml/ },
    { environment: {}, words: ['--no-such-option'], names: /--no-such-option/ },
  ]
  await Promise.all(
    cases.map(async ({ environment, words = [], names }) => {
      const gate = startSluice(['gate', ...words], { ...bench.environment, ...environment })
      assert.deepEqual(await gate.ended, { code: 2, signal: null }, gate.stderr())
      assert.match(gate.stderr(), names)
      assert.equal(
        gate
          .stderr()
          .split('\n')
          .filter((line) => line.startsWith('sluice:')).length,
        1,
        gate.stderr(),
      )
    }),
  )
})

function totals(gate: GateProcess): { items: number } {
  return z.object({ items: z.number() }).parse(JSON.parse(gate.stdout()))
}

async function publishPhotographs(bench: Bench): Promise<void> {
  const inline = photograph('locomotion-house-cat')
  const messages = Array.from({ length: ITEMS }, async (_, index) => {
    const id = `item-${index}`
    return { key: id, partition: 0, value: await bench.registry.encode('crawl.items', crawlItem(id, { inline })) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}
