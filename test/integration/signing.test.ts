import assert from 'node:assert/strict'
import { chmod, rm } from 'node:fs/promises'
import { test } from 'node:test'
import type { CleanItem } from '../../services/domain/records.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { readTopic } from '../../services/platform/kafka/read-topic.ts'
import { lanesWaiting, publish } from '../faults/door.ts'
import { type Bench, openBench } from './harness.ts'
import { waitFor } from './waiting.ts'

/** Names of the keys by which the items of a round were signed for. */
async function keysOf(bench: Bench): Promise<Map<string, Set<string>>> {
  const keys = new Map<string, Set<string>>()
  await readTopic<CleanItem>({
    kafka: createKafka(bench.settings, 'signing-test'),
    registry: bench.registry,
    prefix: bench.settings.prefix,
    topic: 'gate.clean',
    isWanted: () => true,
    onValue({ id, receipt }) {
      const round = id.split('-')[0] ?? ''
      const { signatures } = JSON.parse(receipt ?? '')
      keys.set(round, (keys.get(round) ?? new Set()).add(signatures[0].keyid))
    },
  })
  return keys
}

test('keys are rotated and revoked while the gate runs; what it can not sign for waits, and is signed for afterwards', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const run = async (...words: string[]): Promise<{ id: string }> =>
    JSON.parse((await bench.sluice(['keys', ...words, '--json'])).stdout())
  const listed = JSON.parse((await bench.sluice(['keys', 'list', '--json'])).stdout())
  const first: string = listed[0].id
  const gate = bench.startGate()
  const judged = () => waitFor('all is judged', () => bench.caughtUp())
  const waits = () =>
    waitFor('the lanes wait', async () => (await lanesWaiting(gate, 'SIGNING_KEY_UNUSABLE')).size === 2)
  await publish(bench, 'one', 4)
  await judged()

  await bench.sluice(['keys', 'rotate'], 2)
  const { id: second } = await run('new')
  await run('rotate')
  await gate.event('it has changed its key', ({ event, key }) => event === 'signing-key' && key === second)
  await publish(bench, 'two', 4)
  await judged()

  await chmod(bench.settings.signingKey, 0o644)
  await gate.event('it has noticed', ({ event }) => event === 'signing-key-unusable')
  await publish(bench, 'three', 4)
  await waits()
  await chmod(bench.settings.signingKey, 0o600)
  await judged()

  await run('revoke', second, '--why', 'a test')
  await waitFor('it has noticed', async () =>
    (await gate.readiness())?.waiting.some(({ code }) => code === 'SIGNING_KEY_UNUSABLE'),
  )
  await publish(bench, 'four', 4)
  await waits()
  const { id: third } = await run('new')
  await run('rotate')
  await judged()
  await gate.untilReady()
  await bench.stopGate(gate)

  assert.deepEqual(Object.fromEntries(await keysOf(bench)), {
    one: new Set([first]),
    two: new Set([second]),
    three: new Set([second]),
    four: new Set([third]),
  })
  const refused = await bench.sluice(['train', 'check'], 1)
  assert.match(refused.stderr(), /\[KEY_REVOKED\]/)
})

test('a gate without a key, or with one that others may read, says so and does not start', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await chmod(bench.settings.signingKey, 0o604)
  const open = await bench.sluice(['gate', '--until-caught-up'], 2)
  assert.match(open.stderr(), /others may use the signing key .*chmod 600.* \[CONFIG_INVALID\]/)
  await rm(bench.settings.signingKey)
  const missing = await bench.sluice(['gate', '--until-caught-up'], 2)
  assert.match(missing.stderr(), /there is no signing key .*sluice keys new.* \[CONFIG_INVALID\]/)
})
