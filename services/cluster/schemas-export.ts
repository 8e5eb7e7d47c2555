import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { subjectOf, topics } from '../domain/topics.ts'
import type { Settings } from '../platform/settings.ts'
import { parsedAnswer, versionsOf, versionsPath } from './registry-answer.ts'
import type { SchemaTold } from './schema-way.ts'
import { compatibilityAnswer, type ExportedSchema, type ExportedSchemas, type ExportedSubject } from './schemas-file.ts'

const reference = z.object({ name: z.string(), subject: z.string(), version: z.number().int() })

// By default it is Avro and refers to nothing.
const schemaAnswer = z.object({
  schema: z.string(),
  schemaType: z.enum(['AVRO', 'JSON', 'PROTOBUF']).default('AVRO'),
  references: z
    .array(reference)
    .nullish()
    .transform((told) => told ?? []),
})
const versionAnswer = schemaAnswer.extend({ id: z.number().int() })

/**
 * Every version of every subject of ours, whoever registered it, and of the subjects that they refer to.
 * @throws {SluiceError} REGISTRY_UNREACHABLE, also when it has none of them; CONFIG_INVALID when it refuses
 */
export async function exportSchemas(settings: Settings): Promise<ExportedSchemas> {
  const wanted = new Set(topics.map((topic) => subjectOf(settings.prefix, topic)))
  const subjects: ExportedSubject[] = []
  // A set hands out what is added while one walks along it.
  for (const subject of wanted) {
    const found = await readSubject(settings, subject)
    for (const { references } of found.versions) for (const each of references) wanted.add(each.subject)
    if (found.versions.length > 0) subjects.push(found)
  }
  if (subjects.length === 0) {
    throw new SluiceError(
      'REGISTRY_UNREACHABLE',
      `the schema registry has no subject of ours, ${subjectOf(settings.prefix, 'crawl.items')} and so on: nothing to export. Has it lost its storage? \`sluice schemas restore\` with an older export`,
    )
  }
  return { prefix: settings.prefix, subjects: subjects.toSorted((a, b) => (a.subject < b.subject ? -1 : 1)) }
}

/** What the registry has of a subject; no versions where it does not have it. */
export async function readSubject(settings: Settings, subject: string): Promise<ExportedSubject> {
  const versions: ExportedSchema[] = []
  for (const version of (await versionsOf(settings, subject)).toSorted((a, b) => a - b)) {
    const told = await readVersion(settings, subject, version)
    // Deleted since it was listed.
    if (told === null) continue
    // The number by which it is asked for: Apicurio tells another one where versions before it were deleted.
    const { id, schemaType, schema, references } = told
    versions.push({ id, version, schemaType, schema, references })
  }
  const config = await parsedAnswer(settings, { path: `config/${encodeURIComponent(subject)}` }, compatibilityAnswer)
  return { subject, compatibility: config?.compatibilityLevel ?? null, versions }
}

function readVersion(
  settings: Settings,
  subject: string,
  version: number,
): Promise<z.infer<typeof versionAnswer> | null> {
  return parsedAnswer(settings, { path: `${versionsPath(subject)}/${version}` }, versionAnswer)
}

/** The id that a version of a subject has; null where there is no such version. */
export async function idOfVersion(settings: Settings, subject: string, version: number): Promise<number | null> {
  return (await readVersion(settings, subject, version))?.id ?? null
}

/** The schema that has an id, whatever its subject; null where none has. */
export function readSchema(settings: Settings, id: number): Promise<SchemaTold | null> {
  return parsedAnswer(settings, { path: `schemas/ids/${id}` }, schemaAnswer)
}
