import { createHash } from 'node:crypto'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import type { Settings } from '../platform/settings.ts'
import { answerOf, parsedAnswer } from './registry-answer.ts'
import type { MissingSchema, SchemaTold, SchemaWay } from './schema-way.ts'
import { idOfVersion, readSchema } from './schemas-export.ts'
import { storedZip } from './stored-zip.ts'

const GROUP = 'groups/default/artifacts'
const LEGACY_IDS = 'apicurio.ccompat.legacy-id-mode.enabled'
const json = 'application/json'
const contentTypes = { AVRO: json, JSON: json, PROTOBUF: 'application/x-protobuf' } as const

const infoAnswer = z.object({ version: z.string() })
const propertiesAnswer = z.array(z.object({ name: z.string(), value: z.string() }))
const foundAnswer = z.object({ versions: z.array(z.object({ contentId: z.number().int() })) })
const madeAnswer = z.object({ version: z.object({ contentId: z.number().int() }) })

/**
 * Ids by Apicurio's own API (tried with 3.0.9), whose Confluent-compatible one has no mode IMPORT and takes no notice of an id
 * that is asked for. What records bear as id is a content's there: contents are imported, which also has the ids of new
 * ones begin above them, and then the versions are registered and find their content by its bytes. An import is one
 * transaction.
 * @returns null where the registry is no Apicurio
 */
export async function apicurioWay(settings: Settings): Promise<SchemaWay | null> {
  const api = settings.registry.replace(/\/apis\/ccompat\/v\d+\/?$/, '/apis/registry/v3')
  if (api === settings.registry) return null
  const info = await parsedAnswer(settings, { api, path: 'system/info' }, infoAnswer)
  if (info === null) return null

  async function idOfText({ schema }: MissingSchema): Promise<number | null> {
    // The question is nothing but the bytes, and the media type what it takes them for.
    const body = Buffer.from(schema)
    const question = { method: 'POST', api, path: 'search/versions', body, mediaType: json } as const
    return (await parsedAnswer(settings, question, foundAnswer))?.versions[0]?.contentId ?? null
  }

  async function schemaOf(id: number): Promise<SchemaTold | null> {
    try {
      return await readSchema(settings, id)
    } catch (error) {
      // A restore that was cut short leaves contents without a version, and Apicurio can't tell the type of one that refers
      // to others then. Imported once more, it is left as it is.
      if (error instanceof SluiceError && error.code === 'CONFIG_INVALID') return null
      throw error
    }
  }

  return {
    schemaOf,

    async objections(missing) {
      const properties = await parsedAnswer(settings, { api, path: 'admin/config/properties' }, propertiesAnswer)
      if (properties?.some(({ name, value }) => name === LEGACY_IDS && value === 'true')) {
        return [`it is set to give each version an id of its own (${LEGACY_IDS}): set that to false`]
      }
      const found: string[] = []
      const told = new Map<string, number>()
      for (const each of missing) {
        if (each.references.length > 0) continue
        const id = told.get(each.schema) ?? (await idOfText(each))
        told.set(each.schema, each.id)
        if (id === null || id === each.id) continue
        found.push(`the schema of version ${each.version} of ${each.subject} has the id ${id} there, not ${each.id}`)
      }
      return found
    },

    async write(missing) {
      if (missing.length === 0) return []
      // What is there already is left as it is.
      const zip = { path: 'admin/import?requireEmptyRegistry=false', body: importFile(missing, info.version) }
      await answerOf(settings, { method: 'POST', api, ...zip, mediaType: 'application/zip' })
      for (const { id, references } of missing) {
        // Of what it could not import it tells its log alone, and then would give other ids.
        if (references.length > 0 || (await schemaOf(id)) !== null) continue
        throw new SluiceError('REGISTRY_UNREACHABLE', `the schema registry did not import the schema with the id ${id}`)
      }
      const ids: number[] = []
      for (const { subject, version, schemaType, schema, references } of missing) {
        const content = {
          content: schema,
          contentType: contentTypes[schemaType],
          references: references.map((each) => ({
            groupId: null,
            artifactId: each.subject,
            version: String(each.version),
            name: each.name,
          })),
        }
        const body = {
          artifactId: subject,
          artifactType: schemaType,
          firstVersion: { version: String(version), content },
        }
        const path = `${GROUP}?ifExists=CREATE_VERSION`
        const question = { method: 'POST', api, path, body, mediaType: json, mayBeThere: true } as const
        const made = await parsedAnswer(settings, question, madeAnswer)
        // The last request of a restore that was killed may have been carried out only now.
        ids.push(made?.version.contentId ?? (await idOfVersion(settings, subject, version)) ?? -1)
      }
      return ids
    },
  }
}

/** What `admin/import` takes: a manifest, and each content once, as a description and its bytes. */
function importFile(missing: readonly MissingSchema[], systemVersion: string): Buffer {
  const manifest = { systemVersion, systemName: 'sluice', exportVersion: '3.0', exportedOn: 0, exportedBy: '' }
  const files = new Map<string, Uint8Array>([['sluice.Manifest.json', Buffer.from(JSON.stringify(manifest))]])
  for (const { id, schemaType, schema, references } of missing) {
    const serialized = references.map(({ name, subject, version }) => ({
      groupId: null,
      artifactId: subject,
      version: String(version),
      name,
    }))
    const serializedReferences = serialized.length === 0 ? null : JSON.stringify(serialized)
    const contentHash = createHash('sha256')
      .update(schema)
      .update(serializedReferences ?? '')
      .digest('hex')
    const description = {
      contentId: id,
      contentHash,
      // Worked out there where it is null, which asks for what is referred to; that is not there yet.
      canonicalHash: serializedReferences === null ? null : contentHash,
      artifactType: schemaType,
      contentType: contentTypes[schemaType],
      serializedReferences,
    }
    files.set(`content/${id}.Content.json`, Buffer.from(JSON.stringify(description)))
    files.set(`content/${id}.Content.data`, Buffer.from(schema))
  }
  return storedZip(files)
}
