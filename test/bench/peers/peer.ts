import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { z } from 'zod'
import { withProgress } from '../../../services/platform/progress.ts'

const ENVIRONMENT = resolve('.sluice/bench/python')
const REQUIREMENTS = join(import.meta.dirname, 'requirements.txt')
const run = promisify(execFile)

/** A program in Python that answers questions, for as long as it runs. */
export type Peer = {
  /** @throws {Error} with what it wrote when it ends instead of answering */
  ask<Answer>(question: object, answer: z.ZodType<Answer>): Promise<Answer>
  end(): Promise<void>
}

/** Makes the Python environment, where it is not there or not this one. */
export async function preparePeers(): Promise<void> {
  const stamp = join(ENVIRONMENT, 'stamp')
  const wanted = readFileSync(REQUIREMENTS, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  await withProgress('making the Python environment to measure against', async () => {
    await rm(ENVIRONMENT, { recursive: true, force: true })
    await run('python3', ['-m', 'venv', ENVIRONMENT])
    const words = ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '-r', REQUIREMENTS]
    await run(join(ENVIRONMENT, 'bin/python'), words)
    await writeFile(stamp, wanted)
  })
}

/** @param script file of this folder */
export function startPeer(script: string): Peer {
  const child = spawn(join(ENVIRONMENT, 'bin/python'), [join(import.meta.dirname, script)])
  const errors: Buffer[] = []
  child.stderr.on('data', (part: Buffer) => errors.push(part))
  child.stdin.on('error', () => undefined)
  const ended = new Promise<void>((done) => child.once('close', () => done()))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    async ask(question, answer) {
      child.stdin.write(`${JSON.stringify(question)}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${script} ended: ${Buffer.concat(errors)}`)
      return answer.parse(JSON.parse(String(value)))
    },
    async end() {
      child.stdin.end()
      await ended
    },
  }
}
