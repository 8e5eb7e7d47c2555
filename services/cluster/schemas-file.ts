import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { canonicalJson } from '../domain/canonical-json.ts'
import { SluiceError } from '../domain/errors.ts'
import { codeOf } from '../platform/error-code.ts'

const FORMAT = 'sluice-schemas'
const FORMAT_VERSION = 1

const id = z.number().int().positive().max(0x7fff_ffff)
const version = z.number().int().positive()
const text = z.string().min(1)
const compatibility = z.enum([
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
])
const reference = z.strictObject({ name: text, subject: text, version })
const exportedSchema = z.strictObject({
  id,
  version,
  schemaType: z.enum(['AVRO', 'JSON', 'PROTOBUF']),
  /** as it was registered, to the byte */
  schema: text,
  references: z.array(reference),
})
const exportedSubject = z.strictObject({
  subject: text,
  /** null where the subject has none of its own */
  compatibility: compatibility.nullable(),
  /** ascending */
  versions: z.array(exportedSchema),
})
const content = z.strictObject({ prefix: z.string(), subjects: z.array(exportedSubject) })
const header = z.looseObject({ format: z.literal(FORMAT), formatVersion: z.number() })
const wholeFile = content.extend({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  /** SHA-256 of the canonical JSON of all else, in hex */
  digest: z.string(),
})

export const compatibilityAnswer = z.object({ compatibilityLevel: compatibility })

/** How a subject's versions must fit each other. */
export type Compatibility = z.infer<typeof compatibility>

/** One version of a subject, with the id that the records of the topic bear. */
export type ExportedSchema = z.infer<typeof exportedSchema>
export type ExportedSubject = z.infer<typeof exportedSubject>

/** What an export of a registry holds: the subjects of one prefix, in the order of their names. */
export type ExportedSchemas = z.infer<typeof content>

/** The text of the file; the same for the same content. */
export function schemasFileText({ prefix, subjects }: ExportedSchemas): string {
  const told = { format: FORMAT, formatVersion: FORMAT_VERSION, prefix, subjects }
  return `${JSON.stringify({ ...told, digest: digestOf(told) }, null, 2)}\n`
}

/**
 * Reads what an export has written.
 * @returns null where there is no such file
 * @throws {SluiceError} CONFIG_INVALID when it can't be read, is something else, or has been edited
 */
export async function readSchemasFile(path: string): Promise<ExportedSchemas | null> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return null
    throw wrong(path, cause instanceof SyntaxError ? 'is not JSON' : 'can not be read', { cause })
  }
  const head = header.safeParse(json)
  if (!head.success) throw wrong(path, `is no export of schemas: expected "format": "${FORMAT}"`)
  const { formatVersion } = head.data
  if (formatVersion !== FORMAT_VERSION) {
    throw wrong(path, `has the format version ${formatVersion}, and this \`sluice\` knows ${FORMAT_VERSION}`)
  }
  const parsed = wholeFile.safeParse(json)
  if (!parsed.success) throw wrong(path, `is not as an export writes it: ${z.prettifyError(parsed.error)}`)
  const { digest, ...told } = parsed.data
  if (digest !== digestOf(told)) throw wrong(path, 'was edited or damaged: its digest is that of another content')
  return { prefix: told.prefix, subjects: told.subjects }
}

function wrong(path: string, how: string, options?: ErrorOptions): SluiceError {
  return new SluiceError('CONFIG_INVALID', `${path} ${how}; take a file that \`sluice schemas export\` wrote`, options)
}

function digestOf(told: unknown): string {
  return createHash('sha256').update(canonicalJson(told)).digest('hex')
}
