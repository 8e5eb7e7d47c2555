import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { registerSchemas } from '../../services/cluster/registered-schemas.ts'
import type { StackStatus } from '../../services/cluster/stack/provider.ts'
import { eraseStack, stackStatus, startStack, stopStack } from '../../services/cluster/stack/stack.ts'
import { stateSchema } from '../../services/cluster/stack/state-file.ts'
import { principals } from '../../services/domain/principals.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { readSettings } from '../../services/platform/settings.ts'
import { adminSettings, environmentOf } from '../integration/shared-stack.ts'
import { waitFor } from '../integration/waiting.ts'

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

/** A server of a busy machine may take its time, and is asked once. */
const untilUp = (): Promise<StackStatus> =>
  waitFor('both servers answer', async () => {
    const status = await stackStatus(options)
    return status.up && status
  })

async function killHard(): Promise<void> {
  for (const pid of pidsOf(await stackStatus(options))) process.kill(pid, 'SIGKILL')
  await waitFor('killed servers are gone', async () => pidsOf(await stackStatus(options)).length === 0)
}

test('a second up finds the first, also when both are asked for at once', async () => {
  const first = await untilUp()
  const [one, two] = await Promise.all([startStack(options), startStack(options)])
  assert.deepEqual(one, two)
  assert.deepEqual(await untilUp(), first)
})

test('killed servers come back under their addresses, with the schema ids that they had given', async () => {
  const started = await startStack(options)
  const settings = adminSettings(started)
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

test('every user has a file that nobody else may read, and nobody comes without one, not even where brokers talk to each other', async () => {
  const started = await startStack(options)
  assert.ok(started.users)
  assert.deepEqual(readdirSync(started.users).sort(), principals.toSorted())
  for (const principal of principals) {
    assert.equal(statSync(join(started.users, principal)).mode & 0o777, 0o600)
    const settings = readSettings({ ...environmentOf(started), SLUICE_PRINCIPAL: principal })
    await withAdmin(createKafka(settings, 'test'), (admin) => admin.listTopics())
  }
  const { ports } = stateSchema.parse(JSON.parse(readFileSync(join(root, 'stack.json'), 'utf8')))
  for (const port of [ports.kafka, ports.controller]) {
    const settings = { brokers: [`127.0.0.1:${port}`], tls: false, sasl: null }
    const nobody = createKafka(settings, 'test', undefined, { retries: 0 })
    await assert.rejects(withAdmin(nobody, (admin) => admin.listTopics()))
  }
})

test('a stack that was made before there were users is told of, erased when that is said, and made anew', async (t) => {
  const old = mkdtempSync(join(tmpdir(), 'sluice stack '))
  t.after(() => rmSync(old, { recursive: true, force: true }))
  mkdirSync(join(old, 'stack/kafka/data'), { recursive: true })
  const there = { root: old, environment: {} }
  await assert.rejects(startStack(there), { code: 'CONFIG_INVALID', message: /`sluice stack erase`/ })
  await eraseStack(there)
  assert.ok(!existsSync(join(old, 'stack')))
})

test('one server can be stopped and comes back under its address', async () => {
  const started = await startStack(options)
  await stopStack({ ...options, only: ['registry'] })
  await waitFor('of the two one answers', async () => {
    const states = (await stackStatus(options)).servers.map(({ server, state }) => [server, state])
    return isDeepStrictEqual(Object.fromEntries(states), { kafka: 'up', registry: 'down' })
  })
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
  const gone = once(up, 'exit')
  await waitFor('a server is being started', async () => pidsOf(await stackStatus(options)).length > 0, { everyMs: 20 })
  up.kill('SIGKILL')
  await gone
  rmSync(join(root, 'stack.json'), { force: true })
  assert.notEqual(pidsOf(await stackStatus(options)).length, 0)
  await stopStack(options)
  assert.deepEqual(pidsOf(await stackStatus(options)), [])
})
