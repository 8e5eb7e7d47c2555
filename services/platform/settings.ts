import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { principals } from '../domain/principals.ts'

/** Where the local stack and everything else that this checkout makes for itself is kept, below the working folder. */
export const DATA_FOLDER = '.sluice'

/** What the users of a local stack prove themselves by. */
const STACK_MECHANISM = 'scram-sha-512'
const positive = z.coerce.number().int().positive()
const file = z.string().min(1)
const url = z.url({ protocol: /^https?$/, error: 'expected an http(s) URL' })
const prefix = z.string().regex(/^[A-Za-z0-9._-]{0,64}$/, 'expected at most 64 of A-Z a-z 0-9 . _ -')
const mechanism = z.enum(['plain', 'scram-sha-256', 'scram-sha-512'])
const MOST_INLINE_BYTES = 4_000_000
const hostAndPort = z.string().regex(/^\[?[A-Za-z0-9._:-]+\]?:\d{1,5}$/, 'expected host:port')

/** One line a setting: its environment variable, what it must look like, and what it is when not given. */
const schema = z.object({
  SLUICE_BROKERS: z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .pipe(z.array(hostAndPort).min(1))
    .optional()
    .describe('Kafka brokers, host:port, separated by commas; default: the local stack'),
  SLUICE_REGISTRY: url
    .optional()
    .describe('schema registry, URL of its Confluent-compatible API; default: the local stack'),
  SLUICE_KAFKA_TLS: z.enum(['on', 'off']).default('off').describe('speak TLS to the brokers'),
  SLUICE_KAFKA_CA: file
    .optional()
    .describe('file with the authorities that vouch for the brokers, PEM; default: those that Node knows'),
  SLUICE_KAFKA_CERTIFICATE: file
    .optional()
    .describe('file with a certificate of our own for brokers that ask for one, PEM; its key is in SLUICE_KAFKA_KEY'),
  SLUICE_KAFKA_KEY: file.optional().describe('file with the private key of SLUICE_KAFKA_CERTIFICATE, PEM'),
  SLUICE_KAFKA_SASL: mechanism
    .optional()
    .describe('SASL mechanism; the credentials come from SLUICE_KAFKA_CREDENTIALS or SLUICE_KAFKA_USERS'),
  SLUICE_KAFKA_CREDENTIALS: z.string().optional().describe('file with one line, user:password, for the brokers'),
  SLUICE_KAFKA_USERS: z
    .string()
    .min(1)
    .optional()
    .describe('folder with such a file for each principal, instead; default: that of the local stack'),
  SLUICE_PRINCIPAL: z
    .enum(principals)
    .optional()
    .describe('as whom of SLUICE_KAFKA_USERS to come; default: each command as its own'),
  SLUICE_REGISTRY_CREDENTIALS: z.string().optional().describe('file with one line, user:password, for the registry'),
  SLUICE_PREFIX: prefix.default('').describe('put before every topic, group and transactional id'),
  SLUICE_STORES: z
    .string()
    .min(1)
    .refine(
      isStoresPlace,
      'expected a folder, or s3://NAME for the buckets NAME-intake, NAME-clean, NAME-held and NAME-lists',
    )
    .default(join(DATA_FOLDER, 'stores'))
    .describe(
      'folder that holds the stores intake, clean, held and lists; or s3://NAME: buckets NAME-intake and so on',
    ),
  SLUICE_S3_ENDPOINT: url
    .optional()
    .describe(
      "server that speaks S3, URL; default: Amazon's, or what AWS_PROFILE names. Credentials and region come from there too",
    ),
  SLUICE_POLICY: z
    .string()
    .min(1)
    .default(join(import.meta.dirname, '../../infra/policy.yaml'))
    .describe('policy file'),
  SLUICE_SIGNING_KEY: z
    .string()
    .min(1)
    .default(join(DATA_FOLDER, 'keys', 'signing.pem'))
    .describe('gate: file of the private key that receipts are signed with; nobody but its owner may read it'),
  SLUICE_KEYRING: z
    .string()
    .min(1)
    .default(join(DATA_FOLDER, 'keys', 'keyring.json'))
    .describe(
      'gate, train: file of the public keys that receipts may be signed with; a copy of its own for each reader',
    ),
  SLUICE_SNAPSHOTS: z
    .string()
    .min(1)
    .default(join(DATA_FOLDER, 'snapshots'))
    .transform((text) => (text === 'off' ? null : text))
    .describe('gate: folder of its own for what it knows of the hash lists, for a start in seconds; off: none is kept'),
  SLUICE_RECALL: z
    .string()
    .min(1)
    .default(join(DATA_FOLDER, 'recall'))
    .describe('recall: folder of its own for how far it is; lost, everything is compared again'),
  SLUICE_EXCHANGES: z.string().min(1).default('exchanges.yaml').describe('lists: file that names the hash exchanges'),
  SLUICE_EXCHANGE_STATE: z
    .string()
    .min(1)
    .default(join(DATA_FOLDER, 'exchanges'))
    .describe('lists: folder that keeps what was fetched from the exchanges, and up to where'),
  SLUICE_INLINE_BYTES: positive
    .max(MOST_INLINE_BYTES)
    .default(262_144)
    .describe('crawl: payloads up to this many bytes travel in the message, larger ones by reference'),
  SLUICE_SCANNERS: positive.optional().describe('gate: scanner processes; default: one a core'),
  SLUICE_CHUNK_ITEMS: positive.max(5000).default(64).describe('gate: items in one transaction, at most'),
  SLUICE_CHUNK_BYTES: positive.default(16_777_216).describe('gate: bytes of door records in one transaction, about'),
  SLUICE_LISTEN: z
    .string()
    .regex(/^[A-Za-z0-9.:[\]-]+:\d{1,5}$/, 'expected host:port')
    .default('127.0.0.1:9464')
    .describe('gate: where /healthz, /readyz, /status and /metrics are served; port 0 picks a free one'),
  SLUICE_LOG: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('least level that is logged'),
})

