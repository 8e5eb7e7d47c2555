import { z } from 'zod'
import { emptyEnvelope } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import type {
  AcquisitionGroup,
  Envelope,
  ItemGroup,
  LivenessGroup,
  OriginGroup,
  PayloadGroup,
  RightsGroup,
  SupplyGroup,
  SyntheticGroup,
} from '../domain/records.ts'
import { LARGEST_LONG } from '../platform/avro.ts'

const optional = <Kind extends z.ZodType>(kind: Kind) => kind.nullable().default(null)
const text = optional(z.string())
const wholeNumber = optional(z.int().min(0).max(LARGEST_LONG))
const milliseconds = optional(
  z.int({ error: 'expected a whole number: milliseconds since the epoch, UTC' }).min(-LARGEST_LONG).max(LARGEST_LONG),
)
const hex = (digits: number) =>
  optional(z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `expected ${digits} lower-case hex digits`))
const header = z.strictObject({ name: z.string(), value: z.string() })

/** One group of the envelope; a field that its type has and this lacks does not compile. */
type Group<Value> = z.ZodObject<{ [Field in keyof Value]: z.ZodType<Value[Field]> }>

const item: Group<Omit<ItemGroup, 'id'>> = z.object({ mediaTypeClaimed: text, collectedAt: milliseconds })
const payload: Group<Omit<PayloadGroup, 'reference'>> = z.object({
  size: wholeNumber,
  md5: hex(32),
  sha1: hex(40),
  sha256: hex(64),
})
const acquisition: Group<AcquisitionGroup> = z.object({
  crawler: text,
  run: text,
  requestedUrl: text,
  finalUrl: text,
  redirects: z.array(z.string()).default([]),
  status: optional(z.int32()),
  responseHeaders: z.array(header).default([]),
  remoteAddress: text,
  fetchedAt: milliseconds,
  fetchedMd5: hex(32),
  fetchedSha1: hex(40),
  fetchedSha256: hex(64),
  warcFile: text,
  warcOffset: wholeNumber,
  warcRecordId: text,
  truncated: text,
})
const origin: Group<OriginGroup> = z.object({
  pageUrl: text,
  pageTitle: text,
  caption: text,
  uploaderId: text,
  uploaderHandle: text,
  uploaderProfileUrl: text,
  uploadedAtClaimed: milliseconds,
  platform: text,
})
const supply: Group<SupplyGroup> = z.object({
  kind: z.string(),
  supplier: text,
  contract: text,
  dataset: text,
  version: text,
  shard: text,
  row: wholeNumber,
})
const rights: Group<RightsGroup> = z.object({ licence: text, robots: text, tdmOptOut: text })
const synthetic: Group<SyntheticGroup> = z.object({ generator: text, digitalSourceType: text })
const liveness: Group<LivenessGroup> = z.object({ lastSeenAt: milliseconds, status: text })

const groups = { item, payload, acquisition, origin, supply, rights, synthetic, liveness }
const sidecar = z.object({
  item: optional(item),
  payload: optional(payload),
  acquisition: optional(acquisition),
  origin: optional(origin),
  supply: optional(supply),
  rights: optional(rights),
  synthetic: optional(synthetic),
  liveness: optional(liveness),
  extra: optional(z.record(z.string(), z.string())),
})
const anyObject = z.record(z.string(), z.unknown())

/** What is wrong with a sidecar: the dotted path of the field (empty for the file as a whole) and what was expected there. */
export class SidecarError extends SluiceError {
  readonly field: string
  readonly expected: string

  constructor(field: string, expected: string, options?: ErrorOptions) {
    super('SIDECAR_INVALID', field === '' ? expected : `${field}: ${expected}`, options)
    this.field = field
    this.expected = expected
  }
}

/**
 * The envelope that a sidecar tells: a JSON object of groups as in the schema `envelope`, each with any of its fields; what it
 * does not tell is null. Fields that the schema does not know go into `extra`, as dotted path to JSON text. Not told here:
 * the item's id and how the payload travels.
 * @param id item id
 * @param json the sidecar's text; null where there is none
 * @throws {SidecarError} code SIDECAR_INVALID
 */
export function envelopeFromSidecar(id: string, json: string | null): Envelope {
  if (json === null) return { ...emptyEnvelope(), item: { id, mediaTypeClaimed: null, collectedAt: null } }
  return envelopeFromGroups(id, parseObject(json))
}

/**
 * The envelope of groups that are told as objects; else as `envelopeFromSidecar`.
 * @throws {SidecarError} code SIDECAR_INVALID
 */
export function envelopeFromGroups(id: string, raw: Readonly<Record<string, unknown>>): Envelope & { item: ItemGroup } {
  const parsed = sidecar.safeParse(raw)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new SidecarError(issue?.path.join('.') ?? '', issue?.message ?? 'expected an envelope')
  }
  const { item: told, payload: claims, extra, ...known } = parsed.data
  return {
    ...known,
    amendments: [],
    item: { mediaTypeClaimed: null, collectedAt: null, ...told, id },
    payload: claims === null ? null : { ...claims, reference: null },
    extra: { ...unknownFields(raw), ...extra },
  }
}

function parseObject(json: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw new SidecarError('', 'expected JSON', { cause })
  }
  const object = anyObject.safeParse(value)
  if (!object.success) throw new SidecarError('', 'expected a JSON object of envelope groups')
  return object.data
}

function unknownFields(raw: Readonly<Record<string, unknown>>): Record<string, string> {
  const shapes = new Map<string, object>(Object.entries(groups).map(([name, { shape }]) => [name, shape]))
  const found: [string, string][] = []
  for (const [name, value] of Object.entries(raw)) {
    const shape = shapes.get(name)
    if (shape === undefined) {
      if (name !== 'extra') found.push([name, JSON.stringify(value)])
      continue
    }
    for (const [field, inner] of Object.entries(value ?? {})) {
      if (!Object.hasOwn(shape, field)) found.push([`${name}.${field}`, JSON.stringify(inner)])
    }
  }
  return Object.fromEntries(found)
}
