import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startSluice, untilInForce } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, pdq, pdqAtDistance, photograph, sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { objectsIn, recallRecords, runRecall } from './cleared.ts'

const [boats, mountains] = [photograph('nagasaki-boats'), photograph('french-alpine-landscape')]

async function publish(bench: Bench, id: string, inline: Buffer, fetchedSha256: string | null = null): Promise<void> {
  const item = crawlItem(id, { inline })
  const acquisition = fetchedSha256 === null ? null : { ...nothingFetched, fetchedSha256 }
  const value = await bench.registry.encode('crawl.items', { ...item, envelope: { ...item.envelope, acquisition } })
  await bench.produce('crawl.items', [{ key: id, value, partition: 0 }])
}

const nothingFetched = {
  crawler: null,
  run: null,
  requestedUrl: null,
  finalUrl: null,
  redirects: [],
  status: null,
  responseHeaders: [],
  remoteAddress: null,
  fetchedAt: null,
  fetchedMd5: null,
  fetchedSha1: null,
  fetchedSha256: null,
  warcFile: null,
  warcOffset: null,
  warcRecordId: null,
  truncated: null,
}

test('what a gate has cleared is recalled by whoever follows as soon as it is known, trace says so, and a replay is judged anew', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [{ id: 'old', sha256: sha256(Buffer.from('old')) }])
  const gate = bench.startGate()
  await publish(bench, 'boats', boats)
  await publish(bench, 'mountains', mountains)
  await waitFor('both are judged', () => bench.caughtUp())
  assert.equal((await objectsIn(bench, 'clean')).length, 2)

  const follower = startSluice(['recall', 'run', '--follow', '--json'], bench.environment)
  t.after(() => follower.kill('SIGKILL'))
  const known = pdqAtDistance((await pdq(boats)).hex, 8)
  await untilInForce(gate, () => bench.importList('stand-in', [{ id: 'boats', pdq: known }]))
  await waitFor('it is recalled', async () => (await objectsIn(bench, 'clean')).length === 1)
  assert.deepEqual(await objectsIn(bench, 'clean'), [sha256(mountains)])
  assert.ok((await objectsIn(bench, 'held')).includes(sha256(boats)))
  const [passage] = JSON.parse((await bench.sluice(['trace', 'boats', '--json'])).stdout()).passages
  assert.deepEqual([passage.recall?.state, passage.bytes.store], ['recalled', 'held'])
  assert.equal(passage.clean?.receipt, 'holds')
  assert.match((await bench.sluice(['trace', 'boats'])).stdout(), /recall +state +recalled/)

  await untilInForce(gate, () => bench.importList('stand-in', [{ id: 'old', sha256: sha256(Buffer.from('old')) }]))
  await waitFor('it is withdrawn', async () => (await recallRecords(bench)).at(-1)?.state === 'withdrawn')
  assert.deepEqual(await objectsIn(bench, 'clean'), [sha256(mountains)])
  await publish(bench, 'boats', boats)
  await waitFor('it is judged again', () => bench.caughtUp())
  assert.equal((await objectsIn(bench, 'clean')).length, 2)
  follower.kill('SIGTERM')
  assert.equal((await follower.ended).code, 0)
  assert.equal((await runRecall(bench)).recalled, 0)
  await bench.stopGate(gate)
})

test('what only the envelope tells of the bytes as they were fetched recalls an item as it would have held it', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [{ id: 'old', sha256: sha256(Buffer.from('old')) }])
  const fetched = sha256(Buffer.from('the picture before it was shrunk'))
  await publish(bench, 'boats', boats, fetched)
  await publish(bench, 'mountains', mountains, sha256(Buffer.from('something else')))
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)
  await bench.importList('stand-in', [{ id: 'fetched', sha256: fetched }])
  assert.equal((await runRecall(bench)).recalled, 1)
  const [record] = await recallRecords(bench)
  assert.deepEqual([record?.sha256, record?.matches[0]?.transform], [sha256(boats), 'as-fetched'])
  assert.deepEqual(await objectsIn(bench, 'clean'), [sha256(mountains)])

  const still = await runRecall(bench)
  assert.deepEqual([still.recalled, still.withdrawn], [0, 0])
  await bench.importList('stand-in', [
    { id: 'fetched', sha256: fetched },
    { id: 'another', sha256: sha256(mountains) },
  ])
  const more = await runRecall(bench)
  assert.deepEqual([more.recalled, more.withdrawn, more.changed], [1, 0, 0])
  await bench.importList('stand-in', [{ id: 'another', sha256: sha256(mountains) }])
  assert.equal((await runRecall(bench)).withdrawn, 1)
})
