import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Message } from 'kafkajs'
import type { StoreName } from '../../services/platform/stores/store.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from './audit.ts'
import { startSluice } from './gate-process.ts'
import { type Bench, openBench } from './harness.ts'
import { crawlItem, photograph, sha256, tinyPicture } from './items.ts'
import { skipWithoutS3, startS3Server } from './s3-server.ts'
import { waitFor } from './waiting.ts'

const skip = skipWithoutS3() || skipWithoutPython()
const server = skip === false ? await startS3Server({ after }) : null

const PARTITIONS = 2
const KINDS = ['inline', 'reference', 'held', 'held-reference', 'bogus', 'misnamed'] as const
type Kind = (typeof KINDS)[number]

/** What becomes of an item of each kind, and its reason. */
const fates: Readonly<Record<Kind, [outcome: string, reason: string | null]>> = {
  inline: ['clean', null],
  reference: ['clean', null],
  held: ['quarantine', 'MEDIA_UNSUPPORTED'],
  'held-reference': ['quarantine', 'MEDIA_UNSUPPORTED'],
  bogus: ['quarantine', 'PAYLOAD_MISSING'],
  misnamed: ['quarantine', 'DIGEST_MISMATCH'],
}

async function messageOf(bench: Bench, kind: Kind, at: number): Promise<Message> {
  const id = `${kind}_${at}`
  const isText = kind.startsWith('held')
  const bytes = isText ? Buffer.from(`text ${kind} ${at}`) : await tinyPicture(at)
  const reference = sha256(kind === 'misnamed' ? Buffer.from(id) : bytes)
  if (['reference', 'held-reference'].includes(kind)) await bench.store('intake').write(reference, bytes)
  if (kind === 'misnamed') await plant(bench, reference, bytes)
  const payload = kind === 'inline' || kind === 'held' ? { inline: bytes } : { reference }
  const value = await bench.registry.encode('crawl.items', crawlItem(id, payload))
  return { key: id, partition: at % PARTITIONS, value }
}

/** As a crawler that lies would: our own client can't. */
async function plant(bench: Bench, name: string, bytes: Buffer): Promise<void> {
  const { PutObjectCommand } = await import('@aws-sdk/client-s3')
  const Bucket = `${bench.settings.stores.slice('s3://'.length)}-intake`
  await server
    ?.client('crawler')
    .send(new PutObjectCommand({ Bucket, Key: `${name.slice(0, 2)}/${name}`, Body: bytes }))
}

const batch = (bench: Bench, from: number, count: number): Promise<Message[]> =>
  Promise.all(
    Array.from({ length: count }, (_, at) => messageOf(bench, KINDS[at % KINDS.length] ?? 'inline', from + at)),
  )

async function namesIn(bench: Bench, store: StoreName): Promise<Set<string>> {
  const names = (await Array.fromAsync(bench.store(store).list())).flat().map(({ sha256: name }) => name)
  for (const name of names) assert.equal(sha256(await bench.store(store).read(name, 1_000_000)), name)
  assert.deepEqual((await Array.fromAsync(bench.store(store).drafts())).flat(), [])
  return new Set(names)
}

test('a gate with its stores in buckets, with no rights but its own, waits for a server that is killed; every item has one outcome, every reference an object', {
  skip,
}, async (t) => {
  if (server === null) return
  const bench = await openBench(t, { partitions: PARTITIONS, s3: server })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const gate = bench.startGate({ environment: server.environment('gate') })
  await gate.untilReady()

  const pictures = join(bench.folder, 'pictures')
  await mkdir(pictures)
  await writeFile(join(pictures, 'large.jpg'), photograph('nagasaki-boats'))
  await writeFile(join(pictures, 'small.png'), await tinyPicture(9000))
  await runAs('crawler', ['crawl', 'folder', pictures])

  const rounds = 3
  const count = 60
  for (let round = 0; round < rounds; round += 1) {
    const messages = await batch(bench, round * count, count)
    const before = await bench.committed()
    await bench.produce('crawl.items', messages)
    await waitFor('the gate is at it', async () => (await bench.committed()) > before, { everyMs: 5 })
    const more = await batch(bench, 1000 + round * count, count)
    await server.kill()
    await bench.produce('crawl.items', more)
    await waitFor('/readyz says which store is not there', async () => {
      const { status, waiting = [] } = (await gate.readiness()) ?? {}
      const says = /the (intake|clean|held) store can't be used: its server does not answer/
      return status === 503 && waiting.some((each) => each.code === 'STORE_UNREACHABLE' && says.test(each.sentence))
    })
    await server.start()
    await waitFor('the gate has caught up by itself', () => bench.caughtUp())
  }
  assert.equal(gate.events.filter(({ event }) => event === 'assigned').length, 1, 'the group was never lost')
  const told = gate.stderr()
  assert.doesNotMatch(told, /[0-9a-f]{64}|s3:\/\/|http:/, 'no key and no URL is logged')
  await bench.stopGate(gate)

  const [clean, held] = [await namesIn(bench, 'clean'), await namesIn(bench, 'held')]
  const judged = await audit(bench)
  assert.equal(judged.length, rounds * count * 2 + 2)
  for (const fate of judged) {
    const kind = KINDS.find((each) => fate.verdict.itemId?.startsWith(`${each}_`)) ?? 'inline'
    const [outcome, reason] = fates[kind]
    assert.deepEqual(
      [fate.outcome, reason === null || fate.reasons.includes(reason)],
      [outcome, true],
      `${kind} ${fate.reasons}`,
    )
    if (fate.clean !== null) assert.ok(clean.has(fate.clean.payload.reference))
    if (fate.held === null) continue
    assert.ok(held.has(fate.held.heldReference))
    assert.equal(fate.held.payloadReference !== null, kind !== 'bogus')
    if (fate.held.payloadReference !== null) assert.ok(held.has(fate.held.payloadReference))
  }

  // What a later list knows goes from clean to held, by a principal that may do that alone.
  const known = judged.flatMap(({ clean: item }) => item?.payload.reference ?? []).slice(0, 5)
  await bench.importList(
    'stand-in',
    known.map((sha256) => ({ sha256 })),
  )
  const recalled = JSON.parse(await runAs('recall', ['recall', 'run', '--json']))
  assert.deepEqual([recalled.moved, recalled.missing], [5, 0])
  for (const name of known) {
    assert.deepEqual([await bench.store('clean').has(name), await bench.store('held').has(name)], [false, true])
  }

  async function runAs(who: string, words: readonly string[]): Promise<string> {
    const command = startSluice(words, { ...bench.environment, ...server?.environment(who) })
    const { code } = await command.ended
    assert.equal(code, 0, command.stderr())
    return command.stdout()
  }
})
