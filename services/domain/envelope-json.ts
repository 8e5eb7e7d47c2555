import { z } from 'zod'
import type {
  AcquisitionGroup,
  Amendment,
  CrawlItem,
  Envelope,
  ItemGroup,
  LivenessGroup,
  OriginGroup,
  PayloadGroup,
  RightsGroup,
  SupplyGroup,
  SyntheticGroup,
} from './records.ts'

/*
 * The envelope as JSON: the groups of the schema `envelope`, each field of its type there, what is left out null. Sidecar files tell
 * it, and messages of crawlers that write no Avro.
 */

/** Beyond it, either way, the Avro library reads and writes whole numbers with another value, negative ones even with another sign. */
export const LARGEST_LONG = 2 ** 52 - 1

/** What may be left out, or be null. */
export const optional = <Kind extends z.ZodType>(kind: Kind) => kind.nullable().default(null)
const text = optional(z.string())
const long = z.int().min(-LARGEST_LONG).max(LARGEST_LONG)
const wholeNumber = optional(long)
const milliseconds = optional(
  z.int({ error: 'expected a whole number: milliseconds since the epoch, UTC' }).min(-LARGEST_LONG).max(LARGEST_LONG),
)
const header = z.strictObject({ name: z.string(), value: z.string() })
const amendment: z.ZodType<Amendment> = z.strictObject({
  fields: z.array(z.string()),
  source: z.string(),
  addedBy: z.string(),
  addedAt: long,
  original: z.string(),
})

/** The fields of a group; one that its type has and this lacks does not compile. */
type Fields<Value> = { [Field in keyof Value]: z.ZodType<Value[Field]> }
const group =
  <Value>() =>
  <Known extends Fields<Value>>(fields: Known) =>
    z.object(fields)

/** Every group, each an object of its fields. */
export const envelopeGroups = {
  item: group<ItemGroup>()({ id: z.string(), mediaTypeClaimed: text, collectedAt: milliseconds }),
  payload: group<PayloadGroup>()({ reference: text, size: wholeNumber, md5: text, sha1: text, sha256: text }),
  acquisition: group<AcquisitionGroup>()({
    crawler: text,
    run: text,
    requestedUrl: text,
    finalUrl: text,
    redirects: z.array(z.string()).default([]),
    status: optional(z.int32()),
    responseHeaders: z.array(header).default([]),
    remoteAddress: text,
    fetchedAt: milliseconds,
    fetchedMd5: text,
    fetchedSha1: text,
    fetchedSha256: text,
    warcFile: text,
    warcOffset: wholeNumber,
    warcRecordId: text,
    truncated: text,
  }),
  origin: group<OriginGroup>()({
    pageUrl: text,
    pageTitle: text,
    caption: text,
    uploaderId: text,
    uploaderHandle: text,
    uploaderProfileUrl: text,
    uploadedAtClaimed: milliseconds,
    platform: text,
  }),
  supply: group<SupplyGroup>()({
    kind: z.string(),
    supplier: text,
    contract: text,
    dataset: text,
    version: text,
    shard: text,
    row: wholeNumber,
  }),
  rights: group<RightsGroup>()({ licence: text, robots: text, tdmOptOut: text }),
  synthetic: group<SyntheticGroup>()({ generator: text, digitalSourceType: text }),
  liveness: group<LivenessGroup>()({ lastSeenAt: milliseconds, status: text }),
}

const { item, payload, acquisition, origin, supply, rights, synthetic, liveness } = envelopeGroups
const envelope = group<Envelope>()({
  item: optional(item),
  payload: optional(payload),
  acquisition: optional(acquisition),
  origin: optional(origin),
  supply: optional(supply),
  rights: optional(rights),
  synthetic: optional(synthetic),
  liveness: optional(liveness),
  amendments: z.array(amendment).default([]),
  extra: z.record(z.string(), z.string()).default({}),
})

/** A message of the door as JSON; the payload in base64. `schemas/crawl-item.schema.json` is made from this. */
export const crawlItemJson = group<Omit<CrawlItem, 'inline'> & { inline: string | null }>()({
  envelope,
  inline: optional(z.string().meta({ contentEncoding: 'base64' })),
})

/**
 * The fields of a JSON value that a schema does not have: dotted path to JSON text. Looked for in objects and the groups in them.
 * @param value what the schema has taken
 */
export function unknownFields(schema: z.ZodType, value: unknown): Record<string, string> {
  return Object.fromEntries(findUnknown(schema, value, ''))
}

function* findUnknown(schema: z.ZodType, value: unknown, path: string): Generator<[string, string]> {
  const object = objectOf(schema)
  if (object === null || typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    const known = Object.hasOwn(object.shape, name) ? object.shape[name] : undefined
    if (known === undefined) yield [path + name, JSON.stringify(inner)]
    else yield* findUnknown(known, inner, `${path}${name}.`)
  }
}

/** The object that a schema is, or that may be left out or null. */
function objectOf(schema: z.ZodType): z.ZodObject<Record<string, z.ZodType>> | null {
  if (schema instanceof z.ZodObject) return schema as z.ZodObject<Record<string, z.ZodType>>
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) return objectOf(schema.unwrap() as z.ZodType)
  return null
}
