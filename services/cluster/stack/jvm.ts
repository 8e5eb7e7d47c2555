import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { readSettings, type Settings } from '../../platform/settings.ts'
import { answers, unreachable } from './answering.ts'
import { freePort, isFree } from './free-port.ts'
import { assertInstalled, javaCommand } from './java.ts'
import { withLock } from './lock.ts'
import { endMarked, findMarked, markOf, startDetached } from './owned-process.ts'
import { type ServerName, type ServerStatus, type StackProvider, serverNames } from './provider.ts'
import { type Ports, servers } from './servers.ts'

const START_PATIENCE_MS = 120_000
const STOP_PATIENCE_MS = 20_000
const POLL_MS = 200

export type JvmOptions = {
  /** Says the others where the stack is. Its ports hold until `down`. */
  stateFile: string
  folder: string
  kafkaPort: number | null
  registryPort: number | null
}

const port = z.number().int().positive().max(65_535)
const stateSchema = z.object({
  provider: z.literal('jvm'),
  brokers: z.array(z.string()),
  registry: z.string(),
  ports: z.object({ kafka: port, controller: port, registry: port, management: port }),
  pids: z.object({ kafka: z.number().nullable(), registry: z.number().nullable() }),
})
type State = z.infer<typeof stateSchema>

/** Real servers on this machine, one Java process each, on loopback only; they survive the command that starts them. */
export function createJvmProvider(options: JvmOptions): StackProvider {
  const { stateFile, folder } = options
  const mark = (server: ServerName): string => markOf(folder, server)
  const preparing = markOf(folder, 'prepare')
  const pidOf = (server: ServerName): number | null => findMarked(mark(server))[0] ?? null

  async function up(): Promise<State> {
    assertInstalled()
    const known = readState(stateFile)
    // Servers whose addresses nobody knows any more are of no use to anybody.
    await (known === null ? down() : endMarked(preparing, 0))
    const absent = serverNames.filter((server) => pidOf(server) === null)
    const ports = await choosePorts(options, known, absent)
    const state = describe(ports)
    writeState(stateFile, state)
    try {
      // All of them to their end, or the failure of one would leave the other to start after `down`.
      const begun = await Promise.allSettled(absent.map((server) => begin(server, ports)))
      for (const [index, server] of absent.entries()) {
        const result = begun[index]
        if (result?.status !== 'fulfilled') throw result?.reason
        state.pids[server] = result.value
      }
      writeState(stateFile, state)
      await Promise.all(serverNames.map((server) => untilUp(server, state)))
    } catch (error) {
      await down(absent)
      throw error
    }
    return state
  }

  async function begin(server: ServerName, ports: Ports): Promise<number> {
    const home = join(folder, server)
    mkdirSync(home, { recursive: true })
    await servers[server].prepare(home, ports, preparing)
    const words = [mark(server), ...servers[server].words(ports)]
    return startDetached(javaCommand(), words, home, join(home, 'console.log'))
  }

  function describe(ports: Ports): State {
    return {
      provider: 'jvm',
      brokers: [`127.0.0.1:${ports.kafka}`],
      registry: `http://127.0.0.1:${ports.registry}/apis/ccompat/v7`,
      ports,
      pids: { kafka: pidOf('kafka'), registry: pidOf('registry') },
    }
  }

  async function untilUp(server: ServerName, state: State): Promise<void> {
    const log = join(folder, server, servers[server].log)
    const deadline = performance.now() + START_PATIENCE_MS
    while (!(await answers[server](settingsOf(state)))) {
      if (pidOf(server) === null) throw unreachable(server, `ended while it was starting; why is in ${log}`)
      if (performance.now() > deadline) {
        throw unreachable(server, `runs but has not answered for ${START_PATIENCE_MS / 1000} s; its log is ${log}`)
      }
      await wait(POLL_MS)
    }
  }

  async function down(only: readonly ServerName[] = serverNames): Promise<void> {
    await Promise.all([preparing, ...only.map(mark)].map((each) => endMarked(each, STOP_PATIENCE_MS)))
    if (serverNames.every((server) => pidOf(server) === null) && only.length === serverNames.length) {
      rmSync(stateFile, { force: true })
    }
  }

  async function statusOf(server: ServerName, state: State | null): Promise<ServerStatus> {
    const pid = pidOf(server)
    if (pid === null || state === null) return { server, state: pid === null ? 'down' : 'starting', pid, address: null }
    const address = server === 'kafka' ? state.brokers.join(',') : state.registry
    return { server, state: (await answers[server](settingsOf(state))) ? 'up' : 'starting', pid, address }
  }

  function locked<Result>(work: () => Promise<Result>): Promise<Result> {
    mkdirSync(folder, { recursive: true })
    return withLock(join(folder, 'lock'), work)
  }

  return {
    async up() {
      const { provider, brokers, registry } = await locked(up)
      return { provider, brokers, registry }
    },
    async down(only) {
      if (existsSync(folder)) await locked(() => down(only))
    },
    async status() {
      const state = readState(stateFile)
      const found = await Promise.all(serverNames.map((server) => statusOf(server, state)))
      return { provider: 'jvm', up: found.every((server) => server.state === 'up'), servers: found }
    },
  }
}

/** The ports of before where there are any, so that clients find a restarted server; new ones where they are taken. */
async function choosePorts(options: JvmOptions, known: State | null, absent: readonly ServerName[]): Promise<Ports> {
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
        ports[name] = before !== undefined && (await isFree(before)) ? before : await freePort()
      }
    }
  }
  return stateSchema.shape.ports.parse(ports)
}

function settingsOf(state: State): Settings {
  return readSettings({ SLUICE_BROKERS: state.brokers.join(','), SLUICE_REGISTRY: state.registry })
}

/** null when there is none, or none that can be used: what runs is found without it. */
function readState(file: string): State | null {
  if (!existsSync(file)) return null
  try {
    return stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return null
  }
}

/** Whole or not at all: others read this file at any time. */
function writeState(file: string, state: State): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`)
  renameSync(`${file}.new`, file)
}
