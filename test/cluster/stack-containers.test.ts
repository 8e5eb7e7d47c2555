import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { findEngine } from '../../services/cluster/stack/docker.ts'
import { idOf } from '../../services/cluster/stack/owned-process.ts'
import { eraseStack, stackStatus, startStack, stopStack } from '../../services/cluster/stack/stack.ts'
import { openEngine } from '../faults/cluster/docker-engine.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { openBench } from '../integration/harness.ts'
import { tinyPicture } from '../integration/items.ts'

const root = mkdtempSync(join(tmpdir(), 'sluice stack '))
const options = { root, environment: {} }

const engine = await openEngine()
after(async () => {
  await eraseStack(options)
  rmSync(root, { recursive: true, force: true })
  await engine.close()
})

test('a stack in containers keeps its addresses and records over a kill, down and up, the gate runs on it, and erase leaves nothing', {
  skip: engine.skip || skipWithoutPython(),
}, async (t) => {
  const started = await startStack({ ...options, provider: 'containers' })
  assert.equal(started.provider, 'containers')
  assert.deepEqual(await startStack(options), started, 'what runs is found, whatever would be taken else')
  await assert.rejects(startStack({ ...options, provider: 'jvm' }), { code: 'USAGE' })
  const bench = await openBench(t, { cluster: { ...started, bootstrap: started.brokers } })
  await bench.importList('stand-in', [])
  const pictures = join(bench.folder, 'pictures')
  mkdirSync(pictures)
  for (const name of ['boat', 'tree', 'cloud']) {
    writeFileSync(join(pictures, `${name}.png`), await tinyPicture(name.length))
  }
  await bench.sluice(['crawl', 'folder', pictures])

  await killRegistry()
  assert.equal((await stackStatus(options)).up, false)
  assert.deepEqual(await startStack(options), started, 'a killed server comes back under its address')

  const { kafkaPort, registryPort } = portsOf(started)
  await stopStack(options)
  assert.ok((await stackStatus(options)).servers.every(({ state }) => state === 'down'))
  assert.deepEqual(await startStack({ ...options, provider: 'containers', kafkaPort, registryPort }), started)
  await bench.sluice(['gate', '--until-caught-up'])
  assert.equal((await audit(bench)).length, 3)

  await eraseStack(options)
  const { containers, volumes } = await whatIsThere()
  assert.deepEqual([...containers, ...volumes], [])
})

async function killRegistry(): Promise<void> {
  const { containers, dockerode } = await whatIsThere()
  const registry = containers.find(({ Labels }) => Labels['sluice.server'] === 'registry')
  assert.ok(registry)
  await dockerode.getContainer(registry.Id).kill({ signal: 'SIGKILL' })
}

/** What the engine has of this stack. */
async function whatIsThere() {
  const found = await findEngine()
  assert.ok(found)
  const { dockerode } = found.client.container
  const filters = { label: [`sluice.stack=${idOf(join(root, 'stack', 'containers'))}`] }
  const containers = await dockerode.listContainers({ all: true, filters })
  const volumes = (await dockerode.listVolumes({ filters })).Volumes ?? []
  return { dockerode, containers, volumes }
}

function portsOf({ brokers, registry }: { brokers: string[]; registry: string }): {
  kafkaPort: number
  registryPort: number
} {
  return { kafkaPort: Number(brokers[0]?.split(':')[1]), registryPort: Number(new URL(registry).port) }
}
