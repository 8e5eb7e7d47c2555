import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { startBroker } from './broker-container.ts'
import { type Container, type Engine, findEngine, removeContainer, removeLabelled, startContainer } from './docker.ts'
import { imageFor } from './images.ts'
import type { Runner } from './local.ts'
import { idOf } from './owned-process.ts'
import { type ServerName, serverNames } from './provider.ts'
import { kafkaJava, newClusterId, type Ports, registryOptions } from './servers.ts'
import { usersOf } from './users.ts'

const STOP_PATIENCE_MS = 20_000
const LOG_LINES = 2000

/**
 * One container a server, found again by labels that follow from the folder, with its data in a volume of the same name.
 * @param folder for their last words; it is there if there may be containers
 * @param users folder
 */
export async function createContainersRunner(folder: string, users: string): Promise<Runner> {
  const engine = await findEngine()
  const id = idOf(folder)
  const nameOf = (server: ServerName): string => `sluice-${id}-${server}`
  const logOf = (server: ServerName): string => join(folder, `${server}.log`)

  const begin: Readonly<Record<ServerName, (engine: Engine, ports: Ports) => Promise<Container>>> = {
    kafka: (found, ports) =>
      startBroker(found, {
        ...placeOf('kafka'),
        port: ports.kafka,
        javaOptions: kafkaJava,
        clusterId: newClusterId(),
        users: usersOf(users),
      }),
    registry: async (found, ports) =>
      startContainer(found, {
        ...placeOf('registry'),
        ports: [ports.registry],
        image: await imageFor(found, 'registry'),
        // The images differ in how they start; Java itself reads this.
        environment: { JAVA_TOOL_OPTIONS: registryOptions('0.0.0.0', ports, '/data').join(' ') },
      }),
  }

  function placeOf(server: ServerName): { name: string; volume: string; labels: Record<string, string> } {
    const name = nameOf(server)
    return { name, volume: name, labels: { 'sluice.stack': id, 'sluice.server': server } }
  }

  return {
    provider: 'containers',
    host: engine?.host ?? '127.0.0.1',

    assertInstalled() {
      if (engine === null) {
        throw new SluiceError(
          'INSTALL_MISSING',
          'no Docker engine answers: start Docker, or name its address in DOCKER_HOST',
        )
      }
    },

    async hasData() {
      if (engine === null) return false
      const filters = { name: [`^${nameOf('kafka')}$`] }
      return (await engine.client.container.dockerode.listVolumes({ filters })).Volumes.length > 0
    },

    async running() {
      if (engine === null) return new Map()
      const { dockerode } = engine.client.container
      const found = await dockerode.listContainers({ filters: { label: [`sluice.stack=${id}`] } })
      const names = new Set(found.map(({ Labels }) => Labels['sluice.server']))
      return new Map(serverNames.filter((server) => names.has(server)).map((server) => [server, null]))
    },

    async begin(server, ports) {
      if (engine === null) return
      mkdirSync(folder, { recursive: true })
      await begin[server](engine, ports)
    },

    async end(only) {
      if (engine !== null) await Promise.all(only.map((server) => end(engine, nameOf(server), logOf(server))))
    },

    async erase() {
      if (engine !== null) await removeLabelled(engine, { 'sluice.stack': id })
    },

    log: logOf,
  }
}

/** @param log takes its last words */
async function end(engine: Engine, name: string, log: string): Promise<void> {
  const { client } = engine
  const { dockerode } = client.container
  const [there] = await dockerode.listContainers({ all: true, filters: { name: [`^/${name}$`] } })
  if (there === undefined) return
  const container = client.container.getById(there.Id)
  await client.container.stop(container, { timeout: STOP_PATIENCE_MS })
  writeFileSync(
    log,
    withoutHeaders(await container.logs({ stdout: true, stderr: true, follow: false, tail: LOG_LINES })),
  )
  await removeContainer(engine, name)
}

/** The engine puts eight bytes before each piece of output: which stream, three zeros, the length. */
function withoutHeaders(output: Buffer): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at + 8 <= output.length; ) {
    const end = at + 8 + output.readUInt32BE(at + 4)
    pieces.push(output.subarray(at + 8, end))
    at = end
  }
  return Buffer.concat(pieces)
}
