import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setPriority } from 'node:os'
import { basename } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Inspection, InspectLimits } from '../../domain/fingerprint.ts'
import { createAnswerReader, createLineReader, isReady } from './answer-reader.ts'
import type { Launcher } from './launcher.ts'
import { type Question, questionHead } from './question.ts'

/** Why a scanner had to be replaced. `garbage`: it gave an answer that is none. `memory`: it took more than it may. */
export type ScannerEnd = 'crashed' | 'timeout' | 'garbage' | 'memory'
/** What became of a question. `unasked`: the process ended before it came to it. */
export type ScannerResult = Inspection | ScannerEnd | 'unasked'

/** A running scanner process. */
export type ScannerChild = {
  pid: number
  /** Settles when the process has ended. */
  gone: Promise<void>
  alive(): boolean
  /** how many questions it was asked */
  asked(): number
  /**
   * Asks a question, which the process comes to after those that it was asked before. Anything but an inspection means that it is being killed. With the
   * answer the payload is the caller's again.
   */
  ask(payload: Uint8Array, limits: InspectLimits): Promise<ScannerResult>
  kill(): void
}

export type ScannerProgram = {
  entry: URL
  launcher: Launcher
  /** most resident memory of the process, looked at while it works */
  memoryBytes: number
  /** gets the process before it is ready, so that it can be killed meanwhile */
  onSpawn: (child: ScannerChild) => void
}

/** Time for a process to load its code, in milliseconds; a busy machine takes a few seconds. */
const startMilliseconds = 30_000
/** A decoder fills some 100 MB in that time. */
const lookMilliseconds = 50
const heapMegabytes = 512
/**
 * Scanners keep all cores busy, and each waits for the gate in between: whenever the thread that talks to Kafka and to them has something to do, it goes first.
 * Cores stand idle for a fifth to a half less time so (measured in few runs).
 */
const niceness = 5
/** The decoder would lay large pictures down in a temporary file, which scanners may not write and nobody should find. */
const neverToDisc = '100g'

/** Pictures are megabytes that are gone over from end to end: large pages save a twentieth of a scanner's time. */
const largePages = 'glibc.malloc.hugetlb=1'

const root = new URL('../../../', import.meta.url)
/** Where packages are looked for: installed as one itself, ours lie beside it, or further up. */
const packages = (createRequire(import.meta.url).resolve.paths('sharp') ?? []).filter(
  (folder) => basename(folder) === 'node_modules' && existsSync(folder),
)
/** A link to a folder elsewhere is followed. */
const readable = [
  ...['services/', 'package.json'].map((path) => fileURLToPath(new URL(path, root))),
  ...packages,
].flatMap((found) => [found, realpathSync(found)])

/**
 * Starts a scanner and waits until it is ready.
 * @returns null when it exited by itself before it was ready: this way of starting it does not work
 * @throws {Error} when it can't be spawned, was killed, or is not ready in time
 */
