import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { answers } from '../../../services/cluster/stack/answering.ts'
import { freePorts } from '../../../services/cluster/stack/free-port.ts'
import { assertInstalled, javaCommand } from '../../../services/cluster/stack/java.ts'
import {
  endMarked,
  findMarked,
  isAlive,
  markOf,
  signal,
  startDetached,
} from '../../../services/cluster/stack/owned-process.ts'
import { kafkaClasses, lightJava, newClusterId, servers } from '../../../services/cluster/stack/servers.ts'
import { newPassword, usersOf } from '../../../services/cluster/stack/users.ts'
import { readSettings } from '../../../services/platform/settings.ts'
import { endWithThisProcess } from '../../integration/leftovers.ts'
import { waitFor } from '../../integration/waiting.ts'
import { type BreakableBroker, type BreakableCluster, createClusterQuestions } from './breakable-cluster.ts'

const ids = [1, 2, 3] as const
type Id = (typeof ids)[number]

/** Below it, each cluster has a folder that is named by the process that owns it. */
const ROOT = resolve('.sluice/clusters')

export type JvmBrokersOptions = {
  /** URL of a registry that is there already; default: one of this cluster's own */
  registry?: string
  /** whether the brokers ask who comes, and let everybody do only what they may; default: false */
  secured?: boolean
  /** What one broker has that the others have not. */
  brokers?: Partial<Record<Id, JvmBrokerOptions>>
}

export type JvmBrokerOptions = {
  /** of its process, beside the test's own */
  environment?: Readonly<Record<string, string>>
  /** where it keeps its data; default: in its own folder */
  dataFolder?: string
}

/**
 * Three brokers, each a Java process that is a controller too, with small heaps and short patience. They end with `close()`, or with
 * this process; what a killed process has left, the next one ends here.
 * @throws {SluiceError} INSTALL_MISSING
 */
export async function openJvmBrokers(options: JvmBrokersOptions = {}): Promise<BreakableCluster> {
  assertInstalled()
  await removeOrphans()
  const folder = join(ROOT, `${process.pid}-${randomBytes(4).toString('hex')}`)
  const killAll = (): void => {
    for (const pid of marksOf(folder).flatMap(findMarked)) signal(pid, 'SIGKILL')
  }
  const forget = endWithThisProcess(killAll)
  try {
    const clusterId = newClusterId()
    const folderOfUsers = options.secured === true ? join(folder, 'users') : null
    const secured = folderOfUsers === null ? {} : { users: usersOf(folderOfUsers), password: newPassword() }
    const ports = await Promise.all(ids.map(freePorts))
    const voters = ids.map((id, index) => `${id}@127.0.0.1:${ports[index]?.controller}`).join(',')
    const brokers = await Promise.all(
      ids.map(async (id, index): Promise<BreakableBroker> => {
        const { dataFolder, environment = {} } = options.brokers?.[id] ?? {}
        const home = join(folder, `broker-${id}`)
        const settings = [...EVERY_BROKER, `node.id=${id}`, `controller.quorum.voters=${voters}`]
        if (dataFolder !== undefined) settings.push(`log.dirs=${dataFolder}`)
        mkdirSync(home, { recursive: true })
        await servers.kafka.prepare(home, ports[index] ?? (await freePorts()), markOf(folder, 'prepare'), {
          clusterId,
          settings: settings.join('\n'),
          ...secured,
        })
        return createBroker({
          id,
          home,
          address: `127.0.0.1:${ports[index]?.kafka}`,
          mark: markOf(folder, `broker-${id}`),
          environment,
          untilMember: (broker) => questions.untilMember(broker),
        })
      }),
    )
    const questions = createClusterQuestions(brokers, folderOfUsers)
    const [registry] = await Promise.all([
      options.registry ?? startRegistry(folder),
      ...brokers.map((broker) => broker.start()),
    ])
    return {
      ...questions,
      brokers,
      users: folderOfUsers,
      bootstrap: brokers.map(({ address }) => address),
      registry,
      async close() {
        killAll()
        forget()
        await removeCluster(folder)
      },
    }
  } catch (error) {
    killAll()
    forget()
    throw error
  }
}

