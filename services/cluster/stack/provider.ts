/** The two servers that a stack consists of. */
export const serverNames = ['kafka', 'registry'] as const
export type ServerName = (typeof serverNames)[number]

/** A stack that answers. */
export type Stack = {
  provider: 'jvm' | 'containers' | 'external'
  /** Kafka brokers, host:port */
  brokers: string[]
  /** URL of the registry's Confluent-compatible API */
  registry: string
  /** folder with one file a principal, `user:password`; null where the users are somebody else's */
  users: string | null
}

export type ServerStatus = {
  server: ServerName
  /** `starting`: it is there, but it does not answer */
  state: 'up' | 'starting' | 'down'
  /** null when down, not ours or in a container */
  pid: number | null
  /** null when down */
  address: string | null
}

export type StackStatus = { provider: Stack['provider']; up: boolean; servers: ServerStatus[] }

/** How a stack comes to be. Whoever uses one does not see which it is. */
export type StackProvider = {
  /**
   * Resolves when all servers answer; finds what already runs. Data of an earlier run is there again.
   * @throws {SluiceError} INSTALL_MISSING, CONFIG_INVALID, BROKER_UNREACHABLE, REGISTRY_UNREACHABLE
   */
  up(): Promise<Stack>
  /** Ends the servers that are ours, however they came to be left behind; their data stays. Ends nothing twice. */
  down(only?: readonly ServerName[]): Promise<void>
  /** Ends the servers that are ours, and deletes their data. */
  erase(): Promise<void>
  status(): Promise<StackStatus>
}