/** Whether to speak TLS; authorities, certificate and key as PEM where there are some of one's own. */
export type Tls = boolean | { ca?: string; cert?: string; key?: string }
export type Credentials = { username: string; password: string }
export type Settings = {
  brokers: string[]
  registry: string
  tls: Tls
  sasl: ({ mechanism: z.infer<typeof mechanism> } & Credentials) | null
  registryCredentials: Credentials | null
  prefix: string
  /** a folder, or s3://NAME */
  stores: string
  /** file */
  signingKey: string
  /** file */
  keyring: string
  /** URL; null: as the S3 client finds it */
  s3Endpoint: string | null
  /** null: no snapshots are kept */
  snapshots: string | null
  /** folder */
  recall: string
  policy: string
  exchanges: string
  exchangeState: string
  inlineBytes: number
  scanners: number | null
  chunkItems: number
  chunkBytes: number
  listen: { host: string; port: number }
  log: string
}

/** Every setting by its environment variable, with a sentence on what it means. */
export const settingsHelp: ReadonlyArray<{ name: string; meaning: string }> = Object.entries(schema.shape).map(
  ([name, field]) => ({ name, meaning: field.description ?? '' }),
)

/** Settings that a program may give instead of its environment. */
export type GivenSettings = Partial<
  Pick<
    Settings,
    | 'brokers'
    | 'registry'
    | 'tls'
    | 'sasl'
    | 'registryCredentials'
    | 'prefix'
    | 'stores'
    | 's3Endpoint'
    | 'inlineBytes'
    | 'keyring'
  >
>

const credentials = { username: z.string().min(1), password: z.string() }
const givenSettings = z.strictObject({
  brokers: z.array(hostAndPort).min(1).optional(),
  registry: url.optional(),
  tls: z.boolean().optional(),
  sasl: z
    .strictObject({ mechanism, ...credentials })
    .nullable()
    .optional(),
  registryCredentials: z.strictObject(credentials).nullable().optional(),
  prefix: prefix.optional(),
  stores: z.string().min(1).refine(isStoresPlace, 'expected a folder, or s3://NAME').optional(),
  s3Endpoint: url.nullable().optional(),
  inlineBytes: z.int().positive().max(MOST_INLINE_BYTES).optional(),
  keyring: z.string().min(1).optional(),
} satisfies Record<keyof GivenSettings, z.ZodType>)

/**
 * Checks what a program gives; what it gives as undefined it leaves to the environment.
 * @throws {SluiceError} CONFIG_INVALID, naming the setting and what was expected
 */
