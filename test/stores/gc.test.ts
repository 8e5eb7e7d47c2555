import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3'
import type { StoreName } from '../../services/platform/stores/store.ts'
import { collect } from '../../services/stores/collect.ts'
import { readReferences } from '../../services/stores/references.ts'
import { startSluice } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { skipWithoutS3, startS3Server } from '../integration/s3-server.ts'
import { waitFor } from '../integration/waiting.ts'

const WEEKS = 30 * 24 * 3_600_000

const server = skipWithoutS3() === false ? await startS3Server({ after }) : null

/** Makes an object of a store as old as one that a crash left long ago. */
function age(bench: Bench, store: StoreName, name: string): void {
  const { stores } = bench.settings
  const shelf = stores.startsWith('s3://')
    ? join(server?.folder ?? '', `${stores.slice('s3://'.length)}-${store}`)
    : join(stores, store)
  const then = new Date(Date.now() - WEEKS)
  utimesSync(join(shelf, name.slice(0, 2), name), then, then)
}

/** Begins an upload that nobody ends, long ago. */
async function leaveUpload(bench: Bench): Promise<void> {
  if (server === null) return
  const Bucket = `${bench.settings.stores.slice('s3://'.length)}-held`
  await server.client().send(new CreateMultipartUploadCommand({ Bucket, Key: `aa/${'a'.repeat(64)}` }))
  const then = new Date(Date.now() - WEEKS)
  const folder = join(server.folder, Bucket)
  const uploads = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.includes('multipart'),
  )
  for (const path of uploads.reverse()) utimesSync(join(folder, path), then, then)
}

async function namesIn(bench: Bench, store: StoreName): Promise<string[]> {
  return (await Array.fromAsync(bench.store(store).list())).flat().map((each) => each.sha256)
}

async function put(bench: Bench, store: StoreName, bytes: Buffer): Promise<string> {
  await bench.store(store).write(sha256(bytes), bytes)
  return sha256(bytes)
}

