import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Settings } from '../../services/platform/settings.ts'

/** Bytes as the scripts tell them: base64; where that would be long, digest and length. */
const bytes = z.union([z.string(), z.object({ sha256: z.string(), length: z.number().int() })])

const headers = z.array(z.tuple([z.string(), bytes.nullable()]))

const recordLine = z.object({
  line: z.literal('record'),
  topic: z.string(),
  partition: z.number().int(),
  offset: z.number().int(),
  timestamp: z.number().int(),
  key: bytes.nullable(),
  headers,
  valueSha256: z.string().nullable(),
  value: z.unknown(),
})
/** A committed record as librdkafka and fastavro see it; `value` is null where it could not be decoded. */
export type ForeignRecord = z.infer<typeof recordLine>

const partitionLine = z.object({
  line: z.literal('partition'),
  topic: z.string(),
  partition: z.number().int(),
  end: z.number().int(),
})
const committedLine = z.object({
  line: z.literal('committed'),
  topic: z.string(),
  partition: z.number().int(),
  offset: z.number().int().nullable(),
})
const readingLine = z.discriminatedUnion('line', [recordLine, partitionLine, committedLine])

export type ForeignReading = {
  records: ForeignRecord[]
  /** where each partition ends, control records counted */
  partitions: z.infer<typeof partitionLine>[]
  /** what the group has committed; empty when no group was asked for */
  committed: z.infer<typeof committedLine>[]
}

const content = z.object({ sha256: z.string(), bytes })
const storeLine = z.object({
  name: z.string(),
  sha256: z.string(),
  length: z.number().int(),
  record: z
    .object({
      input: z.object({ cluster: z.string(), topic: z.string(), partition: z.number(), offset: z.number() }),
      timestamp: z.number().int(),
      key: content.nullable(),
      value: content.nullable(),
      headers: z.array(z.object({ name: z.string(), value: bytes.nullable() })),
    })
    .nullable(),
})
/** An object of a store; `record` is what fastavro finds in it, null where it is no Avro container. */
export type ForeignObject = z.infer<typeof storeLine>

/** A record to produce, keys and values as they shall be on the wire. */
export type RawRecord = {
  topic: string
  partition: number
  key: Buffer | null
  value: Buffer | { zeros: number } | null
  headers?: ReadonlyArray<readonly [string, Buffer | null]>
}

/** A cluster, and as whom to come where it asks. */
export type ForeignCluster = { brokers: readonly string[]; sasl: Settings['sasl'] }

function python(): string {
  return process.env.SLUICE_PYTHON ?? '.sluice/python/bin/python'
}

/**
 * For a test's `skip` option: false, or why it can't run.
 * @throws {Error} in CI, where nothing is skipped
 */
export function skipWithoutPython(): string | false {
  if (existsSync(python())) return false
  const sentence = `there is no ${python()} with confluent-kafka and fastavro, so no foreign client checks this: install Python and run \`make test\``
  if (process.env.CI) throw new Error(sentence)
  return sentence
}

/**
 * All committed records of the topics, with librdkafka, by topic and partition in offset order.
 * @param group also tells what this consumer group has committed
 * @throws {Error} when a partition can't be read to the end within a minute, e.g. because a transaction is still open
 */
export async function readTopics(
  cluster: ForeignCluster & { registry: string },
  topics: readonly string[],
  group?: string,
): Promise<ForeignReading> {
  const words = [`--brokers=${cluster.brokers.join(',')}`, `--registry=${cluster.registry}`]
  if (group !== undefined) words.push(`--group=${group}`)
  const lines = await run('read-topics.py', [...words, ...topics], '', loginOf(cluster))
  const reading: ForeignReading = { records: [], partitions: [], committed: [] }
  for (const line of lines.map((text) => readingLine.parse(JSON.parse(text)))) {
    if (line.line === 'record') reading.records.push(line)
    else if (line.line === 'partition') reading.partitions.push(line)
    else reading.committed.push(line)
  }
  return reading
}

/** Every object in a store's folder, with fastavro. */
export async function readStore(folder: string): Promise<ForeignObject[]> {
  return (await run('read-store.py', [folder])).map((line) => storeLine.parse(JSON.parse(line)))
}

/**
 * Produces with librdkafka, which writes headers as given: repeated names, any order, null values.
 * @param compression what goes to one partition is then one batch, as far as sizes allow
 * @returns the offsets
 */
export async function produceForeign(
  cluster: ForeignCluster,
  records: readonly RawRecord[],
  compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd' = 'none',
): Promise<number[]> {
  const input = records.map(({ topic, partition, key, value, headers: pairs = [] }) =>
    JSON.stringify({
      topic,
      partition,
      key: base64(key),
      value: value === null || Buffer.isBuffer(value) ? base64(value) : value,
      headers: pairs.map(([name, part]) => [name, base64(part)]),
    }),
  )
  const lines = await run('produce.py', [cluster.brokers.join(','), compression], input.join('\n'), loginOf(cluster))
  return lines.map((line) => z.object({ offset: z.number().int() }).parse(JSON.parse(line)).offset)
}

function base64(part: Buffer | null): string | null {
  return part === null ? null : part.toString('base64')
}

/** As whom the scripts come, for their environment. */
export function loginOf({ sasl }: Pick<ForeignCluster, 'sasl'>): Readonly<Record<string, string>> {
  return sasl === null ? {} : { KAFKA_USER: sasl.username, KAFKA_PASSWORD: sasl.password }
}

/** Runs a script of this folder. @returns the lines of its stdout @throws {Error} with what it said when it fails */
export async function run(
  script: string,
  words: readonly string[],
  input = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  return (await runPython([join(import.meta.dirname, script), ...words], input, environment)).stdout
}

/** Runs Python. @returns the lines that it wrote @throws {Error} with what it said when it fails */
export function runPython(
  words: readonly string[],
  input = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<{ stdout: string[]; stderr: string[] }> {
  return new Promise((resolve, reject) => {
    const child = spawn(python(), words, { env: { ...process.env, ...environment } })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (part: Buffer) => out.push(part))
    child.stderr.on('data', (part: Buffer) => err.push(part))
    child.on('error', reject)
    // A script that ends early says why on stderr; the broken pipe says nothing more.
    child.stdin.on('error', () => undefined)
    child.on('close', (code) => {
      const lines = (parts: Buffer[]) => Buffer.concat(parts).toString().split('\n').filter(Boolean)
      if (code === 0) resolve({ stdout: lines(out), stderr: lines(err) })
      else reject(new Error(`${words[0]} ended with ${code}: ${Buffer.concat(err)}`))
    })
    child.stdin.end(input)
  })
}