export function checkGiven(given: unknown): GivenSettings {
  const parsed = givenSettings.safeParse(given)
  if (parsed.success) {
    return Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined))
  }
  const issue = parsed.error.issues[0]
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `
  throw new SluiceError('CONFIG_INVALID', `the settings that were given are wrong: ${where}${issue?.message}`)
}

/**
 * The settings of this process, from the environment; brokers and registry default to the running local stack.
 * @param given takes the place of what the environment says
 * @throws {SluiceError} CONFIG_INVALID, naming the variable, what it holds wrongly and what was expected
 */
export function readSettings(environment: NodeJS.ProcessEnv = process.env, given: GivenSettings = {}): Settings {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new SluiceError('CONFIG_INVALID', `${String(issue?.path[0])} in the environment is wrong: ${issue?.message}`)
  }
  const values = parsed.data
  const [namedBrokers, namedRegistry] = [
    given.brokers ?? values.SLUICE_BROKERS,
    given.registry ?? values.SLUICE_REGISTRY,
  ]
  const stack = namedBrokers && namedRegistry ? null : localStack()
  const brokers = namedBrokers ?? stack?.brokers
  const registry = namedRegistry ?? stack?.registry
  if (!brokers || !registry) {
    const missing = brokers ? 'SLUICE_REGISTRY' : 'SLUICE_BROKERS'
    throw new SluiceError(
      'CONFIG_INVALID',
      `${missing} is not set and no local stack is up: start one with \`sluice stack up\` or name your own cluster`,
    )
  }
  return {
    tls: given.tls ?? tlsOf(values),
    sasl: given.sasl === undefined ? saslOf(values, namedBrokers ? null : (stack?.users ?? null)) : given.sasl,
    registryCredentials: readCredentials('SLUICE_REGISTRY_CREDENTIALS', values.SLUICE_REGISTRY_CREDENTIALS),
    prefix: values.SLUICE_PREFIX,
    stores: values.SLUICE_STORES,
    signingKey: values.SLUICE_SIGNING_KEY,
    keyring: values.SLUICE_KEYRING,
    s3Endpoint: values.SLUICE_S3_ENDPOINT ?? null,
    snapshots: values.SLUICE_SNAPSHOTS,
    recall: values.SLUICE_RECALL,
    policy: values.SLUICE_POLICY,
    exchanges: values.SLUICE_EXCHANGES,
    exchangeState: values.SLUICE_EXCHANGE_STATE,
    inlineBytes: values.SLUICE_INLINE_BYTES,
    scanners: values.SLUICE_SCANNERS ?? null,
    chunkItems: values.SLUICE_CHUNK_ITEMS,
    chunkBytes: values.SLUICE_CHUNK_BYTES,
    listen: splitAddress(values.SLUICE_LISTEN),
    log: values.SLUICE_LOG,
    ...given,
    brokers,
    registry: registry.replace(/\/+$/, ''),
  }
}

/**
 * Where a gate with these settings serves its operations port, for commands that only look at it; host:port.
 * @throws {SluiceError} CONFIG_INVALID
 */
export function listenAddress(environment: NodeJS.ProcessEnv = process.env): string {
  const parsed = schema.shape.SLUICE_LISTEN.safeParse(environment.SLUICE_LISTEN)
  if (parsed.success) return parsed.data
  throw new SluiceError(
    'CONFIG_INVALID',
    `SLUICE_LISTEN in the environment is wrong: ${parsed.error.issues[0]?.message}`,
  )
}

/** The files of the keys alone, for commands that need neither Kafka nor registry. */
export function keyFiles(environment: NodeJS.ProcessEnv = process.env): Pick<Settings, 'signingKey' | 'keyring'> {
  return {
    signingKey: schema.shape.SLUICE_SIGNING_KEY.parse(environment.SLUICE_SIGNING_KEY),
    keyring: schema.shape.SLUICE_KEYRING.parse(environment.SLUICE_KEYRING),
  }
}

/**
 * The S3 server alone, for commands that read from buckets; null: as the S3 client finds it.
 * @throws {SluiceError} CONFIG_INVALID
 */
export function s3Endpoint(environment: NodeJS.ProcessEnv = process.env): string | null {
  const parsed = schema.shape.SLUICE_S3_ENDPOINT.safeParse(environment.SLUICE_S3_ENDPOINT)
  if (parsed.success) return parsed.data ?? null
  const sentence = `SLUICE_S3_ENDPOINT in the environment is wrong: ${parsed.error.issues[0]?.message}`
  throw new SluiceError('CONFIG_INVALID', sentence)
}

/** The policy file alone, for commands that need neither Kafka nor registry. */
export function policyFile(environment: NodeJS.ProcessEnv = process.env): string {
  return schema.shape.SLUICE_POLICY.parse(environment.SLUICE_POLICY)
}

