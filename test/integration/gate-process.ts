import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { askHttp, type HttpAnswer } from '../../services/platform/http.ts'
import { endWithThisProcess } from './leftovers.ts'
import { waitFor } from './waiting.ts'

const CLI = join(import.meta.dirname, '../../services/cli.ts')

/** More than these hides what the test says in a report that is shortened. */
const LAST_LINES = 5

const event = z.looseObject({ event: z.string() })
export type Event = z.infer<typeof event>

const readiness = z.object({
  ready: z.boolean(),
  waiting: z.array(z.looseObject({ partition: z.number().int().nullable(), code: z.string(), sentence: z.string() })),
  isolation: z.looseObject({ why: z.string().nullable() }).nullable(),
})
export type Readiness = z.infer<typeof readiness> & { status: number }

export type Ended = { code: number | null; signal: NodeJS.Signals | null }

/** A `sluice` command as a child process, just as somebody would start it. */
export type SluiceProcess = {
  pid: number
  /** what stderr has said so far, where a line is an event */
  events: Event[]
  stdout(): string
  stderr(): string
  /** Resolves when the process has ended and all it wrote is here. */
  ended: Promise<Ended>
  running(): boolean
  kill(signal: NodeJS.Signals): void
}

/**
 * @param environment settings; of this process's environment nothing is handed on but what a process needs to be found and to start
 * @param preload modules that the child loads before the command
 */
export function startSluice(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  preload: readonly string[] = [],
): SluiceProcess {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, [...preload.map((file) => `--import=${file}`), CLI, ...words], {
    // What has been compiled once is not compiled again: half of what a short command takes.
    env: { PATH, HOME, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const forget = endWithThisProcess(() => child.kill('SIGKILL'))
  child.once('exit', forget)
  const out: string[] = []
  const err: string[] = []
  const events: Event[] = []
  createInterface({ input: child.stdout }).on('line', (line) => out.push(line))
  createInterface({ input: child.stderr }).on('line', (line) => {
    err.push(line)
    const parsed = parseEvent(line)
    if (parsed !== null) events.push(parsed)
  })
  return {
    pid: child.pid ?? 0,
    events,
    stdout: () => out.join('\n'),
    stderr: () => err.join('\n'),
    ended: whenEnded(child),
    running: () => child.exitCode === null && child.signalCode === null,
    kill: (signal) => {
      child.kill(signal)
    },
  }
}

/** For so long a command goes on between two looks: less than a long one needs for all it does. */
const MOMENT_MS = 50

/**
 * Lets a command go on a moment at a time until a look tells something, and leaves it standing still. It stands still for each look too:
 * however slow that is, it does not come to its end meanwhile.
 * @throws {Error} when it ends before, or the deadline passes
 */
export async function stopWhen<Told>(
  { running, kill, stderr }: SluiceProcess,
  what: string,
  look: () => Promise<Told | false>,
): Promise<Told> {
  return await waitFor(
    what,
    async () => {
      assert.ok(running(), `it ended before it could be stopped: ${stderr()}`)
      kill('SIGCONT')
      await wait(MOMENT_MS)
      kill('SIGSTOP')
      return await look()
    },
    { everyMs: 0 },
  )
}

async function whenEnded(child: ChildProcess): Promise<Ended> {
  await once(child, 'close')
  return { code: child.exitCode, signal: child.signalCode }
}

function parseEvent(line: string): Event | null {
  if (!line.startsWith('{')) return null
  try {
    const parsed = event.safeParse(JSON.parse(line))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

export type GateProcess = SluiceProcess & {
  /** Resolves with the first event that `matches`. @throws {Error} when the gate ends or the deadline passes before */
  event(what: string, matches: (event: Event) => boolean): Promise<Event>
  /** What /readyz says; null while nothing answers. */
  readiness(): Promise<Readiness | null>
  /** Resolves when /readyz says yes. */
  untilReady(): Promise<void>
  /** The text of /metrics. */
  metrics(): Promise<string>
}

/** Starts `sluice gate`; its /readyz and /metrics are on the port that it says it listens on. */
export function startGateProcess(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  preload: readonly string[] = [],
): GateProcess {
  const sluice = startSluice(['gate', ...words], environment, preload)

  function port(): number | null {
    const listening = sluice.events.find(({ event }) => event === 'listening')
    return typeof listening?.port === 'number' ? listening.port : null
  }

  async function get(path: string): Promise<HttpAnswer | null> {
    const found = port()
    // A gate that has just ended, or does not come to it: whoever waits asks again.
    return found === null ? null : await askHttp(new URL(`http://127.0.0.1:${found}${path}`), 60_000).catch(() => null)
  }

  async function readinessNow(): Promise<Readiness | null> {
    const answer = await get('/readyz')
    return answer === null ? null : { status: answer.status, ...readiness.parse(JSON.parse(answer.body)) }
  }

  async function endedBefore(what: string): Promise<Error> {
    const { code, signal } = await sluice.ended
    const lastWords = sluice.stderr().split('\n').slice(-LAST_LINES).join('\n')
    return new Error(`the gate ended with ${signal ?? code} before ${what}; the last that it said:\n${lastWords}`)
  }

  /** When it has ended, all that it said is here. */
  async function isRunning(): Promise<boolean> {
    if (sluice.running()) return true
    await sluice.ended
    return false
  }

  return {
    ...sluice,
    async event(what, matches) {
      return await waitFor(
        what,
        async () => {
          // Asked first: it may be the last that it says.
          const goesOn = await isRunning()
          const found = sluice.events.find(matches)
          if (found === undefined && !goesOn) throw await endedBefore(what)
          return found
        },
        { everyMs: 10 },
      )
    },
    readiness: readinessNow,
    async untilReady() {
      await waitFor('the gate is ready', async () => {
        if (!(await isRunning())) throw await endedBefore('it was ready')
        return (await readinessNow())?.status === 200
      })
    },
    async metrics() {
      return (await get('/metrics'))?.body ?? ''
    },
  }
}

/** Brings in a version of a list, and waits until the gate judges by it. @returns what bringing it in did */
export async function untilInForce<Result>(gate: GateProcess, bring: () => Promise<Result>): Promise<Result> {
  const versionsSeen = (): number => gate.events.filter(({ event }) => event === 'list').length
  const before = versionsSeen()
  const result = await bring()
  await waitFor('the gate has the version', () => versionsSeen() > before)
  return result
}
