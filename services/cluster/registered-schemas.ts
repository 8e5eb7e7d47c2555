import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { subjectOf, type Topic, topicSchemas, topics } from '../domain/topics.ts'
import { schemaText } from '../platform/avro.ts'
import type { Settings } from '../platform/settings.ts'
import { incompatibility } from './schema-files.ts'

const PATIENCE_MS = 10_000
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'
const COMPATIBILITY = 'FULL_TRANSITIVE'
const NOT_FOUND = 404

const versionsAnswer = z.array(z.number().int())
const versionAnswer = z.object({ id: z.number().int(), schema: z.string() })
const registeredAnswer = z.object({ id: z.number().int() })

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
  const name = encodeURIComponent(subject)
  await ask(settings, 'PUT', `config/${name}`, { compatibility: COMPATIBILITY })
  const answer = await ask(settings, 'POST', `subjects/${name}/versions`, { schema: schemaText(topicSchemas[topic]) })
  return { subject, id: registeredAnswer.parse(answer).id }
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

/** One question to the registry. @returns its answer; null where it has nothing of that name */
async function ask(settings: Settings, method: string, path: string, body?: object): Promise<unknown> {
  const { registryCredentials: credentials } = settings
  const login =
    credentials === null ? '' : Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')
  let answer: Response
  try {
    answer = await fetch(`${settings.registry}/${path}`, {
      method,
      headers: { 'content-type': MEDIA_TYPE, ...(login === '' ? {} : { authorization: `Basic ${login}` }) },
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (cause) {
    throw new SluiceError('REGISTRY_UNREACHABLE', `the schema registry at ${settings.registry} does not answer`, {
      cause,
    })
  }
  if (answer.status === NOT_FOUND && method === 'GET') return null
  if (answer.ok) return answer.json()
  const detail = `the schema registry answers ${answer.status} to ${method} ${path}: ${(await answer.text()).slice(0, 500)}`
  throw new SluiceError(answer.status >= 500 ? 'REGISTRY_UNREACHABLE' : 'CONFIG_INVALID', detail)
}
