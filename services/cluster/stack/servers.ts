import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { javaCommand, kafkaClasspath, registryJar } from './java.ts'
import type { ServerName } from './provider.ts'

const infra = join(import.meta.dirname, '../../../infra')

/** Every port of 127.0.0.1 that the stack listens on. */
export type Ports = Record<'kafka' | 'controller' | 'registry' | 'management', number>

/** One broker among several. */
export type Node = {
  /** 16 bytes in URL-safe base64, the same for all of them */
  clusterId: string
  /** lines of its properties file, which take the place of those that are the same everywhere */
  settings: string
}

/** One server of the local stack: a Java process that runs in a folder of its own, so that paths in its settings are relative. */
type Server = {
  ports: ReadonlyArray<keyof Ports>
  /** Makes the folder ready for a start. @param mark for processes that this takes @param node when it is one of several */
  prepare(folder: string, ports: Ports, mark: string, node?: Node): Promise<void>
  /** Words for Java. */
  words(ports: Ports): string[]
  /** Where to look when it does not start. */
  log: string
}

export const kafkaLogging = `-Dlog4j2.configurationFile=${join(infra, 'kafka/log4j2.properties')}`

export const servers: Readonly<Record<ServerName, Server>> = {
  kafka: {
    ports: ['kafka', 'controller'],
    log: 'server.log',
    async prepare(folder, ports, mark, node) {
      const settings = `${kafkaSettings()}
listeners=PLAINTEXT://127.0.0.1:${ports.kafka},CONTROLLER://127.0.0.1:${ports.controller}
controller.quorum.voters=1@127.0.0.1:${ports.controller}
${node?.settings ?? ''}
`
      writeFileSync(join(folder, 'server.properties'), settings)
      if (!existsSync(join(folder, 'data'))) await format(folder, settings, mark, node?.clusterId ?? newClusterId())
    },
    words: () => [...kafkaHeap, kafkaLogging, '-cp', kafkaClasspath, 'kafka.Kafka', 'server.properties'],
  },

  registry: {
    ports: ['registry', 'management'],
    log: 'console.log',
    async prepare() {},
    words: (ports) => ['-XX:+UseSerialGC', ...registryOptions('127.0.0.1', ports, '.'), '-jar', registryJar() ?? ''],
  },
}

export const kafkaHeap: readonly string[] = ['-Xms256m', '-Xmx768m']

/** The broker's properties, as far as they are the same everywhere. */
export function kafkaSettings(): string {
  return readFileSync(join(infra, 'kafka/server.properties'), 'utf8')
}

/** @param folder where the registry keeps its data */
export function registryOptions(host: string, ports: Pick<Ports, 'registry' | 'management'>, folder: string): string[] {
  return [
    '-Xmx384m',
    // The first compiler alone: up sooner, and there is little to do afterwards.
    '-XX:TieredStopAtLevel=1',
    `-Dquarkus.http.host=${host}`,
    `-Dquarkus.http.port=${ports.registry}`,
    `-Dquarkus.management.host=${host}`,
    `-Dquarkus.management.port=${ports.management}`,
    '-Dapicurio.storage.kind=sql',
    '-Dapicurio.storage.sql.kind=h2',
    // Written at once: by default a killed server forgets the last half second, and would give its schema ids away again.
    `-Dapicurio.datasource.url=jdbc:h2:file:${folder}/registry;WRITE_DELAY=0`,
  ]
}

/** Kafka's data folder, made under another name first: where it exists, it is whole. */
async function format(folder: string, settings: string, mark: string, clusterId: string): Promise<void> {
  const settingsFile = join(folder, 'format.properties')
  const unfinished = join(folder, 'data.new')
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished)
  writeFileSync(settingsFile, settings.replace(/^log\.dirs=.*$/m, 'log.dirs=data.new'))
  const words = [
    mark,
    kafkaLogging,
    '-XX:TieredStopAtLevel=1',
    '-cp',
    kafkaClasspath,
    'kafka.tools.StorageTool',
    'format',
  ]
  await promisify(execFile)(javaCommand(), [...words, '-t', clusterId, '-c', settingsFile], { cwd: folder })
  renameSync(unfinished, join(folder, 'data'))
  rmSync(settingsFile)
}

/** 16 bytes in URL-safe base64; a first dash would be taken for an option. */
export function newClusterId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? newClusterId() : id
}
