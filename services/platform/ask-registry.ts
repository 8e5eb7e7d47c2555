import { SluiceError } from '../domain/errors.ts'
import type { Settings } from './settings.ts'

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'

/** A question to the schema registry, and what its answer must look like, by status; other statuses are refusals. */
export type RegistryQuestion = {
  /** what was to be learnt, for the sentence of an error: `the versions of x` */
  what: string
  method?: 'GET' | 'POST' | 'PUT'
  /** below the API's address */
  path: string
  body?: object
  patienceMs: number
}

/** What the registry says: its status, and its answer as JSON. */
export type RegistryAnswer = { status: number; said: unknown }

/**
 * Asks the schema registry. Whatever goes wrong on the way is the registry's fault, never that of who asks.
 * @throws {SluiceError} REGISTRY_UNREACHABLE when there is no answer, none in time, or none that is JSON
 */
export async function askRegistry(
  { registry, registryCredentials: credentials }: Pick<Settings, 'registry' | 'registryCredentials'>,
  { what, method = 'GET', path, body, patienceMs }: RegistryQuestion,
): Promise<RegistryAnswer> {
  try {
    const answer = await fetch(`${registry}/${path}`, {
      method,
      signal: AbortSignal.timeout(patienceMs),
      headers: {
        'content-type': MEDIA_TYPE,
        ...(credentials === null ? {} : { authorization: basicAuth(credentials) }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, said: await answer.json() }
  } catch (cause) {
    throw untold(what, cause)
  }
}

/** The registry did not tell, or not as it should. */
export function untold(what: string, cause: unknown): SluiceError {
  return new SluiceError('REGISTRY_UNREACHABLE', `the schema registry did not tell ${what}`, { cause })
}

function basicAuth({ username, password }: NonNullable<Settings['registryCredentials']>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
