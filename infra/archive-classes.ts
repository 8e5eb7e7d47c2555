import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { answers } from '../services/cluster/stack/answering.ts'
import { freePorts } from '../services/cluster/stack/free-port.ts'
import { classArchive, javaCommand, sharedClasses } from '../services/cluster/stack/java.ts'
import { type ServerName, serverNames } from '../services/cluster/stack/provider.ts'
import { servers } from '../services/cluster/stack/servers.ts'
import { readSettings } from '../services/platform/settings.ts'

/*
 * Lays the classes that each server of the local stack loads at its start ready, so that it is up in less time: starts it once and ends it, which is
 * when Java writes down what it had loaded.
 */

const POLL_MS = 100
const PATIENCE_MS = 120_000

async function archive(server: ServerName): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-classes-'))
  const unfinished = `${classArchive(server)}.new`
  try {
    const ports = await freePorts()
    await servers[server].prepare(folder, ports, `-Dsluice.archive=${server}`)
    const words = servers[server].words(ports).filter((word) => word !== sharedClasses(server))
    const java = spawn(javaCommand(), [`-XX:ArchiveClassesAtExit=${unfinished}`, ...words], {
      cwd: folder,
      stdio: 'ignore',
      // It never runs for ever, whatever becomes of this process.
      timeout: PATIENCE_MS,
    })
    const ended = once(java, 'exit')
    const settings = readSettings({
      SLUICE_BROKERS: `127.0.0.1:${ports.kafka}`,
      SLUICE_REGISTRY: `http://127.0.0.1:${ports.registry}/apis/ccompat/v7`,
    })
    const isRunning = (): boolean => java.exitCode === null && java.signalCode === null
    while (isRunning() && !(await answers[server](settings))) await wait(POLL_MS)
    java.kill()
    await ended
    // Some Javas have nothing that such an archive could be put upon.
    if (existsSync(unfinished)) renameSync(unfinished, classArchive(server))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

await Promise.all(serverNames.map(archive))
