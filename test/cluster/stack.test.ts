import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { registerSchemas } from '../../services/cluster/registered-schemas.ts'
import type { StackStatus } from '../../services/cluster/stack/provider.ts'
import { stackStatus, startStack, stopStack } from '../../services/cluster/stack/stack.ts'
import { readSettings } from '../../services/platform/settings.ts'

const root = mkdtempSync(join(tmpdir(), 'sluice stack '))
const options = { root, environment: {} }

before(() => startStack(options))
after(async () => {
  await stopStack(options)
  rmSync(root, { recursive: true, force: true })
})

function pidsOf(status: StackStatus): number[] {
  return status.servers.flatMap(({ pid }) => pid ?? [])
}

async function killHard(): Promise<void> {
  for (const pid of pidsOf(await stackStatus(options))) process.kill(pid, 'SIGKILL')
  const deadline = performance.now() + 10_000
  while (pidsOf(await stackStatus(options)).length > 0) {
    assert.ok(performance.now() < deadline, 'killed servers are gone')
    await wait(50)
  }
}

test('a second up finds the first, also when both are asked for at once', async () => {
  const first = await stackStatus(options)
  const [one, two] = await Promise.all([startStack(options), startStack(options)])
  assert.deepEqual(one, two)
  assert.deepEqual(await stackStatus(options), first)
  assert.ok(first.up)
})

test('killed servers come back under their addresses, with the schema ids that they had given', async () => {
  const started = await startStack(options)
  const settings = readSettings({ SLUICE_BROKERS: started.brokers.join(','), SLUICE_REGISTRY: started.registry })
  const ids = await registerSchemas(settings)
  await killHard()
  const down = await stackStatus(options)
  assert.ok(!down.up)
  assert.deepEqual(await startStack(options), started)
  // Asked in another order, ids that were given anew would differ.
  const byName = (list: typeof ids) => new Map(list.map(({ subject, id }) => [subject, id]))
  assert.deepEqual(byName(await registerSchemas({ ...settings, prefix: 'other.' })).size, ids.length)
  assert.deepEqual(byName(await registerSchemas(settings)), byName(ids))
})

test('one server can be stopped and comes back under its address', async () => {
  const started = await startStack(options)
  await stopStack({ ...options, only: ['registry'] })
  const states = (await stackStatus(options)).servers.map(({ server, state }) => [server, state])
  assert.deepEqual(Object.fromEntries(states), { kafka: 'up', registry: 'down' })
  assert.deepEqual(await startStack(options), started)
})

test('asking for another port than the one in use is refused', async () => {
  await startStack(options)
  await assert.rejects(startStack({ ...options, kafkaPort: 1 }), { code: 'USAGE' })
})

test('down ends what an up that was killed half-way has left behind, even without its state file', async () => {
  await stopStack(options)
  const stack = join(import.meta.dirname, '../../services/cluster/stack/stack.ts')
  const script = `const { startStack } = await import(${JSON.stringify(stack)}); await startStack(${JSON.stringify(options)})`
  const up = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
  const deadline = performance.now() + 60_000
  while (pidsOf(await stackStatus(options)).length === 0) {
    assert.ok(performance.now() < deadline, 'a server is being started')
    await wait(20)
  }
  up.kill('SIGKILL')
  await once(up, 'exit')
  rmSync(join(root, 'stack.json'), { force: true })
  assert.notEqual(pidsOf(await stackStatus(options)).length, 0)
  await stopStack(options)
  assert.deepEqual(pidsOf(await stackStatus(options)), [])
})
