import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Message } from 'kafkajs'
import type { StoreName } from '../../services/platform/stores/store.ts'
import { readStore, skipWithoutPython } from '../foreign/foreign.ts'
import { audit, type Fate } from '../integration/audit.ts'
import type { GateProcess } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import type { Sickness } from './sick-disk.ts'

const SICK_DISK = new URL('sick-disk.ts', import.meta.url).href

/** Why no file system can be mounted here; false where one can. */
function skipWithoutMount(): string | false {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-mount-'))
  try {
    mount('-t', 'tmpfs', 'tmpfs', folder)
    execFileSync('umount', [folder])
    return false
  } catch {
    return 'only root on Linux can mount a small disk'
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function mount(...words: string[]): void {
  execFileSync('mount', words, { stdio: 'pipe' })
}

let made = 0

/** Items by what becomes of them: `clean`, `held` (no picture), or `reference` (clean, its payload in the intake store). */
function messagesOf(bench: Bench, kind: 'clean' | 'held' | 'reference', count: number): Promise<Message[]> {
  const messages = Array.from({ length: count }, async () => {
    made += 1
    const id = `${kind}-${made}`
    const bytes = kind === 'held' ? Buffer.from(`text ${made}`) : await tinyPicture(made)
    if (kind === 'reference') await bench.store('intake').write(sha256(bytes), bytes)
    const item = crawlItem(id, kind === 'reference' ? { reference: sha256(bytes) } : { inline: bytes })
    return { key: id, partition: made % bench.partitions, value: await bench.registry.encode('crawl.items', item) }
  })
  return Promise.all(messages)
}

async function untilWaitingFor(gate: GateProcess, store: StoreName): Promise<void> {
  await waitFor(`/readyz says that the ${store} store is not there`, async () => {
    const state = await gate.readiness()
    return (
      state?.status === 503 &&
      state.waiting.some(
        ({ code, sentence }) => code === 'STORE_UNREACHABLE' && sentence.includes(`the ${store} store`),
      )
    )
  })
}

/** Every object that the topics speak of is there, whole, and nothing that is half. */
async function checkStores(bench: Bench, fates: readonly Fate[]): Promise<void> {
  for (const store of ['clean', 'held'] as const) {
    const objects = await readStore(bench.storeFolder(store))
    for (const { name, sha256: found } of objects) assert.equal(name, found)
    const names = new Set(objects.map(({ name }) => name))
    for (const fate of fates) {
      const wanted = store === 'clean' ? fate.clean?.payload.reference : fate.held?.heldReference
      assert.ok(wanted === undefined || names.has(wanted), `${fate.verdict.itemId} lacks its object in ${store}`)
    }
    const hidden = readdirSync(bench.storeFolder(store)).filter((name) => name.startsWith('.'))
    assert.deepEqual(hidden, ['.sluice-store'], 'no draft is left')
  }
  for (const { verdict, outcome } of fates) {
    assert.equal(outcome, verdict.itemId?.startsWith('held') ? 'quarantine' : 'clean', verdict.itemId ?? '')
  }
}

test('a disk that is full, read-only or gone holds the gate up for as long as it is, and nothing is lost', {
  skip: skipWithoutPython() || skipWithoutMount(),
}, async (t) => {
  const mounted: string[] = []
  t.after(() => {
    for (const folder of mounted) spawnSync('umount', ['-l', folder])
  })
  const bench = await openBench(t, { partitions: 2 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const small = 'size=128k'
  for (const store of ['clean', 'held'] as const) {
    mkdirSync(bench.storeFolder(store))
    mount('-t', 'tmpfs', '-o', small, 'tmpfs', bench.storeFolder(store))
    mounted.push(bench.storeFolder(store))
  }
  const intakeDisk = join(bench.folder, 'intake-disk')
  mkdirSync(intakeDisk)
  rmSync(bench.storeFolder('intake'), { recursive: true })
  mkdirSync(bench.storeFolder('intake'))
  const mountIntake = (): void => mount('--bind', intakeDisk, bench.storeFolder('intake'))
  mountIntake()
  mounted.push(bench.storeFolder('intake'))
  await bench.store('intake').make()
  const gate = bench.startGate()
  const goesOn = (): Promise<unknown> => waitFor('the gate has caught up by itself', () => bench.caughtUp())

  const publish = async (kind: 'clean' | 'held'): Promise<void> =>
    bench.produce('crawl.items', await messagesOf(bench, kind, 80))

  for (const kind of ['clean', 'held'] as const) {
    await publish(kind)
    await untilWaitingFor(gate, kind)
    mount('-o', 'remount,size=16m', bench.storeFolder(kind))
    await goesOn()
    mount('-o', 'remount,ro', bench.storeFolder(kind))
    await publish(kind)
    await untilWaitingFor(gate, kind)
    mount('-o', 'remount,rw', bench.storeFolder(kind))
    await goesOn()
  }

  const byReference = await messagesOf(bench, 'reference', 8)
  execFileSync('umount', ['-l', bench.storeFolder('intake')])
  await bench.produce('crawl.items', byReference)
  await untilWaitingFor(gate, 'intake')
  mountIntake()
  await goesOn()

  assert.equal(gate.events.filter(({ event }) => event === 'assigned').length, 1, 'the group was never lost')
  await bench.stopGate(gate)
  await checkStores(bench, await audit(bench))
})

test('a store that is slow keeps the gate in its group; one that fails holds it up; neither quarantines', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const file = join(bench.folder, 'sick-disk.json')
  const become = (path: string, illness: Sickness['illness']): void => {
    writeFileSync(`${file}.new`, JSON.stringify({ path, illness }))
    renameSync(`${file}.new`, file)
  }
  become('', { kind: 'well' })
  const gate = bench.startGate({ environment: { SICK_DISK: file }, preload: [SICK_DISK] })
  await gate.untilReady()

  // Longer than the group waits for a member that says nothing.
  become('/stores/intake/', { kind: 'slow', ms: 8000 })
  await bench.produce('crawl.items', await messagesOf(bench, 'reference', 1))
  await waitFor('the slow item is judged', () => bench.caughtUp())

  for (const [store, kind] of [
    ['intake', 'reference'],
    ['clean', 'clean'],
    ['held', 'held'],
  ] as const) {
    become(`/stores/${store}/`, { kind: 'broken' })
    await bench.produce('crawl.items', await messagesOf(bench, kind, 3))
    await untilWaitingFor(gate, store)
    become('', { kind: 'well' })
    await waitFor('the gate has caught up by itself', () => bench.caughtUp())
  }
  assert.equal(gate.events.filter(({ event }) => event === 'assigned').length, 1, 'the group was never lost')
  await bench.stopGate(gate)
  await checkStores(bench, await audit(bench))
})
