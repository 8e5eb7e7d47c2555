import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { z } from 'zod'

/** A command of the demo ended with an exit code other than 0; it has said why itself. */
export class CommandFailed extends Error {
  readonly exitCode: number

  constructor(words: readonly string[], exitCode: number) {
    super(`\`sluice ${words.join(' ')}\` ended with exit code ${exitCode}: the demo stops here`)
    this.exitCode = exitCode
  }
}

export type Steps = ReturnType<typeof createSteps>

const tallyLine = z.object({ items: z.number(), seconds: z.number() })
const logLine = z.object({ level: z.number(), event: z.string(), items: z.number().optional() })
const WARNING = 40
const FIRST_MS = 2000

/** The screen of the demo, and the commands that it runs on it. @param environment settings of the commands */
export function createSteps(environment: Readonly<Record<string, string>>) {
  const terminal = process.stdout.isTTY

  function say(text: string): void {
    process.stdout.write(`${text}\n`)
  }

  function start(words: readonly string[], stdout: 'inherit' | 'pipe' | 'ignore', stderr: 'inherit' | 'pipe') {
    say(`$ sluice ${words.join(' ')}`)
    return spawn(process.execPath, ['services/cli.ts', ...words], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', stdout, stderr],
    })
  }

  /** Shows a line that changes, from two seconds on. */
  function line(text: () => string): () => void {
    let shown = false
    const timer = setInterval(() => {
      shown = true
      process.stdout.write(terminal ? `\r${text()}\x1b[K` : `${text()}\n`)
    }, FIRST_MS)
    return () => {
      clearInterval(timer)
      if (shown && terminal) process.stdout.write('\r\x1b[K')
    }
  }

  return {
    say,
    title(text: string): void {
      say(`\n${terminal ? `\x1b[1m${text}\x1b[0m` : text}`)
    },

    /** Counts something up on the screen while it takes longer than two seconds. */
    counting(text: (count: number) => string): { tell: (count: number) => void; stop: () => void } {
      let count = 0
      const stop = line(() => text(count))
      return {
        tell(now) {
          count = now
        },
        stop,
      }
    },

    async waiting<Answer>(text: string, work: () => Promise<Answer>): Promise<Answer> {
      const began = performance.now()
      const stop = line(() => `${text} … ${Math.round((performance.now() - began) / 1000)} s`)
      try {
        return await work()
      } finally {
        stop()
      }
    },

    /**
     * Runs `sluice WORDS` on this screen.
     * @param options quiet: without what it prints when all is well; goOnAt: an exit code that is told and no reason to stop
     * @throws {CommandFailed}
     */
    async sluice(words: readonly string[], options: { quiet?: true; goOnAt?: number } = {}): Promise<void> {
      const exitCode = await exitOf(start(words, options.quiet ? 'ignore' : 'inherit', 'inherit'))
      if (exitCode === 0) return
      if (exitCode !== options.goOnAt) throw new CommandFailed(words, exitCode)
      say(`(exit code ${exitCode}; the demo goes on with the rest)`)
    },

    /** Runs the gate until it has caught up; of its log only progress and warnings are shown. @throws {CommandFailed} */
    async gate(): Promise<z.infer<typeof tallyLine>> {
      const words = ['gate', '--until-caught-up', '--json']
      const child = start(words, 'pipe', 'pipe')
      let judged = 0
      const stop = line(() => `${judged} items judged`)
      let printed = ''
      child.stdout?.on('data', (chunk: Buffer) => {
        printed += chunk.toString()
      })
      if (child.stderr) {
        createInterface({ input: child.stderr }).on('line', (text) => {
          const entry = parseLog(text)
          if (entry === null || entry.level > WARNING) process.stderr.write(`${text}\n`)
          judged = entry?.items ?? judged
        })
      }
      const exitCode = await exitOf(child)
      stop()
      if (exitCode !== 0) throw new CommandFailed(words, exitCode)
      return tallyLine.parse(JSON.parse(printed))
    },
  }
}

function parseLog(text: string): z.infer<typeof logLine> | null {
  try {
    return logLine.parse(JSON.parse(text))
  } catch {
    return null
  }
}

async function exitOf(child: ReturnType<typeof spawn>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  child.on('error', reject)
  child.on('close', (code) => resolve(code ?? 1))
  return await promise
}
