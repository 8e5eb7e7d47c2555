import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const POLL_MS = 100

/**
 * The word on a server's command line by which it is found again. It follows from the stack's folder alone, so a crash
 * at any moment, or a lost state file, leaves nothing that can't be found, and a reused process id is never mistaken.
 */
export function markOf(folder: string, server: string): string {
  return `-Dsluice.stack=${idOf(folder)}.${server}`
}

/** Stands for a stack's folder where a path would not do. */
export function idOf(folder: string): string {
  return createHash('sha256').update(folder).digest('hex').slice(0, 16)
}

/** Process ids of everything that carries `mark`. */
export function findMarked(mark: string): number[] {
  return existsSync('/proc/self/cmdline') ? findInProc(mark) : findByPs(mark)
}

function findInProc(mark: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandLine(pid).includes(mark))
    .map(Number)
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    // Gone since the folder was read, or another user's.
    return []
  }
}

function findByPs(mark: string): number[] {
  return execFileSync('ps', ['-axww', '-o', 'pid=,command='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.includes(mark))
    .map((words) => Number(words[0]))
}

/**
 * Starts a process that outlives this one.
 * @param logFile takes its stdout and stderr; emptied first
 * @param environment beside this process's own
 * @returns its process id
 */
export function startDetached(
  command: string,
  words: readonly string[],
  folder: string,
  logFile: string,
  environment: Readonly<Record<string, string>> = {},
): number {
  const log = openSync(logFile, 'w')
  try {
    const env = { ...process.env, ...environment }
    const child = spawn(command, words, { cwd: folder, env, detached: true, stdio: ['ignore', log, log] })
    // A start that fails is seen by the process not being there.
    child.on('error', () => undefined)
    child.unref()
    return child.pid ?? 0
  } finally {
    closeSync(log)
  }
}

/** Asks everything that carries `mark` to end, and after `patienceMs` makes it. Resolves when nothing is left. */
export async function endMarked(mark: string, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs
  const asked = new Set<number>()
  for (let left = findMarked(mark); left.length > 0; left = findMarked(mark)) {
    const late = performance.now() > deadline
    for (const pid of left) {
      if (late || !asked.has(pid)) signal(pid, late ? 'SIGKILL' : 'SIGTERM')
      asked.add(pid)
    }
    await wait(POLL_MS)
  }
}

/** Sends a signal; a process that is gone already needs none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Whether there is such a process, somebody else's too. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
