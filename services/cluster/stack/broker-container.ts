import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Container, type ContainerOptions, type Engine, startContainer } from './docker.ts'
import { imageFor } from './images.ts'
import { kafkaSettings, securedSettings } from './servers.ts'
import { formatWords, type Users } from './users.ts'

const logging = readFileSync(join(import.meta.dirname, '../../../infra/containers/log4j2.properties'), 'utf8')

const SETTINGS_FILE = '/sluice/server.properties'
const LOGGING_FILE = '/sluice/log4j2.properties'
const WORDS_FILE = '/sluice/format.words'

export type BrokerOptions = Pick<ContainerOptions, 'name' | 'labels' | 'volume' | 'network'> & {
  /** where clients find it; the container listens on the same one */
  port: number
  /** for Java: heap and the like */
  javaOptions: readonly string[]
  /** 16 bytes in URL-safe base64, for when the volume is empty */
  clusterId: string
  /** who may come; default: everybody, who may do everything */
  users?: Users
  /** Default: a cluster of one. */
  node?: {
    id: number
    /** host names of all nodes in their network, by id */
    names: Readonly<Record<number, string>>
    /** further lines of the properties file, which win */
    settings: readonly string[]
  }
}

/** Between brokers that ask nobody. */
const OPEN = `inter.broker.listener.name=INTERNAL
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT`

/** Ports inside of the container, on which the nodes talk to each other. */
const INTERNAL = 19_092
const CONTROLLER = 19_093

/** Starts a broker, with the image built here or the official one: Java and `/opt/kafka/libs` are in both. */
export async function startBroker(engine: Engine, options: BrokerOptions): Promise<Container> {
  const { name, labels, volume, network, port } = options
  return await startContainer(engine, {
    name,
    labels,
    volume,
    ports: [port],
    image: await imageFor(engine, 'kafka'),
    files: {
      [SETTINGS_FILE]: settingsOf(engine, options),
      [LOGGING_FILE]: logging,
      [WORDS_FILE]: formatWords({ ...options, settingsFile: 'format.properties' }),
    },
    script: scriptOf(options),
    ...(network === undefined ? {} : { network }),
  })
}

function settingsOf(engine: Engine, { port, node, users }: BrokerOptions): string {
  const { id, names, settings } = node ?? { id: 1, names: { 1: '127.0.0.1' }, settings: [] }
  const [clients, brokers] = users === undefined ? ['PLAINTEXT', 'INTERNAL'] : ['CLIENTS', 'BROKERS']
  const voters = Object.entries(names).map(([voter, name]) => `${voter}@${name}:${CONTROLLER}`)
  // Later lines win.
  return [
    kafkaSettings(),
    `node.id=${id}`,
    users === undefined ? OPEN : securedSettings(),
    `listeners=${clients}://0.0.0.0:${port},${brokers}://0.0.0.0:${INTERNAL},CONTROLLER://0.0.0.0:${CONTROLLER}`,
    `advertised.listeners=${clients}://${engine.host}:${port},${brokers}://${names[id]}:${INTERNAL}`,
    `controller.quorum.voters=${voters.join(',')}`,
    ...settings,
    '',
  ].join('\n')
}

/** Formats the data folder under another name first: where it exists, it is whole. */
function scriptOf({ javaOptions }: BrokerOptions): string {
  const java = `java -Dlog4j2.configurationFile=${LOGGING_FILE}`
  const libraries = `-cp '/opt/kafka/libs/*'`
  return `set -e
if [ ! -d data ]; then
  rm -rf data.new
  mkdir data.new
  sed 's|^log.dirs=.*|log.dirs=data.new|' ${SETTINGS_FILE} >format.properties
  ${java} -XX:TieredStopAtLevel=1 ${libraries} @${WORDS_FILE}
  mv data.new data
fi
exec ${java} ${javaOptions.join(' ')} ${libraries} kafka.Kafka ${SETTINGS_FILE}
`
}
