import type { Credentials } from './settings.ts'

/** How a program of somebody else's reaches the cluster. What is not given comes from the environment, as for the command line (`sluice --help` lists it). */
export type ClientSettings = {
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
  /** server that speaks S3, URL, where `stores` is s3://NAME; else SLUICE_S3_ENDPOINT, else as the S3 client finds it */
  s3Endpoint?: string | null | undefined
}
