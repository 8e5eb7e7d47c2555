import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { SluiceError } from '../../domain/errors.ts'
import { readSettings, type Settings } from '../../platform/settings.ts'
import { answers, unreachable } from './answering.ts'
import { freePort, isFree } from './free-port.ts'
import { withLock } from './lock.ts'
import { type ServerName, type ServerStatus, type StackProvider, serverNames } from './provider.ts'
import { type Ports, servers } from './servers.ts'
import { readState, type State, stateSchema, writeState } from './state-file.ts'
import { hasUsers } from './users.ts'

const START_PATIENCE_MS = 300_000
const PORT_PATIENCE_MS = 30_000
const POLL_MS = 200

export type LocalOptions = {
  /** Says the others where the stack is. Its ports hold until `down`. */
  stateFile: string
  folder: string
  /** has the users, made with the stack; see `users.ts` */
  users: string
  kafkaPort: number | null
  registryPort: number | null
}

/** What the servers of a local stack run in. */
export type Runner = {
  provider: State['provider']
  /** where clients find the ports */
  host: string
  /** @throws {SluiceError} INSTALL_MISSING */
  assertInstalled(): void
  /** Whether there is data of an earlier run. */
  hasData(): Promise<boolean>
  /** What there is now, with its process id where that means something on this machine. */
  running(): Promise<ReadonlyMap<ServerName, number | null>>
  /** Starts a server, without waiting for its answer. */
  begin(server: ServerName, ports: Ports): Promise<void>
  /** Ends these servers, and in any case what a start that was cut short has left behind. */
  end(servers: readonly ServerName[]): Promise<void>
  /** Removes the data of a stack that is down, as far as it is not in the stack's folder. */
  erase(): Promise<void>
  /** Where a server that is gone has left its last words. */
  log(server: ServerName): string
}

/** Real servers on this machine, on loopback only; they survive the command that starts them. */
export function createLocalProvider(options: LocalOptions, runner: Runner): StackProvider {
  const { stateFile, folder, users } = options

  async function up(): Promise<State> {
    runner.assertInstalled()
    if (!hasUsers(users) && (await runner.hasData())) {
      const sentence = `the stack in ${folder} was made when its Kafka asked nobody who they are, or had other users`
      throw new SluiceError(
        'CONFIG_INVALID',
        `${sentence}: \`sluice stack erase\` deletes it with all its records, then \`sluice stack up\` makes a new one`,
      )
    }
    const known = readState(stateFile)
    // Servers whose addresses nobody knows any more are of no use to anybody.
    await (known === null ? down() : runner.end([]))
    const running = await runner.running()
    const absent = serverNames.filter((server) => !running.has(server))
    const ports = await choosePorts(options, known, absent)
    const state = describe(ports)
    writeState(stateFile, state)
    try {
      // All of them to their end, or the failure of one would leave the other to start after `down`.
      const begun = await Promise.allSettled(absent.map((server) => runner.begin(server, ports)))
      for (const result of begun) if (result.status === 'rejected') throw result.reason
      await Promise.all(serverNames.map((server) => untilUp(server, state)))
    } catch (error) {
      await down(absent)
      throw error
    }
    return state
  }

  function describe(ports: Ports): State {
    return {
      provider: runner.provider,
      brokers: [`${runner.host}:${ports.kafka}`],
      registry: `http://${runner.host}:${ports.registry}/apis/ccompat/v7`,
      users,
      ports,
    }
  }

  async function untilUp(server: ServerName, state: State): Promise<void> {
    const deadline = performance.now() + START_PATIENCE_MS
    while (!(await answers[server](settingsOf(state)))) {
      if (!(await runner.running()).has(server)) {
        throw unreachable(server, `ended while it was starting; why is in ${runner.log(server)}`)
      }
      if (performance.now() > deadline) {
        const seconds = START_PATIENCE_MS / 1000
        throw unreachable(server, `runs but has not answered for ${seconds} s; its log is ${runner.log(server)}`)
      }
      await wait(POLL_MS)
    }
  }

  async function down(only: readonly ServerName[] = serverNames): Promise<void> {
    await runner.end(only)
    if (only.length === serverNames.length && (await runner.running()).size === 0) rmSync(stateFile, { force: true })
  }

  async function statusOf(
    server: ServerName,
    running: ReadonlyMap<ServerName, number | null>,
    state: State | null,
  ): Promise<ServerStatus> {
    const pid = running.get(server)
    if (pid === undefined) return { server, state: 'down', pid: null, address: null }
    if (state === null) return { server, state: 'starting', pid, address: null }
    const address = server === 'kafka' ? state.brokers.join(',') : state.registry
    return { server, state: (await answers[server](settingsOf(state))) ? 'up' : 'starting', pid, address }
  }

  function locked<Result>(work: () => Promise<Result>): Promise<Result> {
    mkdirSync(folder, { recursive: true })
    return withLock(join(folder, 'lock'), work)
  }

  return {
    async up() {
      const { ports, ...stack } = await locked(up)
      return stack
    },
    async down(only) {
      if (existsSync(folder)) await locked(() => down(only))
    },
    async erase() {
      if (!existsSync(folder)) return
      await locked(async () => {
        await down()
        await runner.erase()
      })
      rmSync(folder, { recursive: true, force: true })
    },
    async status() {
      const state = readState(stateFile)
      const running = await runner.running()
      const found = await Promise.all(serverNames.map((server) => statusOf(server, running, state)))
      return { provider: runner.provider, up: found.every((server) => server.state === 'up'), servers: found }
    },
  }
}

/** The ports of before where there are any, so that clients find a restarted server; new ones where they are taken. */
async function choosePorts(options: LocalOptions, known: State | null, absent: readonly ServerName[]): Promise<Ports> {
  const given: Partial<Ports> = {
    ...(options.kafkaPort === null ? {} : { kafka: options.kafkaPort }),
    ...(options.registryPort === null ? {} : { registry: options.registryPort }),
  }
  const ports: Partial<Ports> = {}
  for (const server of serverNames) {
    for (const name of servers[server].ports) {
      const wanted = given[name]
      const before = known?.ports[name]
      if (!absent.includes(server)) {
        if (wanted !== undefined && wanted !== before) {
          throw new SluiceError(
            'USAGE',
            `the stack already runs with port ${before}, not ${wanted}: \`sluice stack down\` first`,
          )
        }
        ports[name] = before ?? 0
      } else if (wanted !== undefined) {
        if (!(await isFree(wanted))) throw new SluiceError('USAGE', `port ${wanted} is taken: name another, or none`)
        ports[name] = wanted
      } else {
        ports[name] = before !== undefined && (await isSoonFree(before)) ? before : await freePort()
      }
    }
  }
  return stateSchema.shape.ports.parse(ports)
}

/** A killed process is not found any more a moment before its sockets are closed. */
async function isSoonFree(port: number): Promise<boolean> {
  const deadline = performance.now() + PORT_PATIENCE_MS
  while (!(await isFree(port))) {
    if (performance.now() > deadline) return false
    await wait(POLL_MS)
  }
  return true
}

function settingsOf(state: State): Settings {
  return readSettings({
    SLUICE_BROKERS: state.brokers.join(','),
    SLUICE_REGISTRY: state.registry,
    SLUICE_KAFKA_USERS: state.users,
    SLUICE_PRINCIPAL: 'admin',
  })
}
