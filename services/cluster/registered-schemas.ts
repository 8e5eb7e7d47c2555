import confluent from '@kafkajs/confluent-schema-registry'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { subjectOf, type Topic, topicSchemas, topics } from '../domain/topics.ts'
import { askRegistry } from '../platform/ask-registry.ts'
import { schemaText } from '../platform/avro.ts'
import { inTime } from '../platform/in-time.ts'
import type { Settings } from '../platform/settings.ts'
import { incompatibility } from './schema-files.ts'

const PATIENCE_MS = 10_000
const { COMPATIBILITY, SchemaRegistry, SchemaType } = confluent
const compatibility = COMPATIBILITY.FULL_TRANSITIVE
const NOT_FOUND = 404

const versionsAnswer = z.array(z.number().int())
const versionAnswer = z.object({ id: z.number().int(), schema: z.string() })

/** A schema of ours in the registry. */
export type RegisteredSchema = { subject: string; id: number }

/**
 * Registers the schema of every topic, with FULL_TRANSITIVE compatibility set first. Twice is once.
 * @throws {SluiceError} CONFIG_INVALID when the registry refuses one; REGISTRY_UNREACHABLE
 */
export async function registerSchemas(settings: Settings): Promise<RegisteredSchema[]> {
  const registered: RegisteredSchema[] = []
  for (const topic of topics) registered.push(await register(settings, topic))
  return registered
}

async function register(settings: Settings, topic: Topic): Promise<RegisteredSchema> {
  const subject = subjectOf(settings.prefix, topic)
  await ask(settings, 'PUT', `config/${encodeURIComponent(subject)}`, { compatibility })
  const { registry: host, registryCredentials: auth } = settings
  const client = new SchemaRegistry({ host, ...(auth === null ? {} : { auth }) })
  try {
    const schema = schemaText(topicSchemas[topic])
    const registering = client.register({ type: SchemaType.AVRO, schema }, { subject, compatibility })
    const { id } = await inTime(registering, PATIENCE_MS)
    return { subject, id }
  } catch (cause) {
    // The library takes a registry that is gone for one that refuses: whichever it is, this tells.
    await ask(settings, 'GET', 'subjects')
    const why = cause instanceof Error ? cause.message.slice(0, 500) : 'it does not say why'
    throw new SluiceError('CONFIG_INVALID', `the schema registry refuses our schema of ${subject}: ${why}`, { cause })
  }
}

/**
 * Compares the schema of every topic with each version that is registered, both ways.
 * @returns one sentence a problem
 * @throws {SluiceError} REGISTRY_UNREACHABLE
 */
export async function problemsWithRegistered(settings: Settings): Promise<string[]> {
  const problems: string[] = []
  for (const topic of topics) {
    const subject = subjectOf(settings.prefix, topic)
    const folder = `subjects/${encodeURIComponent(subject)}/versions`
    for (const version of versionsAnswer.parse((await ask(settings, 'GET', folder)) ?? [])) {
      const { schema } = versionAnswer.parse(await ask(settings, 'GET', `${folder}/${version}`))
      const fault = incompatibility(schemaText(topicSchemas[topic]), schema)
      if (fault !== null) {
        problems.push(`schemas/${topicSchemas[topic]}.avsc does not fit version ${version} of ${subject}: ${fault}`)
      }
    }
  }
  return problems
}

/** @returns what the registry answers; null where it has nothing of that name */
async function ask(settings: Settings, method: 'GET' | 'PUT', path: string, body?: object): Promise<unknown> {
  const what = `what it has at ${path}`
  const question = { what, method, path, patienceMs: PATIENCE_MS, ...(body === undefined ? {} : { body }) }
  const { status, said } = await askRegistry(settings, question)
  if (status === NOT_FOUND && method === 'GET') return null
  if (status >= 200 && status < 300) return said
  const detail = `the schema registry answers ${status} to ${method} ${path}: ${JSON.stringify(said).slice(0, 500)}`
  throw new SluiceError(status >= 500 ? 'REGISTRY_UNREACHABLE' : 'CONFIG_INVALID', detail)
}
