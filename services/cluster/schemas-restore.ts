import { canonicalJson } from '../domain/canonical-json.ts'
import { SluiceError } from '../domain/errors.ts'
import type { Settings } from '../platform/settings.ts'
import { answerOf } from './registry-answer.ts'
import type { MissingSchema, SchemaTold, SchemaWay } from './schema-way.ts'
import { apicurioWay } from './schemas-by-apicurio.ts'
import { modeWay } from './schemas-by-mode.ts'
import { readSubject } from './schemas-export.ts'
import type { Compatibility, ExportedSchema, ExportedSchemas } from './schemas-file.ts'

/** What a registry and an export have in common. */
type Comparison = {
  missing: MissingSchema[]
  /** compatibility of subjects that the registry has otherwise */
  unset: Map<string, Compatibility>
  /** subjects with something missing whose own compatibility may refuse it */
  guarded: Map<string, Compatibility>
  /** sentences' ends with `it` for the registry */
  conflicts: string[]
}

/** How many versions and settings of compatibility were there already, and how many came. */
export type Restored = { subjects: number; versions: number; restored: number; compatibilities: number }

/**
 * Gives a registry that has lost them the schemas of an export, under the ids that they had. What is there already is left;
 * where anything is there that does not agree, nothing is written. Killed in the middle, it goes on when it is called again.
 * @throws {SluiceError} SCHEMA_IDS_CHANGED when the registry has something else there; CONFIG_INVALID when it is for another
 * prefix, or the registry refuses or can not take ids; REGISTRY_UNREACHABLE
 */
export async function restoreSchemas(settings: Settings, wanted: ExportedSchemas): Promise<Restored> {
  if (wanted.prefix !== settings.prefix) {
    const told = `the export is of the prefix "${wanted.prefix}", and SLUICE_PREFIX is "${settings.prefix}"`
    throw new SluiceError('CONFIG_INVALID', `${told}: set it to that of the export`)
  }
  const way = (await apicurioWay(settings)) ?? (await modeWay(settings))
  if (way === null) {
    throw new SluiceError(
      'CONFIG_INVALID',
      'the schema registry lets nobody say which ids schemas get: expected Apicurio (SLUICE_REGISTRY ends with /apis/ccompat/v7) or one that knows the mode IMPORT',
    )
  }
  const { missing, unset, guarded, conflicts } = await compareSchemas(settings, wanted)
  const [first, ...more] = [...conflicts, ...(await takenIds(way, missing)), ...(await way.objections(missing))]
  if (first !== undefined) {
    const others = more.length === 0 ? '' : ` (and ${more.length} more such)`
    throw new SluiceError(
      'SCHEMA_IDS_CHANGED',
      `the schema registry can not be restored: ${first}${others}. Nothing was written; empty the registry, or name an empty one by SLUICE_REGISTRY, and restore again`,
    )
  }
  // What was registered once is registered again, also where its subject was not as strict then.
  for (const subject of guarded.keys()) await setCompatibility(settings, subject, 'NONE')
  const ordered = inOrder(missing)
  const ids = await way.write(ordered).catch((cause: unknown) => {
    if (!(cause instanceof SluiceError)) throw cause
    const advice = 'The restore is not complete; what was written is right. Once that is mended, restore again'
    throw new SluiceError(cause.code, `${cause.message}. ${advice}`, { cause })
  })
  const wrong = ordered.find(({ id }, index) => ids[index] !== id)
  if (wrong !== undefined) {
    throw new SluiceError(
      'SCHEMA_IDS_CHANGED',
      `the schema registry gave version ${wrong.version} of ${wrong.subject} another id than the ${wrong.id} of the export: somebody else registered meanwhile. Keep gates and crawlers off it, empty it, and restore again`,
    )
  }
  await way.finish?.(wanted.subjects.map(({ subject }) => subject))
  for (const [subject, compatibility] of new Map([...guarded, ...unset])) {
    await setCompatibility(settings, subject, compatibility)
  }
  return {
    subjects: wanted.subjects.length,
    versions: wanted.subjects.reduce((sum, { versions }) => sum + versions.length, 0),
    restored: missing.length,
    compatibilities: unset.size,
  }
}

