import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Inspection, InspectLimits } from '../../domain/fingerprint.ts'
import { isReady, parseAnswer, type Question } from './answer.ts'

/** Why a scanner had to be replaced. `garbage`: it gave an answer that is none. */
export type ScannerEnd = 'crashed' | 'timeout' | 'garbage'

/** A running scanner process. */
export type ScannerChild = {
  pid: number
  /** Settles when the process has ended. */
  gone: Promise<void>
  alive(): boolean
  /** Asks one question; only one at a time. Anything but an inspection means that the process is being killed. */
  ask(payload: Uint8Array, limits: InspectLimits): Promise<Inspection | ScannerEnd>
  kill(): void
}

/** Time for a process to load its code, in milliseconds; a busy machine takes a few seconds. */
const startMilliseconds = 30_000
const heapMegabytes = 512

const root = new URL('../../../', import.meta.url)
const readable = ['services/', 'node_modules/', 'package.json'].map((path) => fileURLToPath(new URL(path, root)))

/**
 * Starts a scanner and waits until it is ready.
 * @param entry the program it runs
 * @param onSpawn gets the process before it is ready, so that it can be killed meanwhile
 * @returns null when it ended before it was ready
 */
export async function startScanner(entry: URL, onSpawn: (child: ScannerChild) => void): Promise<ScannerChild | null> {
  const program = fileURLToPath(entry)
  const forked = fork(program, [], {
    env: { MALLOC_ARENA_MAX: '2' },
    execArgv: [
      '--permission',
      '--allow-addons',
      ...[...readable, program].map((path) => `--allow-fs-read=${path}`),
      `--max-old-space-size=${heapMegabytes}`,
    ],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const child = wrap(forked)
  onSpawn(child)
  const timer = setTimeout(() => child.kill(), startMilliseconds)
  const ready = new Promise<boolean>((resolve) => forked.once('message', (message) => resolve(isReady(message))))
  const started = await Promise.race([ready, child.gone.then(() => false)])
  clearTimeout(timer)
  if (!started) {
    child.kill()
    return null
  }
  child.listen()
  return child
}

function wrap(forked: ChildProcess): ScannerChild & { listen(): void } {
  let ended = false
  let asked = 0
  let pending: { question: Question; settle: (result: Inspection | ScannerEnd) => void } | null = null
  const kill = () => {
    forked.kill('SIGKILL')
  }
  const gone = new Promise<void>((resolve) => {
    const end = () => {
      ended = true
      pending?.settle('crashed')
      resolve()
    }
    forked.once('exit', end)
    forked.on('error', () => {
      // A process that could not be spawned never exits.
      if (forked.pid === undefined) end()
      else kill()
    })
  })

  return {
    pid: forked.pid ?? 0,
    gone,
    kill,
    alive: () => !ended && forked.connected,
    listen() {
      forked.on('message', (message) => {
        // Nobody asked: whatever speaks then is not our scanner any more.
        if (pending === null) kill()
        else pending.settle(parseAnswer(message, pending.question) ?? 'garbage')
      })
    },
    async ask(payload, limits) {
      const question: Question = { id: ++asked, payload, limits }
      let timer: NodeJS.Timeout | undefined
      const result = await new Promise<Inspection | ScannerEnd>((settle) => {
        pending = { question, settle }
        timer = setTimeout(() => settle('timeout'), limits.seconds * 1000)
        forked.send(question, (error) => error !== null && settle('crashed'))
      })
      clearTimeout(timer)
      pending = null
      if (typeof result === 'string') kill()
      return result
    },
  }
}
