import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { askRegistry, type RegistryQuestion, untold } from '../platform/ask-registry.ts'
import type { Settings } from '../platform/settings.ts'

export const REGISTRY_PATIENCE_MS = 10_000
const NOT_FOUND = 404
const CONFLICT = 409

export type AdminQuestion = Omit<RegistryQuestion, 'what' | 'patienceMs'> & {
  /** that something is there already is no refusal: null is answered then */
  mayBeThere?: boolean
}

const versionsAnswer = z.array(z.number().int())

/**
 * What the registry answers to an administrator; null where it has nothing of that name, or nothing to say.
 * @throws {SluiceError} REGISTRY_UNREACHABLE; CONFIG_INVALID when it refuses
 */
export async function answerOf(
  settings: Settings,
  { method = 'GET', path, mayBeThere = false, ...rest }: AdminQuestion,
): Promise<unknown> {
  const what = `what it has at ${path}`
  const { status, said } = await askRegistry(settings, {
    what,
    method,
    path,
    patienceMs: REGISTRY_PATIENCE_MS,
    ...rest,
  })
  if ((status === NOT_FOUND && method === 'GET') || (status === CONFLICT && mayBeThere)) return null
  if (status >= 200 && status < 300) return said
  const detail = `the schema registry answers ${status} to ${method} ${path}: ${JSON.stringify(said).slice(0, 500)}`
  throw new SluiceError(status >= 500 ? 'REGISTRY_UNREACHABLE' : 'CONFIG_INVALID', detail)
}

/**
 * As {@link answerOf}, of a known shape.
 * @throws {SluiceError} REGISTRY_UNREACHABLE, also when the answer has another shape; CONFIG_INVALID when it refuses
 */
export async function parsedAnswer<Answer>(
  settings: Settings,
  question: AdminQuestion,
  answer: z.ZodType<Answer>,
): Promise<Answer | null> {
  const said = await answerOf(settings, question)
  if (said === null) return null
  const parsed = answer.safeParse(said)
  if (!parsed.success) throw untold(`what it has at ${question.path}`, parsed.error)
  return parsed.data
}

/** Where the versions of a subject are, below the registry's address. */
export function versionsPath(subject: string): string {
  return `subjects/${encodeURIComponent(subject)}/versions`
}

/** The numbers of a subject's versions; none where the registry does not have it. */
export async function versionsOf(settings: Settings, subject: string): Promise<number[]> {
  return (await parsedAnswer(settings, { path: versionsPath(subject) }, versionsAnswer)) ?? []
}
