import { randomBytes } from 'node:crypto'
import { type BrokerOptions, startBroker } from '../../../services/cluster/stack/broker-container.ts'
import { type Container, type Engine, findEngine, removeLabelled } from '../../../services/cluster/stack/docker.ts'
import { freePort } from '../../../services/cluster/stack/free-port.ts'
import { isAlive } from '../../../services/cluster/stack/owned-process.ts'
import { newClusterId } from '../../../services/cluster/stack/servers.ts'
import { type BreakableBroker, type BreakableCluster, createClusterQuestions } from './breakable-cluster.ts'
import { EVERY_BROKER, JAVA_OPTIONS } from './jvm-brokers.ts'

/** A broker with a network cable of its own. */
export type ContainerBroker = BreakableBroker & {
  /** Neither the others nor clients reach it, nor it them. */
  disconnect(): Promise<void>
  /** Resolves when the cluster counts it among its brokers. */
  connect(): Promise<void>
}

export type ContainerCluster = Omit<BreakableCluster, 'brokers'> & { brokers: readonly ContainerBroker[] }

const ids = [1, 2, 3] as const
const LABEL = 'sluice.cluster'

/** A broker may be elsewhere in the network when it comes back; Java would look where it was before. */
const ASK_FOR_NAMES = ['-Dsun.net.inetaddr.ttl=1', '-Dsun.net.inetaddr.negative.ttl=0']

/**
 * Three brokers in a container each, with a network between them. They end with `close()`; what a killed process has left, the next
 * one removes.
 * @param registry URL of a registry that is there already
 * @throws {Error} when no Docker engine answers
 */
export async function openContainerBrokers(registry: string): Promise<ContainerCluster> {
  const engine = await findEngine()
  if (engine === null) throw new Error('no Docker engine answers')
  await removeOrphans(engine)
  const owner = `${process.pid}-${randomBytes(4).toString('hex')}`
  const labels = { [LABEL]: owner }
  const network = `sluice-${owner}`
  const nameOf = (id: number): string => `sluice-${owner}-${id}`
  const names = Object.fromEntries(ids.map((id) => [id, nameOf(id)]))
  const clusterId = newClusterId()

  const started: Container[] = []
  try {
    await engine.client.container.dockerode.createNetwork({ Name: network, Labels: labels })
    const brokers = await Promise.all(
      ids.map(async (id): Promise<ContainerBroker> => {
        const options: BrokerOptions = {
          name: nameOf(id),
          volume: nameOf(id),
          labels,
          network,
          port: await freePort(),
          javaOptions: [...JAVA_OPTIONS, ...ASK_FOR_NAMES],
          clusterId,
          node: { id, names, settings: EVERY_BROKER },
        }
        const container = await startBroker(engine, options)
        started.push(container)
        return createBroker({ id, engine, container, network, port: options.port, untilMember })
      }),
    )
    const questions = createClusterQuestions(brokers)
    function untilMember(broker: BreakableBroker): Promise<void> {
      return questions.untilMember(broker)
    }
    await Promise.all(brokers.map(untilMember))
    return {
      ...questions,
      brokers,
      bootstrap: brokers.map(({ address }) => address),
      registry,
      users: null,
      close: () => removeLabelled(engine, labels),
    }
  } catch (cause) {
    const told = await Promise.all(started.map(lastWords))
    await removeLabelled(engine, labels)
    throw new Error(`the brokers did not come up:\n${told.join('\n')}`, { cause })
  }
}

/** What a container wrote last, and whether it still runs. */
async function lastWords(container: Container): Promise<string> {
  const [{ Name, State }, log] = await Promise.all([
    container.inspect(),
    container.logs({ stdout: true, stderr: true, tail: 5 }),
  ])
  // Each line of the log has a head of eight bytes that are no text.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return `${Name} ${State.Status}: ${log.toString().replace(/[\u0000-\u0009\u000b-\u001f]/g, '')}`
}

function createBroker(parts: {
  id: number
  engine: Engine
  container: Container
  network: string
  port: number
  untilMember: (broker: BreakableBroker) => Promise<void>
}): ContainerBroker {
  const { id, engine, container, port } = parts
  const network = engine.client.network.getById(parts.network)
  let reachable = true

  const broker: ContainerBroker = {
    id,
    address: `${engine.host}:${port}`,
    running: () => reachable,
    async kill() {
      reachable = false
      await container.kill({ signal: 'SIGKILL' })
      await container.wait({ condition: 'not-running' })
    },
    async stop() {
      await container.stop({ t: 60 })
      reachable = false
    },
    async start() {
      await container.start()
      await backAgain()
    },
    async freeze() {
      reachable = false
      await container.pause()
    },
    async thaw() {
      await container.unpause()
      await backAgain()
    },
    async disconnect() {
      reachable = false
      await network.disconnect({ Container: container.id, Force: true })
    },
    async connect() {
      await network.connect({ Container: container.id })
      await backAgain()
    },
  }

  async function backAgain(): Promise<void> {
    await parts.untilMember(broker)
    reachable = true
  }

  return broker
}

async function removeOrphans(engine: Engine): Promise<void> {
  const { dockerode } = engine.client.container
  const filters = { label: [LABEL] }
  const [containers, { Volumes }, networks] = await Promise.all([
    dockerode.listContainers({ all: true, filters }),
    dockerode.listVolumes({ filters }),
    dockerode.listNetworks({ filters }),
  ])
  const owners = [...containers, ...(Volumes ?? []), ...networks].map(({ Labels }) => Labels?.[LABEL] ?? '')
  for (const owner of new Set(owners.filter((name) => !isAlive(Number(name.split('-')[0]))))) {
    await removeLabelled(engine, { [LABEL]: owner })
  }
}
