import { SluiceError } from '../domain/errors.ts'
import { askHttp } from './http.ts'
import type { Settings } from './settings.ts'

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'
const NO_CONTENT = 204

/** A question to the schema registry, and what its answer must look like, by status; other statuses are refusals. */
export type RegistryQuestion = {
  /** what was to be learnt, for the sentence of an error: `the versions of x` */
  what: string
  method?: 'GET' | 'POST' | 'PUT'
  /** URL of another API of the same server; default: the Confluent-compatible one */
  api?: string
  /** below the API's address */
  path: string
  /** sent as JSON; bytes as they are */
  body?: object
  /** of what is sent; default: the Confluent-compatible API's own */
  mediaType?: string
  patienceMs: number
}

/** What the registry says: its status, and its answer as JSON; null where it says that it has none to give (204). */
export type RegistryAnswer = { status: number; said: unknown }

/**
 * Asks the schema registry. Whatever goes wrong on the way is the registry's fault, never that of who asks.
 * @throws {SluiceError} REGISTRY_UNREACHABLE when there is no answer, none in time, none that is JSON, or a redirection
 */
export async function askRegistry(
  { registry, registryCredentials: credentials }: Pick<Settings, 'registry' | 'registryCredentials'>,
  { what, method = 'GET', api = registry, path, body, mediaType = MEDIA_TYPE, patienceMs }: RegistryQuestion,
): Promise<RegistryAnswer> {
  const headers = {
    'content-type': mediaType,
    ...(credentials === null ? {} : { authorization: basicAuth(credentials) }),
  }
  const content = body === undefined || body instanceof Uint8Array ? body : JSON.stringify(body)
  const url = new URL(`${api}/${path}`)
  const answer = await askHttp(url, patienceMs, { method, headers, content }).catch((cause: unknown) => {
    throw untold(what, cause)
  })
  const { status, body: said } = answer
  if (status >= 300 && status < 400) {
    const advice = 'set SLUICE_REGISTRY to the address that it sends to'
    throw new SluiceError(
      'REGISTRY_UNREACHABLE',
      `the schema registry sends elsewhere (${status}) for ${what}: ${advice}`,
    )
  }
  try {
    return { status, said: status === NO_CONTENT ? null : JSON.parse(said) }
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
