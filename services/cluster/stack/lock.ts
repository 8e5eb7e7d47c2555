import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { SluiceError } from '../../domain/errors.ts'
import { isAlive } from './owned-process.ts'

const POLL_MS = 200
const PATIENCE_MS = 480_000

/** Runs `work` while nobody else who asks for the same lock file does. The lock of a process that is gone does not count. */
export async function withLock<Result>(file: string, work: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + PATIENCE_MS
  while (!take(file)) {
    if (performance.now() > deadline) {
      throw new SluiceError('CONFIG_INVALID', `${file} is held by process ${holder(file)}: wait for it or end it`)
    }
    await wait(POLL_MS)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}

function take(file: string): boolean {
  // Linked, not created: so the file is never there without the id of its holder.
  const mine = `${file}.${process.pid}`
  writeFileSync(mine, String(process.pid))
  try {
    linkSync(mine, file)
    return true
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(mine, { force: true })
  }
  const pid = holder(file)
  if (pid > 0 && !isAlive(pid)) rmSync(file, { force: true })
  return false
}

/** 0 when the holder has just let go. */
function holder(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return 0
  }
}
