import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'

const scripts = join(import.meta.dirname, '../../../infra/containers')

/** The exit code that says why there can be no engine here. */
const NONE = 3

export type TestEngine = {
  /** false, or the sentence that says why there is no engine */
  skip: string | false
  /** what child processes need in their environment to find it */
  environment: Readonly<Record<string, string>>
  /** Lets go of it: one that was started for tests ends with its last user, also when that one is killed. */
  close(): Promise<void>
}

/**
 * A Docker engine with the images of the servers: this machine's, or else one that is started for the tests. This process finds it from
 * now on by its environment.
 * @throws {Error} when there is an engine, but the images can neither be fetched nor built
 */
export async function openEngine(): Promise<TestEngine> {
  const child = spawn(join(scripts, 'engine.sh'), [], { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'close')
  const said = text(child.stderr)
  const environment: Record<string, string> = {}
  let isReady = false
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') {
      isReady = true
      break
    }
    const equals = line.indexOf('=')
    environment[line.slice(0, equals)] = line.slice(equals + 1)
  }
  async function close(): Promise<void> {
    child.stdin.end()
    await ended
  }
  // Its output ends a moment before it has a code.
  if (!isReady) await ended
  if (child.exitCode === NONE) return { skip: (await said).trim(), environment: {}, close }
  Object.assign(process.env, environment)
  try {
    await promisify(execFile)(join(scripts, 'images.sh'))
  } catch (cause) {
    await close()
    throw new Error(`there is a Docker engine without images of the servers: ${await said}`, { cause })
  }
  return { skip: false, environment, close }
}