export async function startScanner({
  entry,
  launcher,
  memoryBytes,
  onSpawn,
}: ScannerProgram): Promise<ScannerChild | null> {
  const program = fileURLToPath(entry)
  const [command = process.execPath, ...words] = launcher.wrap([
    process.execPath,
    '--permission',
    '--allow-addons',
    ...[...readable, program].map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${heapMegabytes}`,
    program,
  ])
  const spawned = spawn(command, words, {
    cwd: '/',
    env: { MALLOC_ARENA_MAX: '2', GLIBC_TUNABLES: largePages, VIPS_DISC_THRESHOLD: neverToDisc },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  giveWay(spawned.pid)
  const { child, ready } = wrap(spawned, memoryBytes)
  onSpawn(child)
  const timer = setTimeout(() => child.kill(), startMilliseconds)
  const started = await Promise.race([ready, child.gone.then(() => false)])
  clearTimeout(timer)
  if (started) return child
  child.kill()
  if (spawned.exitCode !== null) return null
  throw new Error('a scanner could not be spawned, was killed, or was not ready in time')
}

/** Has a process that was just spawned, and all that it will start, let others go first. */
function giveWay(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, niceness)
  } catch {
    // It is gone already, or the system does not let us: it works all the same.
  }
}

type Spawned = ChildProcessByStdio<Writable, Readable, null>
type Pending = {
  question: Question
  /** all of it has gone to the process: its bytes are not read here any more */
  isSent: boolean
  read: (line: string) => Inspection | 'garbage' | null
  settle: (result: ScannerResult) => void
}

function wrap(spawned: Spawned, memoryBytes: number): { child: ScannerChild; ready: Promise<boolean> } {
  const ready = Promise.withResolvers<boolean>()
  const gone = Promise.withResolvers<void>()
  const pid = spawned.pid ?? 0
  let usable = true
  let asked = 0
  let isReadyNow = false
  let isSending = false
  /** what it is at, and what it was asked ahead */
  const pending: Pending[] = []
  let deadline: NodeJS.Timeout | undefined
  let looking: NodeJS.Timeout | undefined

  function kill(): void {
    usable = false
    spawned.kill('SIGKILL')
    // What it still says is not read any more.
    spawned.stdout.destroy()
    spawned.stdin.destroy()
  }

  /** The one place where an answer is given; whatever is no inspection ends the process. */
  function settle(result: Inspection | ScannerEnd): void {
    const asking = pending.shift()
    const unasked = typeof result === 'string' ? pending.splice(0) : []
    if (typeof result === 'string') kill()
    attend()
    asking?.settle(result)
    for (const other of unasked) other.settle('unasked')
  }

  /** Deadline and memory are those of the question that the process is at. */
  function attend(): void {
    clearTimeout(deadline)
    const [at] = pending
    if (at !== undefined) {
      deadline = setTimeout(() => settle('timeout'), at.question.limits.seconds * 1000)
      looking ??= setInterval(() => {
        if (residentBytes(pid) > memoryBytes) settle('memory')
      }, lookMilliseconds)
    } else {
      clearInterval(looking)
      looking = undefined
    }
  }

  /** Sends one question at a time: of several together it would be told only of the last that it has gone, when those before it may have been answered. */
  function send(): void {
    const next = pending.find(({ isSent }) => !isSent)
    if (next === undefined || isSending) return
    isSending = true
    // Together, so that the scanner wakes once.
    spawned.stdin.cork()
    spawned.stdin.write(questionHead(next.question))
    spawned.stdin.write(next.question.payload, (error) => {
      if (error) return
      isSending = false
      next.isSent = true
      send()
    })
    spawned.stdin.uncork()
  }

  function hear(line: string): void {
    if (!usable) return
    if (!isReadyNow) {
      isReadyNow = isReady(line)
      ready.resolve(isReadyNow)
    } else {
      // Nobody asked, or not yet all of it: whatever speaks then is not our scanner any more.
      const result = pending[0]?.isSent ? pending[0].read(line) : 'garbage'
      if (result !== null) settle(result)
    }
  }

  const readLines = createLineReader(hear)
  spawned.stdout.on('data', (piece: Buffer) => {
    if (usable && !readLines(piece)) settle('garbage')
  })
  spawned.stdout.on('error', () => settle('crashed'))
  spawned.stdin.on('error', () => settle('crashed'))
  spawned.once('exit', () => {
    settle('crashed')
    gone.resolve()
  })
  spawned.on('error', () => {
    settle('crashed')
    // A process that could not be spawned never exits.
    if (pid === 0) gone.resolve()
  })

  const child: ScannerChild = {
    pid,
    gone: gone.promise,
    kill,
    alive: () => usable,
    asked: () => asked,
    ask(payload, limits) {
      if (!usable) return Promise.resolve('unasked')
      const question: Question = { id: ++asked, payload, limits }
      return new Promise((resolve) => {
        const read = createAnswerReader(question)
        pending.push({ question, isSent: false, read, settle: resolve })
        if (pending.length === 1) attend()
        send()
      })
    },
  }
  return { child, ready: ready.promise }
}

/** Memory that a process has taken; 0 where the system does not tell. Read at once: the threads for files may all wait for a store. */
function residentBytes(pid: number): number {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
    return Number(kilobytes ?? 0) * 1024
  } catch {
    return 0
  }
}
