import {
  type ContainerRuntimeClient,
  GenericContainer,
  getContainerRuntimeClient,
  ImageName,
  Wait,
} from 'testcontainers'
import { SluiceError } from '../../domain/errors.ts'

/** A Docker engine that answers. */
export type Engine = {
  client: ContainerRuntimeClient
  /** where clients find what its containers listen on */
  host: string
}

/** One container, whatever state it is in; of the library `dockerode`. */
export type Container = ReturnType<ContainerRuntimeClient['container']['getById']>

const LOOPBACK = '127.0.0.1'

/** The engine of DOCKER_HOST, or else of this machine; null where none answers. */
export async function findEngine(): Promise<Engine | null> {
  try {
    const client = await getContainerRuntimeClient()
    const { host } = client.info.containerRuntime
    return { client, host: host === 'localhost' ? LOOPBACK : host }
  } catch {
    return null
  }
}

export type ContainerOptions = {
  name: string
  image: string
  labels: Readonly<Record<string, string>>
  /** These ports of the engine's machine are its own; of this machine they are on loopback only. */
  ports: readonly number[]
  /** volume that is mounted on /data; made when it is not there */
  volume: string
  /** absolute path in the container to text */
  files?: Readonly<Record<string, string>>
  environment?: Readonly<Record<string, string>>
  /** run by a shell; default: what the image says */
  script?: string
  /** where the others of this network find it by its name; default: no such network */
  network?: string
}

/** Starts a container, in place of one of the same name, and leaves it alone: it outlives this process. */
export async function startContainer(engine: Engine, options: ContainerOptions): Promise<Container> {
  await removeContainer(engine, options.name)
  const { client } = engine
  await client.container.dockerode.createVolume({ Name: options.volume, Labels: { ...options.labels } })
  try {
    const started = await new StackContainer(engine, options).start()
    return client.container.getById(started.getId())
  } catch (cause) {
    if (await client.image.exists(ImageName.fromString(options.image))) throw cause
    throw new SluiceError(
      'INSTALL_MISSING',
      `the image ${options.image} is not there and can not be fetched: \`make images\` builds what is needed here`,
      { cause },
    )
  }
}

/** Removes a container, running or not; its volume stays. */
export async function removeContainer({ client }: Engine, name: string): Promise<void> {
  await client.container.getById(name).remove({ force: true }).catch(unlessMissing)
}

/** Removes everything that carries these labels: containers, volumes, networks. */
export async function removeLabelled({ client }: Engine, labels: Readonly<Record<string, string>>): Promise<void> {
  const { dockerode } = client.container
  const label = Object.entries(labels).map(([name, value]) => (value === '' ? name : `${name}=${value}`))
  for (const { Id } of await dockerode.listContainers({ all: true, filters: { label } })) {
    await dockerode.getContainer(Id).remove({ force: true }).catch(unlessMissing)
  }
  const { Volumes } = await dockerode.listVolumes({ filters: { label } })
  for (const { Name } of Volumes ?? []) await dockerode.getVolume(Name).remove().catch(unlessMissing)
  for (const { Id } of await dockerode.listNetworks({ filters: { label } })) {
    await dockerode.getNetwork(Id).remove().catch(unlessMissing)
  }
}

/** The engine's answers carry the status of HTTP. */
function unlessMissing(error: unknown): void {
  if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error
}

class StackContainer extends GenericContainer {
  readonly #bindings: Record<string, { HostIp: string; HostPort: string }[]>

  constructor(engine: Engine, options: ContainerOptions) {
    super(options.image)
    const address = engine.host === LOOPBACK ? LOOPBACK : ''
    this.#bindings = Object.fromEntries(
      options.ports.map((port) => [`${port}/tcp`, [{ HostIp: address, HostPort: String(port) }]]),
    )
    this.withName(options.name)
      .withLabels(options.labels)
      .withBindMounts([{ source: options.volume, target: '/data' }])
      .withWorkingDir('/data')
      // Volumes belong to root, whoever the image's user is.
      .withUser('0')
      .withExposedPorts(...options.ports)
      .withCopyContentToContainer(
        Object.entries(options.files ?? {}).map(([target, content]) => ({ target, content, mode: 0o644 })),
      )
      .withEnvironment(options.environment ?? {})
      // Whether a server answers is asked by its own protocol, and nothing watches over what shall outlive this process.
      .withWaitStrategy(Wait.forAll([]))
      .withAutoCleanup(false)
    if (options.script !== undefined) this.withEntrypoint(['sh', '-c']).withCommand([options.script])
    if (options.network !== undefined) this.withNetworkMode(options.network)
  }

  /** testcontainers itself would listen on all addresses. */
  protected override beforeContainerCreated(): Promise<void> {
    this.hostConfig.PortBindings = this.#bindings
    this.hostConfig.LogConfig = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } }
    return Promise.resolve()
  }
}
