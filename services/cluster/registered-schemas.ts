import confluent from '@kafkajs/confluent-schema-registry'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { subjectOf, type Topic, topicSchemas, topics } from '../domain/topics.ts'
import { untold } from '../platform/ask-registry.ts'
import { schemaText } from '../platform/avro.ts'
import { inTime } from '../platform/in-time.ts'
import type { Settings } from '../platform/settings.ts'
import { answerOf, parsedAnswer, REGISTRY_PATIENCE_MS, versionsOf, versionsPath } from './registry-answer.ts'
import { incompatibility } from './schema-files.ts'

const { COMPATIBILITY, SchemaRegistry, SchemaType } = confluent
const compatibility = COMPATIBILITY.FULL_TRANSITIVE

const versionAnswer = z.object({ schema: z.string() })

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
  await answerOf(settings, { method: 'PUT', path: `config/${encodeURIComponent(subject)}`, body: { compatibility } })
  const { registry: host, registryCredentials: auth } = settings
  const client = new SchemaRegistry({ host, ...(auth === null ? {} : { auth }) })
  try {
    const schema = schemaText(topicSchemas[topic])
    const registering = client.register({ type: SchemaType.AVRO, schema }, { subject, compatibility })
    const late = (why: Error): Error => untold(`the id of our schema of ${subject}`, why)
    const { id } = await inTime(registering, REGISTRY_PATIENCE_MS, late)
    return { subject, id }
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    if (isNoAnswer(cause)) throw untold(`the id of our schema of ${subject}`, cause)
    const why = cause instanceof Error ? cause.message.slice(0, 500) : 'it does not say why'
    throw new SluiceError('CONFIG_INVALID', `the schema registry refuses our schema of ${subject}: ${why}`, { cause })
  }
}

/** Whether an error of the library stands for a registry in trouble, or for no answer at all: of that it makes a 400, as if the registry had refused. */
function isNoAnswer(error: unknown): boolean {
  if (!(error instanceof Error && 'status' in error)) return false
  const { status, message } = error
  return Number(status) >= 500 || (status === 400 && message.includes('Error, status 400'))
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
    for (const version of await versionsOf(settings, subject)) {
      const path = `${versionsPath(subject)}/${version}`
      const told = await parsedAnswer(settings, { path }, versionAnswer)
      const fault = told === null ? null : incompatibility(schemaText(topicSchemas[topic]), told.schema)
      if (fault !== null) {
        problems.push(`schemas/${topicSchemas[topic]}.avsc does not fit version ${version} of ${subject}: ${fault}`)
      }
    }
  }
  return problems
}