/** Lines of the properties file that are the same for the three, and not for the one broker of a local stack. */
export const EVERY_BROKER = [
  'offsets.topic.replication.factor=3',
  'transaction.state.log.replication.factor=3',
  'transaction.state.log.min.isr=2',
  'share.coordinator.state.topic.replication.factor=3',
  'share.coordinator.state.topic.min.isr=2',
  'default.replication.factor=3',
  'min.insync.replicas=2',
  // A dead or frozen broker is given up soon: tests wait for it.
  'broker.session.timeout.ms=4000',
  'broker.heartbeat.interval.ms=500',
  'controlled.shutdown.retry.backoff.ms=500',
  // Who was down leads again soon what it is the first for.
  'leader.imbalance.check.interval.seconds=1',
]

/** The first compiler alone: up sooner, and a killed broker has not lived long enough for the second to pay. */
export const JAVA_OPTIONS = ['-Xms96m', '-Xmx384m', ...lightJava]

function createBroker(parts: {
  id: Id
  home: string
  address: string
  mark: string
  environment: Readonly<Record<string, string>>
  untilMember: (broker: BreakableBroker) => Promise<void>
}): BreakableBroker {
  const { id, home, address, mark } = parts
  let frozen = false
  const pids = (): number[] => findMarked(mark)
  const untilGone = async (): Promise<void> => {
    await waitFor(`broker ${id} has ended`, () => pids().length === 0, { everyMs: 20 })
  }
  const send = (name: NodeJS.Signals): void => {
    for (const pid of pids()) signal(pid, name)
  }

  const broker: BreakableBroker = {
    id,
    address,
    running: () => !frozen && pids().length > 0,
    async kill() {
      send('SIGKILL')
      frozen = false
      await untilGone()
    },
    async stop() {
      send('SIGTERM')
      await untilGone()
    },
    async start() {
      if (pids().length === 0) {
        const words = [mark, ...JAVA_OPTIONS, ...kafkaClasses, 'kafka.Kafka', 'server.properties']
        startDetached(javaCommand(), words, home, join(home, 'console.log'), parts.environment)
      }
      await parts.untilMember(broker)
    },
    freeze() {
      frozen = true
      send('SIGSTOP')
      return Promise.resolve()
    },
    async thaw() {
      send('SIGCONT')
      frozen = false
      await parts.untilMember(broker)
    },
  }
  return broker
}

async function startRegistry(folder: string): Promise<string> {
  const home = join(folder, 'registry')
  mkdirSync(home, { recursive: true })
  const ports = await freePorts()
  const words = [markOf(folder, 'registry'), ...servers.registry.words(ports)]
  startDetached(javaCommand(), words, home, join(home, 'console.log'))
  const url = `http://127.0.0.1:${ports.registry}/apis/ccompat/v7`
  // The brokers play no part in the question.
  const settings = readSettings({ SLUICE_BROKERS: '127.0.0.1:1', SLUICE_REGISTRY: url })
  await waitFor('the registry answers', () => answers.registry(settings), { everyMs: 200 })
  return url
}

function marksOf(folder: string): string[] {
  return ['prepare', 'registry', ...ids.map((id) => `broker-${id}`)].map((name) => markOf(folder, name))
}

async function removeOrphans(): Promise<void> {
  if (!existsSync(ROOT)) return
  const orphans = readdirSync(ROOT).filter((name) => !isAlive(Number(name.split('-')[0])))
  await Promise.all(orphans.map((name) => removeCluster(join(ROOT, name))))
}

async function removeCluster(folder: string): Promise<void> {
  await Promise.all(marksOf(folder).map((mark) => endMarked(mark, 0)))
  await rm(folder, { recursive: true, force: true })
}
