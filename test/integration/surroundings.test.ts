import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Acl, ANY } from '../../services/cluster/access/acl.ts'
import { createAcls, deleteAcls } from '../../services/cluster/access/cluster-acls.ts'
import { entryKey } from '../../services/domain/hash-list.ts'
import type { HashListEntry } from '../../services/domain/records.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from './audit.ts'
import type { GateProcess } from './gate-process.ts'
import { type Bench, openBench } from './harness.ts'
import { crawlItem, sha256, tinyPicture } from './items.ts'
import { waitFor, watchFor } from './waiting.ts'

const ITEMS = 100
const QUIET_SECONDS = 30
const KNOWN = [{ id: 'known', sha256: sha256(Buffer.from('known')) }]
const skip = skipWithoutPython()

type Trouble = {
  code: string
  /** Makes the trouble. @returns settings for the gate, and what ends the trouble */
  begin(bench: Bench): Promise<{ environment?: Record<string, string>; end(): void | Promise<void> }>
}

const troubles: Readonly<Record<string, Trouble>> = {
  'the registry down from the start': {
    code: 'REGISTRY_UNREACHABLE',
    async begin(bench) {
      await bench.importList('stand-in', KNOWN)
      const gap = await bench.gapBefore('registry', 'cut')
      return { environment: { SLUICE_REGISTRY: throughGap(bench, gap.port) }, end: () => gap.mend() }
    },
  },
  'no list': {
    code: 'LISTS_INCOMPLETE',
    begin: (bench) => Promise.resolve({ end: () => bench.importList('stand-in', KNOWN) }),
  },
  'half a list': {
    code: 'LISTS_INCOMPLETE',
    async begin(bench) {
      const messages = ['known', 'other'].map(async (id) => {
        const signals = [{ signal: 'sha256', value: Buffer.alloc(32, id) }]
        const entry: HashListEntry = {
          list: 'stand-in',
          id,
          signals,
          classification: null,
          opinions: [],
          withdrawn: false,
        }
        const value = await bench.registry.encode('gate.hash-entries', { entry, manifest: null })
        return { key: entryKey('stand-in', id), value, partition: 0 }
      })
      await bench.produce('gate.hash-entries', await Promise.all(messages))
      return { end: () => bench.importList('stand-in', KNOWN) }
    },
  },
  'a stale list': {
    code: 'LISTS_STALE',
    async begin(bench) {
      await bench.importList('stand-in', KNOWN, new Date(Date.now() - 30 * 24 * 3_600_000))
      return { end: () => bench.importList('stand-in', KNOWN) }
    },
  },
}

describe('surroundings that fail hold everything back, and nothing is lost', { concurrency: true }, () => {
  for (const [name, { code, begin }] of Object.entries(troubles)) {
    test(`with ${name} nothing is judged; when it ends, everything is, by the same gate`, { skip }, async (t) => {
      const bench = await openBench(t)
      const { environment = {}, end } = await begin(bench)
      const gate = bench.startGate({ environment })
      await publish(bench, ITEMS)
      await waitFor(`the gate waits for ${code}`, () => waitsFor(gate, code))
      await watchFor(QUIET_SECONDS, async () => {
        assert.ok(gate.running(), 'the gate is still there')
        assert.ok(await waitsFor(gate, code), `/readyz says no, because of ${code}`)
        const outcomes = await bench.endOf('gate.clean', 'gate.quarantine', 'gate.review', 'gate.verdicts')
        assert.equal(outcomes, 0, 'no outcome')
      })
      await end()
      await waitFor('the gate has caught up', () => bench.caughtUp())
      await gate.untilReady()
      await bench.stopGate(gate)
      const fates = await audit(bench)
      assert.deepEqual(
        fates.map(({ outcome }) => outcome),
        Array(ITEMS).fill('clean'),
      )
    })
  }

  test('with the registry gone later, known schema ids go on and an unknown one waits for it', { skip }, async (t) => {
    const bench = await openBench(t, { partitions: 2 })
    await bench.importList('stand-in', KNOWN)
    const gap = await bench.gapBefore('registry')
    const gate = bench.startGate({
      environment: { SLUICE_REGISTRY: throughGap(bench, gap.port) },
    })
    await publish(bench, 10)
    await waitFor('the first items are judged', () => bench.caughtUp())
    gap.cut()
    const unknown = await itemValue(bench, 'unknown')
    unknown.writeInt32BE(2_147_483_647, 1)
    await bench.produce('crawl.items', [
      { key: 'unknown', partition: 0, value: unknown },
      { key: 'known', partition: 1, value: await itemValue(bench, 'known') },
    ])
    await waitFor('the lane waits', () => waitsFor(gate, 'REGISTRY_UNREACHABLE'))
    await waitFor('the other lane goes on', async () => (await judged(gate)) === 11)
    gap.mend()
    await waitFor('the gate has caught up', () => bench.caughtUp())
    await bench.stopGate(gate)
    const fates = await audit(bench)
    assert.deepEqual(fates.find(({ door }) => door.key === Buffer.from('unknown').toString('base64'))?.reasons, [
      'SCHEMA_FOREIGN',
    ])
    assert.equal(fates.filter(({ outcome }) => outcome === 'clean').length, 11)
  })

  test('a gate that is shut out of its group says so, and goes on when it is let in again', { skip }, async (t) => {
    const bench = await openBench(t, { partitions: 2 })
    await bench.importList('stand-in', KNOWN)
    const gate = bench.startGate()
    await publish(bench, 10)
    await waitFor('the first items are judged', () => bench.caughtUp())
    const shutOut: Acl = {
      resource: 'group',
      name: bench.group,
      pattern: 'literal',
      principal: 'User:gate',
      host: ANY,
      operation: 'read',
      permission: 'deny',
    }
    await bench.ask((admin) => createAcls(admin, [shutOut]))
    const told = /do not let this principal read the door in the consumer group/
    await waitFor('the gate says why it waits', async () => {
      const waiting = (await gate.readiness())?.waiting ?? []
      return waiting.some(({ code, sentence }) => code === 'BROKER_UNREACHABLE' && told.test(sentence))
    })
    await publish(bench, 10)
    await bench.ask((admin) => deleteAcls(admin, [shutOut]))
    await waitFor('the gate has caught up', () => bench.caughtUp())
    await gate.untilReady()
    assert.ok(gate.events.some(({ event }) => event === 'lanes-ended'))
    await bench.stopGate(gate)
    assert.equal((await audit(bench)).length, 20)
  })
})

function throughGap(bench: Bench, port: number): string {
  const url = new URL(bench.settings.registry)
  url.host = `127.0.0.1:${port}`
  return url.href
}

async function waitsFor(gate: GateProcess, code: string): Promise<boolean> {
  const state = await gate.readiness()
  return state !== null && state.status === 503 && !state.ready && state.waiting.some((each) => each.code === code)
}

/** Items that this gate has judged and committed, by its own count. */
async function judged(gate: GateProcess): Promise<number> {
  const counts = (await gate.metrics()).matchAll(/^sluice_items_total\{.*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

async function itemValue(bench: Bench, id: string): Promise<Buffer> {
  return bench.registry.encode('crawl.items', crawlItem(id, { inline: await tinyPicture(1) }))
}

async function publish(bench: Bench, count: number): Promise<void> {
  const messages = Array.from({ length: count }, async (_, index) => {
    const id = `item-${index}`
    const item = crawlItem(id, { inline: await tinyPicture(index) })
    return {
      key: id,
      partition: index % bench.partitions,
      value: await bench.registry.encode('crawl.items', item),
    }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
}
