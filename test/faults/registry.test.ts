import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from 'kafkajs'
import { registerSchemas } from '../../services/cluster/registered-schemas.ts'
import { exportSchemas } from '../../services/cluster/schemas-export.ts'
import { restoreSchemas } from '../../services/cluster/schemas-restore.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { createRegistry } from '../../services/platform/registry.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import type { GateProcess } from '../integration/gate-process.ts'
import { openBench, patiently, sweep } from '../integration/harness.ts'
import { crawlItem, tinyPicture } from '../integration/items.ts'
import { sharedStack } from '../integration/shared-stack.ts'
import { waitFor, watchFor } from '../integration/waiting.ts'
import { lanesWaiting } from './door.ts'
import { illnesses, startIllProxy, startOwnRegistry } from './own-registry.ts'

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'
const door = 'crawl.items'
const code = (expected: string) => (error: unknown) => error instanceof SluiceError && error.code === expected

test('a registry that comes back empty, or with other ids, stops the gate until it says again what it said before', {
  skip: skipWithoutPython(),
}, async (t) => {
  const own = await startOwnRegistry(t)
  const bench = await openBench(t, {
    partitions: 2,
    cluster: { ...sharedStack(), bootstrap: sharedStack().brokers, registry: own.url },
  })
  t.after(() => sweep(bench.settings))
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const exported = await patiently(() => exportSchemas(bench.settings))
  // Crawlers go on with the ids that they know.
  const messages = await Promise.all(
    [0, 1].map(async (partition): Promise<Message> => {
      const item = crawlItem(`item-${partition}`, { inline: await tinyPicture(partition) })
      return { key: `item-${partition}`, partition, value: await bench.registry.encode(door, item) }
    }),
  )
  const produce = (): Promise<void> => bench.produce(door, messages)
  const gate = bench.startGate()
  await produce()
  await waitFor('the first items are judged', () => bench.caughtUp())

  await own.stop()
  await produce()
  await waitFor('known ids go on while the registry is down', () => bench.caughtUp())

  own.loseStorage()
  await own.start()
  await waitFor('the gate finds it empty', async () => {
    await produce()
    return /no longer has it/.test(await sentence(gate))
  })
  // A lane that waits has no transaction open.
  await waitFor('both lanes wait', async () => (await lanesWaiting(gate, 'SCHEMA_IDS_CHANGED')).size === 2)
  const written = await bench.endOf('gate.verdicts')

  // Somebody else comes first, so that the ids that were ours mean something else.
  for (const number of [1, 2, 3]) {
    await register(own.url, `other-${number}`, { type: 'record', name: `Other${number}`, fields: [] })
  }
  await patiently(() => registerSchemas(bench.settings))
  await waitFor('the gate finds other ids', async () => /now gives it/.test(await sentence(gate)))
  await watchFor(6, async () => assert.equal(await bench.endOf('gate.verdicts'), written, 'nothing is written'))

  const restore = () => patiently(() => restoreSchemas(bench.settings, exported))
  await assert.rejects(restore(), code('SCHEMA_IDS_CHANGED'))
  await own.stop()
  own.loseStorage()
  await own.start()
  await restore()
  await waitFor('the gate goes on by itself', () => bench.caughtUp())
  await bench.stopGate(gate)
  const fates = await audit(bench)
  assert.ok(fates.length > 4)
  assert.ok(fates.every(({ outcome }) => outcome === 'clean'))
})

/** What the gate says of ids that have changed; empty when it does not. */
async function sentence(gate: GateProcess): Promise<string> {
  const state = await gate.readiness()
  return state?.waiting.find((each) => each.code === 'SCHEMA_IDS_CHANGED')?.sentence ?? ''
}

async function register(url: string, subject: string, schema: object): Promise<void> {
  const answer = await fetch(`${url}/subjects/${subject}/versions`, {
    method: 'POST',
    headers: { 'content-type': MEDIA_TYPE },
    body: JSON.stringify({ schema: JSON.stringify(schema) }),
  })
  assert.ok(answer.ok, `status ${answer.status}`)
}

test('whatever a sick registry says, known ids go on, and what needs it is never the fault of a message', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const proxy = await startIllProxy(t, bench.settings.registry)
  const settings = { ...bench.settings, registry: proxy.url }
  const value = await bench.registry.encode(door, crawlItem('a', {}))
  const unknown = Buffer.from(value)
  unknown.writeInt32BE(2_000_000_000, 1)
  for (const illness of illnesses) {
    await t.test(illness, async (each) => {
      let later = 0
      const now = performance.now.bind(performance)
      each.mock.method(performance, 'now', () => now() + later)
      const [cold, warm] = [createRegistry(settings), createRegistry(settings)]
      proxy.become('well')
      await warm.decode(door, value)
      await warm.warm([door])
      proxy.become(illness)
      // Long enough for everything that is known to be asked for again.
      later = 60_000
      const asked = proxy.asked()
      assert.equal((await warm.decode(door, value)).unknownFields.constructor, Object)
      assert.ok(await warm.encode(door, crawlItem('b', {})))
      assert.ok(proxy.asked() > asked, 'it was asked')
      if (illness === 'slow') {
        await assert.rejects(warm.decode(door, unknown), code('SCHEMA_FOREIGN'))
      } else {
        await Promise.all([
          assert.rejects(warm.decode(door, unknown), code('REGISTRY_UNREACHABLE')),
          assert.rejects(cold.decode(door, value), code('REGISTRY_UNREACHABLE')),
          assert.rejects(cold.encode(door, {}), code('REGISTRY_UNREACHABLE')),
        ])
      }
      proxy.become('well')
      await assert.rejects(warm.decode(door, unknown), code('SCHEMA_FOREIGN'))
      assert.ok(await cold.decode(door, value))
    })
  }
})
