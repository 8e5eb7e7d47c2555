/**
 * What a crawler in TypeScript or JavaScript imports: `import { createProducer, envelope, item } from 'sluice'`.
 */
import type { ClientSettings } from '../platform/client-settings.ts'
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
export type { Credentials } from '../platform/settings.ts'
export type { Carriage, Collected } from './door-message.ts'
export type { Publisher, Written } from './producer.ts'

/** How to reach the door. */
export type CrawlerSettings = ClientSettings & {
  /**
   * The folder that the gate's stores are in, as this process sees it, or s3://NAME for buckets; payloads longer than `inlineBytes` are written to `intake` of it. Else
   * SLUICE_STORES. Where `brokers` are given and neither of these is, there is none, and longer payloads are refused.
   */
  stores?: string | undefined
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