/**
 * The text of a file that a person named.
 * @throws {SluiceError} with the given code when it can't be read
 */
export function readTextFile(code: 'POLICY_INVALID' | 'CONFIG_INVALID', file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SluiceError(code, `${file} can't be read: expected a text file of that name`, { cause })
  }
}

/** What `sluice stack up` left for the others to find. */
const stackFile = z.object({
  brokers: z.array(z.string()).min(1),
  registry: z.string(),
  users: z.string().optional(),
})

function localStack(): z.infer<typeof stackFile> | null {
  const file = join(DATA_FOLDER, 'stack.json')
  if (!existsSync(file)) return null
  try {
    return stackFile.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    throw new SluiceError('CONFIG_INVALID', `${file} is damaged: run \`sluice stack down\` and \`sluice stack up\``, {
      cause,
    })
  }
}

const pemFiles = [
  { part: 'ca', variable: 'SLUICE_KAFKA_CA' },
  { part: 'cert', variable: 'SLUICE_KAFKA_CERTIFICATE' },
  { part: 'key', variable: 'SLUICE_KAFKA_KEY' },
] as const

/** Files are read here, so that one that is missing is told at once, and by its setting's name. */
function tlsOf(values: z.infer<typeof schema>): Tls {
  const texts: Exclude<Tls, boolean> = {}
  for (const { part, variable } of pemFiles) {
    const named = values[variable]
    if (named === undefined) continue
    if (values.SLUICE_KAFKA_TLS === 'off')
      throw new SluiceError('CONFIG_INVALID', `${variable} is set, but SLUICE_KAFKA_TLS is off: set it to on`)
    const text = existsSync(named) ? readFileSync(named, 'utf8') : ''
    if (!text.includes('-----BEGIN '))
      throw new SluiceError('CONFIG_INVALID', `${variable} names ${named}: expected a file in PEM format`)
    texts[part] = text
  }
  if ((texts.cert === undefined) !== (texts.key === undefined)) {
    const sentence = 'SLUICE_KAFKA_CERTIFICATE and SLUICE_KAFKA_KEY go together: set both or none'
    throw new SluiceError('CONFIG_INVALID', sentence)
  }
  return Object.keys(texts).length > 0 ? texts : values.SLUICE_KAFKA_TLS === 'on'
}

/**
 * As whom to come: what is named wins over the local stack's users.
 * @param stackUsers folder; null where the brokers are not those of the local stack
 */
function saslOf(values: z.infer<typeof schema>, stackUsers: string | null): Settings['sasl'] {
  const { SLUICE_KAFKA_SASL: named, SLUICE_KAFKA_CREDENTIALS: file, SLUICE_KAFKA_USERS, SLUICE_PRINCIPAL: who } = values
  const users = SLUICE_KAFKA_USERS ?? stackUsers
  const credentials = readCredentials('SLUICE_KAFKA_CREDENTIALS', file)
  if (credentials !== null && named !== undefined) return { mechanism: named, ...credentials }
  if (credentials !== null || (named !== undefined && users === null)) {
    throw new SluiceError(
      'CONFIG_INVALID',
      'SLUICE_KAFKA_SASL and SLUICE_KAFKA_CREDENTIALS go together: set both or none',
    )
  }
  if (users === null) return null
  if (who === undefined) {
    const sentence = `SLUICE_PRINCIPAL is not set, and these brokers ask who comes: expected one of ${principals.join(', ')}`
    throw new SluiceError('CONFIG_INVALID', sentence)
  }
  const own = readCredentials(`SLUICE_KAFKA_USERS, for the principal ${who},`, join(users, who))
  return own && { mechanism: named ?? STACK_MECHANISM, ...own }
}

function readCredentials(variable: string, file: string | undefined): Credentials | null {
  if (file === undefined) return null
  const line = existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
  const colon = line.indexOf(':')
  if (colon < 1) {
    throw new SluiceError('CONFIG_INVALID', `${variable} names ${file}: expected a file with one line, user:password`)
  }
  return { username: line.slice(0, colon), password: line.slice(colon + 1) }
}

/** Buckets of the name and what is put behind it: both together at most 63 characters, as S3 has it. */
function isStoresPlace(text: string): boolean {
  return !text.includes('://') || /^s3:\/\/[a-z0-9][a-z0-9.-]{0,55}(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\/?$/.test(text)
}

function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/[[\]]/g, ''), port: Number(address.slice(colon + 1)) }
}
