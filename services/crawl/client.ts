/**
 * What a crawler in TypeScript or JavaScript imports: `import { createProducer, envelope, item } from 'sluice'`.
 */
import type { Credentials } from '../platform/settings.ts'
import { checkGiven, readSettings } from '../platform/settings.ts'
import { createProducer as connect, type Publisher } from './producer.ts'

export { acquisition, envelope, item, liveness, origin, rights, supply, synthetic } from '../domain/envelope.ts'
export { type ErrorCode, type Fault, SluiceError } from '../domain/errors.ts'
export type {
  AcquisitionGroup,
  Envelope,
  HttpHeader,
  ItemGroup,
  LivenessGroup,
  OriginGroup,
  PayloadGroup,
  RightsGroup,
  SupplyGroup,
  SyntheticGroup,
} from '../domain/records.ts'
export type { Carriage, Collected } from './door-message.ts'
export type { Publisher, Written } from './producer.ts'
export type { Credentials }

/** How to reach the door. What is not given comes from the environment, as for the command line (`sluice --help` lists it). */
export type CrawlerSettings = {
  /** Kafka brokers, `host:port` each; else SLUICE_BROKERS, else the local stack of this folder */
  brokers?: string[] | undefined
  /** URL of the schema registry's Confluent-compatible API; else SLUICE_REGISTRY, else the local stack of this folder */
  registry?: string | undefined
  /** whether to speak TLS to the brokers; authorities of one's own: Node's NODE_EXTRA_CA_CERTS */
  tls?: boolean | undefined
  sasl?: ({ mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512' } & Credentials) | null | undefined
  /** for the registry: basic authentication */
  registryCredentials?: Credentials | null | undefined
  /** put before the topic's name, where a gate has one */
  prefix?: string | undefined
  /**
   * The folder that the gate's stores are in, as this process sees it, or s3://NAME for buckets; payloads longer than `inlineBytes` are written to `intake` of it. Else
   * SLUICE_STORES. Where `brokers` are given and neither of these is, there is none, and longer payloads are refused.
   */
  stores?: string | undefined
  /** server that speaks S3, URL, where `stores` is s3://NAME; else SLUICE_S3_ENDPOINT, else as the S3 client finds it */
  s3Endpoint?: string | null | undefined
  /** longest payload that travels in the message, bytes, at most 4,000,000; default 262,144 */
  inlineBytes?: number | undefined
  /** names the crawler, as a URI reference: `ce_source` of its messages */
  source?: string | undefined
}

/**
 * Connects a crawler to the door topic, for as long as it runs.
 * @throws {SluiceError} CONFIG_INVALID, naming the setting; BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE, STORE_UNREACHABLE
 */
export async function createProducer({ source, ...options }: CrawlerSettings = {}): Promise<Publisher> {
  const given = checkGiven(options)
  const settings = readSettings({ SLUICE_PRINCIPAL: 'crawler', ...process.env }, given)
  // A folder of this process's own would be one that no gate looks into.
  const isNamed = given.brokers === undefined || given.stores !== undefined || process.env.SLUICE_STORES !== undefined
  return await connect(
    { ...settings, stores: isNamed ? settings.stores : null },
    source === undefined ? {} : { source },
  )
}
