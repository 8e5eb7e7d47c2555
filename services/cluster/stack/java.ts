import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import type { ServerName } from './provider.ts'

const LEAST_VERSION = 17
const jars = join(import.meta.dirname, '../../../.sluice/jars')

/** The Java command: that of JAVA_HOME where it has one, else the one on PATH. */
export function javaCommand(): string {
  const home = process.env.JAVA_HOME
  const inHome = home ? join(home, 'bin', 'java') : ''
  return inHome !== '' && existsSync(inHome) ? inHome : 'java'
}

/** What is missing of Java 17 or later and the servers' jars; null when all is there. */
export function missingForJvm(): string | null {
  const answer = spawnSync(javaCommand(), ['-version'], { encoding: 'utf8' })
  const version = Number(/version "(\d+)/.exec(answer.stderr ?? '')?.[1] ?? 0)
  if (version < LEAST_VERSION) {
    const found = version === 0 ? 'none was found' : `${javaCommand()} is version ${version}`
    return `Java ${LEAST_VERSION} or later is needed, ${found}`
  }
  if (!existsSync(join(jars, 'kafka')) || registryJar() === null) {
    return `the jars of Kafka and the registry are not in ${jars}`
  }
  return null
}

/** @throws {SluiceError} INSTALL_MISSING when there is no Java 17 or later, or the servers' jars are not there */
export function assertInstalled(): void {
  const missing = missingForJvm()
  if (missing !== null) {
    throw new SluiceError(
      'INSTALL_MISSING',
      `${missing} for the local stack: run \`infra/setup.sh\`, which installs it`,
    )
  }
}

export const kafkaClasspath = join(jars, 'kafka', '*')

/** Where the classes that a server loads at its start lie ready: `infra/archive-classes.ts` puts them there. */
export function classArchive(server: ServerName): string {
  return join(jars, `${server}.jsa`)
}

/** Makes Java take a server's classes from there, and load them as ever where they are not there, or of another Java or other jars. */
export function sharedClasses(server: ServerName): string {
  return `-XX:SharedArchiveFile=${classArchive(server)}`
}

/** The registry's jar; null where it is not installed. */
export function registryJar(): string | null {
  const folder = join(jars, 'registry')
  if (!existsSync(folder)) return null
  const name = readdirSync(folder).find((file) => file.endsWith('-runner.jar'))
  return name === undefined ? null : join(folder, name)
}
