import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { javaCommand, kafkaClasspath, registryJar, sharedClasses } from './java.ts'
import type { ServerName } from './provider.ts'
import { formatWords, newPassword, type Users } from './users.ts'

const infra = join(import.meta.dirname, '../../../infra')

/** Every port of 127.0.0.1 that the stack listens on. */
export type Ports = Record<'kafka' | 'controller' | 'registry' | 'management', number>

/** What is not the same of every broker. */
export type BrokerOptions = {
  /** 16 bytes in URL-safe base64; default: new ones */
  clusterId?: string
  /** lines of its properties file, which take the place of those that are the same everywhere */
  settings?: string
  /** who may come; default: everybody, who may do everything */
  users?: Users
  /** of brokers and controllers between themselves, the same for all of a cluster; default: a new one */
  password?: string
}

/** One server of the local stack: a Java process that runs in a folder of its own, so that paths in its settings are relative. */
type Server = {
  ports: ReadonlyArray<keyof Ports>
  /** Makes the folder ready for a start. @param mark for processes that this takes */
  prepare(folder: string, ports: Ports, mark: string, broker?: BrokerOptions): Promise<void>
  /** Words for Java. */
  words(ports: Ports): string[]
  /** Where to look when it does not start. */
  log: string
}

const kafkaLogging = `-Dlog4j2.configurationFile=${join(infra, 'kafka/log4j2.properties')}`

/** What each Java process needs that runs a class of Kafka's. */
export const kafkaClasses: readonly string[] = [sharedClasses('kafka'), kafkaLogging, '-cp', kafkaClasspath]

export const servers: Readonly<Record<ServerName, Server>> = {
  kafka: {
    ports: ['kafka', 'controller'],
    log: 'server.log',
    async prepare(folder, ports, mark, { clusterId = newClusterId(), settings = '', users, password } = {}) {
      const secured = users !== undefined
      const clients = secured ? 'CLIENTS' : 'PLAINTEXT'
      const lines = `${kafkaSettings()}
${secured ? securedSettings(password) : ''}
listeners=${clients}://127.0.0.1:${ports.kafka},${secured ? 'BROKERS://127.0.0.1:0,' : ''}CONTROLLER://127.0.0.1:${ports.controller}
controller.quorum.voters=1@127.0.0.1:${ports.controller}
${settings}
`
      // There are passwords in it.
      writeFileSync(join(folder, 'server.properties'), lines, { mode: 0o600 })
      if (!existsSync(join(folder, 'data'))) await format(folder, lines, mark, clusterId, users)
    },
    words: () => [...kafkaJava, ...kafkaClasses, 'kafka.Kafka', 'server.properties'],
  },

  registry: {
    ports: ['registry', 'management'],
    log: 'console.log',
    async prepare() {},
    words: (ports) => [
      sharedClasses('registry'),
      ...registryOptions('127.0.0.1', ports, '.'),
      '-jar',
      registryJar() ?? '',
    ],
  },
}

/**
 * The first compiler alone and a collector without threads of its own: a server is up sooner, and what a busy one costs an item is no more (the
 * second compiler takes more than it gives back in the minutes that a local stack is busy).
 */
export const lightJava: readonly string[] = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

export const kafkaJava: readonly string[] = ['-Xms256m', '-Xmx768m', ...lightJava]

/** The broker's properties, as far as they are the same everywhere. */
export function kafkaSettings(): string {
  return readFileSync(join(infra, 'kafka/server.properties'), 'utf8')
}

/** What makes a broker ask who comes, and what they may do. @param password of brokers and controllers between themselves */
export function securedSettings(password = newPassword()): string {
  const login = `org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="${password}" user_admin="${password}";`
  return `${readFileSync(join(infra, 'kafka/secured.properties'), 'utf8')}
listener.name.brokers.plain.sasl.jaas.config=${login}
listener.name.controller.plain.sasl.jaas.config=${login}`
}

/** @param folder where the registry keeps its data */
export function registryOptions(host: string, ports: Pick<Ports, 'registry' | 'management'>, folder: string): string[] {
  return [
    '-Xmx384m',
    ...lightJava,
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
async function format(
  folder: string,
  settings: string,
  mark: string,
  clusterId: string,
  users: Users = new Map(),
): Promise<void> {
  const [settingsFile, wordsFile] = [join(folder, 'format.properties'), join(folder, 'format.words')]
  const unfinished = join(folder, 'data.new')
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished)
  writeFileSync(settingsFile, settings.replace(/^log\.dirs=.*$/m, 'log.dirs=data.new'), { mode: 0o600 })
  writeFileSync(wordsFile, formatWords({ clusterId, settingsFile, users }), { mode: 0o600 })
  const java = [mark, ...lightJava, ...kafkaClasses, '@format.words']
  await promisify(execFile)(javaCommand(), java, { cwd: folder })
  renameSync(unfinished, join(folder, 'data'))
  for (const file of [settingsFile, wordsFile]) rmSync(file)
}

/** 16 bytes in URL-safe base64; a first dash would be taken for an option. */
export function newClusterId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? newClusterId() : id
}
