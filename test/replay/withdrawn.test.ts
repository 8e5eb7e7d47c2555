import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { acquisition } from '../../services/domain/envelope.ts'
import { openCleanReader } from '../../services/train/read-clean.ts'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { type SluiceProcess, untilInForce } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, pdq, photograph, sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { objectsIn, runRecall } from '../recall/cleared.ts'
import { reportShape, splitHeaders, startWorker, statusOf } from './replay-bench.ts'

const skip = skipWithoutPython()
const [boats, mountains] = [photograph('nagasaki-boats'), photograph('french-alpine-landscape')]
const good = [{ id: 'other', sha256: 'ab'.repeat(32) }]
const planned = z.looseObject({ run: z.string(), total: z.looseObject({ items: z.number(), clean: z.number() }) })

/** Two items of the boats, one inline and one by reference, and the mountains. */
async function publish(bench: Bench): Promise<void> {
  await bench.store('intake').make()
  await bench.store('intake').write(sha256(boats), boats)
  const items = [
    crawlItem('boats-inline', { inline: boats }),
    crawlItem('boats-referred', { reference: sha256(boats) }),
    crawlItem('mountains', { inline: mountains }),
  ]
  const fetched = acquisition({ requestedUrl: 'https://pictures.example.org/17.jpg', fetchedAt: 1_767_225_600_000 })
  const messages = items.map(async ({ envelope, inline }, n) => {
    const value = await bench.registry.encode('crawl.items', {
      envelope: { ...envelope, acquisition: fetched },
      inline,
    })
    return { key: envelope.item?.id ?? '', value, partition: n % bench.partitions }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}

async function planWithdrawn(bench: Bench, name: string, words: readonly string[] = [], code = 0) {
  const file = join(bench.folder, `${name}.json`)
  const all = ['replay', 'plan', '--withdrawn', '--why', 'a list was wrong', '--out', file, '--json', ...words]
  const { stdout } = await bench.sluice(all, code)
  return { file, plan: code === 0 ? planned.parse(JSON.parse(stdout())) : null }
}

async function handedOut(bench: Bench): Promise<string[]> {
  const reader = await openCleanReader(bench.settings)
  const ids: string[] = []
  try {
    for await (const { id } of reader.items()) ids.push(id)
  } finally {
    await reader.close()
  }
  return ids.sort()
}

function hasSaid(worker: SluiceProcess, wanted: string, run?: string): boolean {
  assert.ok(worker.running(), worker.stderr())
  return worker.events.some(({ event, run: its }) => event === wanted && its === run)
}

test('what a bad list version recalled comes back by a replay when that is withdrawn, with all that was known of it, and once', {
  skip,
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const bad = [...good, { id: 'boats', pdq: (await pdq(boats)).hex }]
  await bench.importList('stand-in', good)
  const gate = bench.startGate()
  await publish(bench)
  await waitFor('all are judged', () => bench.caughtUp())
  assert.equal((await objectsIn(bench, 'clean')).length, 2)
  await planWithdrawn(bench, 'none', [], 1)

  await untilInForce(gate, () => bench.importList('stand-in', bad))
  assert.equal((await runRecall(bench)).recalled, 1)
  await planWithdrawn(bench, 'recalled', [], 1)
  assert.deepEqual(await objectsIn(bench, 'clean'), [sha256(mountains)])

  await untilInForce(gate, () => bench.importList('stand-in', good))
  assert.equal((await runRecall(bench)).withdrawn, 1)
  await planWithdrawn(bench, 'other-list', ['--list', 'another'], 1)
  const { file, plan } = await planWithdrawn(bench, 'withdrawn', ['--entry', 'stand-in/boats'])
  assert.deepEqual([plan?.total.items, plan?.total.clean], [2, 2])

  const run = plan?.run ?? ''
  const held = bench.storeFolder('held')
  const first = startWorker(t, bench)
  // It does not begin without its store.
  await waitFor('it has begun', () => hasSaid(first, 'replay-worker'))
  await rename(held, `${held}-away`)
  await bench.sluice(['replay', 'run', file, '--detach'])
  await waitFor('it waits for the store', () => hasSaid(first, 'replay-waits', run))
  first.kill('SIGTERM')
  assert.equal((await first.ended).code, 0, first.stderr())
  await rename(`${held}-away`, held)

  const worker = startWorker(t, bench)
  await bench.sluice(['replay', 'run', file])
  assert.deepEqual((await statusOf(bench, run)).counts, { replayed: 2 })
  await waitFor('they are judged', () => bench.caughtUp())
  const report = reportShape.parse(JSON.parse((await bench.sluice(['replay', 'report', run, '--json'])).stdout()))
  assert.deepEqual([report.total.items, report.total.clean], [2, 2])
  assert.deepEqual((await objectsIn(bench, 'clean')).sort(), [sha256(boats), sha256(mountains)].sort())
  assert.deepEqual(await handedOut(bench), ['boats-inline', 'boats-referred', 'mountains'])

  const { records } = await readTopics(bench.settings, [bench.topic('crawl.items'), bench.topic('gate.envelopes')])
  const shape = z.looseObject({
    envelope: z.looseObject({ item: z.looseObject({ id: z.string() }), payload: z.unknown() }),
  })
  const door = records.filter(({ topic }) => topic === bench.topic('crawl.items'))
  const again = door.filter((record) => splitHeaders(record).replay.size > 0)
  assert.equal(again.length, 2)
  for (const one of again) {
    const place = splitHeaders(one).replay.get('sluice-replay-origin')?.split('/').at(-1)
    const first = door.find(({ partition, offset }) => partition === one.partition && `${offset}` === place)
    assert.deepEqual(one.key, first?.key)
    const [before, now] = [shape.parse(first?.value).envelope, shape.parse(one.value).envelope]
    assert.deepEqual({ ...now, payload: null }, { ...before, payload: null })
  }

  await planWithdrawn(bench, 'twice', [], 1)
  // Recalled and withdrawn once more, what came back goes through once more, and what it came from does not.
  await untilInForce(gate, () => bench.importList('stand-in', bad))
  assert.equal((await runRecall(bench)).recalled, 1)
  await untilInForce(gate, () => bench.importList('stand-in', good))
  assert.equal((await runRecall(bench)).withdrawn, 1)
  const second = await planWithdrawn(bench, 'second')
  assert.equal(second.plan?.total.items, 2)
  await bench.sluice(['replay', 'run', second.file])
  await waitFor('they are judged again', () => bench.caughtUp())
  assert.deepEqual(await handedOut(bench), ['boats-inline', 'boats-referred', 'mountains'])

  const wrong = await bench.sluice(['quarantine', 'ls', '--withdrawn', '--reason', 'KNOWN_NEAR'], 2)
  assert.match(wrong.stderr(), /none of --outcome, --reason/)
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0, worker.stderr())
  await bench.stopGate(gate)
})