async function publish(bench: Bench, from: number, count: number): Promise<void> {
  const messages = Array.from({ length: count }, async (_, at) => {
    const id = `item-${from + at}`
    const bytes = at % 2 === 0 ? await tinyPicture(from + at) : Buffer.from(`text ${from + at}`)
    const payload = at % 3 === 0 ? { reference: await put(bench, 'intake', bytes) } : { inline: bytes }
    return { key: id, partition: 0, value: await bench.registry.encode('crawl.items', crawlItem(id, payload)) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  await waitFor('the gate has caught up', () => bench.caughtUp())
}

for (const [kind, skip] of [
  ['folders', false],
  ['buckets', skipWithoutS3()],
] as const) {
  suite(`stores in ${kind}`, { skip }, () => {
    test('what a crash left is found, and taken away while a gate is at work; nothing that a record refers to is', async (t) => {
      const bench = await openBench(t, {
        partitions: 1,
        ...(kind === 'buckets' && server !== null ? { s3: server } : {}),
      })
      await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
      const gc = async (how: string) => {
        const rights = kind === 'buckets' ? server?.environment('admin') : {}
        const command = startSluice(['store', 'gc', how, '--json'], { ...bench.environment, ...rights })
        assert.equal((await command.ended).code, 0, command.stderr())
        return JSON.parse(command.stdout())
      }
      const gate = bench.startGate()
      await gate.untilReady()
      await publish(bench, 0, 30)

      const kept: Partial<Record<StoreName, string[]>> = {}
      for (const store of ['clean', 'held', 'intake'] as const) {
        kept[store] = await namesIn(bench, store)
        for (const name of kept[store]) if (store !== 'intake') age(bench, store, name)
      }
      // Of what a crash left: old and young, and one that a gate is about to want.
      const wanted = await tinyPicture(40)
      const old: Partial<Record<StoreName, string>> = {}
      for (const store of ['clean', 'held', 'intake'] as const) {
        old[store] = await put(bench, store, Buffer.from(`left in ${store}`))
        age(bench, store, old[store])
        kept[store]?.push(await put(bench, store, Buffer.from(`just left in ${store}`)))
      }
      await put(bench, 'clean', wanted)
      age(bench, 'clean', sha256(wanted))
      if (kind === 'folders') {
        const draft = join(bench.storeFolder('held'), `.${randomUUID()}`)
        writeFileSync(draft, 'half')
        utimesSync(draft, new Date(Date.now() - WEEKS), new Date(Date.now() - WEEKS))
      }
      if (kind === 'buckets') await leaveUpload(bench)

      const counted = await gc('--dry-run')
      const figures = (reports: { store: string; unreferred: number; drafts: number; removed: number }[]) =>
        reports.map(({ store, unreferred, drafts: begun, removed }) => [store, unreferred, begun, removed])
      assert.deepEqual(figures(counted), [
        ['clean', 2, 0, 0],
        ['held', 1, 1, 0],
        ['intake', 1, 0, 0],
      ])
      for (const store of ['clean', 'held', 'intake'] as const)
        assert.ok(await bench.store(store).has(old[store] ?? ''))

      // The gate goes on while it is cleared away, and wants what is about to go.
      await publish(bench, 40, 1)
      const judging = publish(bench, 100, 60)
      const cleared = await gc('--apply')
      await judging
      assert.deepEqual(figures(cleared), [
        ['clean', 1, 0, 1],
        ['held', 1, 1, 2],
        ['intake', 1, 0, 1],
      ])
      for (const store of ['clean', 'held', 'intake'] as const) {
        const names = new Set(await namesIn(bench, store))
        assert.ok(!names.has(old[store] ?? ''), `what was left in ${store} is gone`)
        for (const name of kept[store] ?? []) assert.ok(names.has(name), `${store} keeps what is needed`)
      }
      for (const store of ['clean', 'held'] as const) {
        const names = await namesIn(bench, store)
        for await (const references of readReferences(bench.settings, bench.registry, store, () => undefined)) {
          const referred = names.filter((name) => references.has(name))
          assert.equal(referred.length, new Set(names).size - 1, 'all but what was just left is referred to')
        }
      }
      const again = await gc('--apply')
      assert.deepEqual(
        again.map(({ removed }: { removed: number }) => removed),
        [0, 0, 0],
      )
      await bench.stopGate(gate)

      // Few at once, for a store that is far larger.
      let rounds = 0
      const found = new Set<string>()
      const names = await namesIn(bench, 'clean')
      for await (const references of readReferences(bench.settings, bench.registry, 'clean', () => undefined, 30)) {
        rounds += 1
        for (const name of names) if (references.covers(name) && references.has(name)) found.add(name)
      }
      assert.ok(rounds > 2)
      assert.equal(found.size, names.length - 1)
    })
  })
}

test('where no record refers to anything, nothing is taken away: those are the records of another gate', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.store('clean').make()
  const name = await put(bench, 'clean', Buffer.from('of another gate'))
  age(bench, 'clean', name)
  const { settings, registry } = bench
  const options = { settings, registry, now: Date.now(), onProgress: () => undefined }
  for (const apply of [true, false]) {
    await assert.rejects(collect({ ...options, store: 'clean', apply }), /SLUICE_PREFIX/)
  }
  assert.ok(await bench.store('clean').has(name))
})

test('what waits on the door keeps intake as it is, however old', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const name = await put(bench, 'intake', Buffer.from('waits'))
  age(bench, 'intake', name)
  const value = await bench.registry.encode('crawl.items', crawlItem('waits', { reference: name }))
  await bench.produce('crawl.items', [{ key: 'waits', value }])
  const { settings, registry } = bench
  // In the future, when the door would not keep it any more.
  const now = Date.now() + WEEKS
  await assert.rejects(
    collect({ settings, registry, store: 'intake', apply: true, now, onProgress: () => undefined }),
    /not judged/,
  )
  assert.ok(await bench.store('intake').has(name))
})

test('what a held item names and held has no copy of stays in intake, however old', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const gate = bench.startGate()
  await gate.untilReady()
  const large = 'a'.repeat(64)
  const shelf = join(bench.storeFolder('intake'), 'aa')
  mkdirSync(shelf)
  writeFileSync(join(shelf, large), '')
  // Large in name only.
  truncateSync(join(shelf, large), 2 ** 30 + 1)
  const late = await tinyPicture(1)
  const [seen, left] = [
    await put(bench, 'intake', await tinyPicture(2)),
    await put(bench, 'intake', Buffer.from('left')),
  ]
  const references = { late: sha256(late), large, seen, 'no-name': 'zz', nothing: '' }
  const messages = Object.entries(references).map(async ([id, reference]) => ({
    key: id,
    partition: 1,
    value: await bench.registry.encode('crawl.items', crawlItem(id, { reference })),
  }))
  await bench.produce('crawl.items', await Promise.all(messages))
  await waitFor('the gate has caught up', () => bench.caughtUp())
  await put(bench, 'intake', late)
  const names = [sha256(late), large, seen, left]
  for (const name of names) age(bench, 'intake', name)

  const { settings, registry } = bench
  const options = { settings, registry, now: Date.now(), onProgress: () => undefined }
  const { referred, removed } = await collect({ ...options, store: 'intake', apply: true })
  assert.deepEqual({ referred, removed }, { referred: 2, removed: 2 })
  const kept = await namesIn(bench, 'intake')
  assert.deepEqual(kept, [sha256(late), large].sort())
})

test('one of the two, and not both, has to be asked for', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  for (const words of [[], ['--dry-run', '--apply']]) {
    assert.match((await bench.sluice(['store', 'gc', ...words], 2)).stderr(), /one of --dry-run and --apply/)
  }
})