/**
 * Holds an export against a registry.
 * @throws {SluiceError} REGISTRY_UNREACHABLE; CONFIG_INVALID when it refuses
 */
export async function compareSchemas(settings: Settings, wanted: ExportedSchemas): Promise<Comparison> {
  const missing: MissingSchema[] = []
  const unset = new Map<string, Compatibility>()
  const guarded = new Map<string, Compatibility>()
  const conflicts: string[] = []
  for (const { subject: name, versions, compatibility } of wanted.subjects) {
    const found = await readSubject(settings, name)
    const lacking: ExportedSchema[] = []
    for (const version of versions) {
      const there = found.versions.find((each) => each.version === version.version)
      if (there === undefined) lacking.push(version)
      else if (there.id !== version.id) {
        conflicts.push(`it has version ${version.version} of ${name} under the id ${there.id}, not ${version.id}`)
      } else if (!isSame(there, version)) {
        conflicts.push(`it has another schema as version ${version.version} of ${name}, with the same id ${version.id}`)
      }
    }
    const strange = found.versions.find(({ version }) => !versions.some((each) => each.version === version))
    if (lacking.length > 0 && strange !== undefined) {
      conflicts.push(`it has a version ${strange.version} of ${name} that the export does not have, and lacks others`)
    }
    missing.push(...lacking.map((version) => ({ ...version, subject: name })))
    const before = found.compatibility
    if (compatibility !== null && before !== compatibility) unset.set(name, compatibility)
    if (lacking.length > 0 && found.versions.length > 0 && before !== null) guarded.set(name, before)
  }
  return { missing, unset, guarded, conflicts }
}

async function setCompatibility(settings: Settings, subject: string, compatibility: Compatibility): Promise<void> {
  await answerOf(settings, { method: 'PUT', path: `config/${encodeURIComponent(subject)}`, body: { compatibility } })
}

/** @returns sentences' ends with `it` for the registry */
async function takenIds(way: SchemaWay, missing: readonly MissingSchema[]): Promise<string[]> {
  const taken: string[] = []
  for (const each of missing) {
    const there = await way.schemaOf(each.id)
    // Where it is the very same, another subject has it, or a restore was cut short.
    if (there === null || isSame(there, each)) continue
    taken.push(`it has another schema under the id ${each.id}, that of version ${each.version} of ${each.subject}`)
  }
  return taken
}

/** Whether two schemas are the same; registries may write the JSON of one in another way. */
function isSame(one: SchemaTold, other: SchemaTold): boolean {
  const [a, b] = [one, other].map(({ schemaType, schema, references }) => {
    const named = references.map(({ name, subject, version }) => ({ name, subject, version }))
    const sorted = named.toSorted((x, y) => (x.name < y.name ? -1 : 1))
    return canonicalJson({ schemaType, schema: parsed(schema), references: sorted })
  })
  return a === b
}

function parsed(schema: string): unknown {
  try {
    return JSON.parse(schema)
  } catch {
    return schema
  }
}

/** Each version behind those that it refers to, and behind the earlier ones of its subject. */
function inOrder(missing: readonly MissingSchema[]): MissingSchema[] {
  const ordered = new Set<MissingSchema>()
  const begun = new Set<MissingSchema>()
  const find = (subject: string, version: number): MissingSchema | undefined =>
    missing.find((each) => each.subject === subject && each.version === version)

  function place(each: MissingSchema): void {
    if (begun.has(each)) return
    begun.add(each)
    const earlier = missing.filter(({ subject, version }) => subject === each.subject && version < each.version)
    for (const before of earlier) place(before)
    for (const { subject, version } of each.references) {
      const referred = find(subject, version)
      if (referred !== undefined) place(referred)
    }
    ordered.add(each)
  }

  for (const each of missing) place(each)
  return [...ordered]
}
