import { z } from 'zod'
import { emptyEnvelope } from '../domain/envelope.ts'
import { envelopeGroups, LARGEST_LONG, optional, unknownFields } from '../domain/envelope-json.ts'
import { SluiceError } from '../domain/errors.ts'
import { exactNumber } from '../domain/json-text.ts'
import type { Envelope, ItemGroup } from '../domain/records.ts'

/* Stricter than the schema of the door, where the gate checks what is claimed: what a person has written is told to them while they are there. */
const count = optional(z.int().min(0).max(LARGEST_LONG))
const hex = (digits: number) =>
  optional(z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `expected ${digits} lower-case hex digits`))

const { item, payload, acquisition, origin, supply, rights, synthetic, liveness } = envelopeGroups
/** The groups of the envelope that a file may tell of, by name. */
export const groups = {
  item: item.omit({ id: true }),
  payload: payload.omit({ reference: true }).extend({ size: count, md5: hex(32), sha1: hex(40), sha256: hex(64) }),
  acquisition: acquisition.extend({
    warcOffset: count,
    fetchedMd5: hex(32),
    fetchedSha1: hex(40),
    fetchedSha256: hex(64),
  }),
  origin,
  supply: supply.extend({ row: count }),
  rights,
  synthetic,
  liveness,
}
const sidecar = z.object({
  item: optional(groups.item),
  payload: optional(groups.payload),
  acquisition: optional(groups.acquisition),
  origin: optional(groups.origin),
  supply: optional(groups.supply),
  rights: optional(groups.rights),
  synthetic: optional(groups.synthetic),
  liveness: optional(groups.liveness),
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
  return envelopeFromGroups(id, parseObject(json), JSON.parse(json, exactNumber))
}

/**
 * The envelope of groups that are told as objects; else as `envelopeFromSidecar`.
 * @param exact the same, where unknown fields would else lose digits
 * @throws {SidecarError} code SIDECAR_INVALID
 */
export function envelopeFromGroups(
  id: string,
  raw: Readonly<Record<string, unknown>>,
  exact: unknown = raw,
): Envelope & { item: ItemGroup } {
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
    extra: { ...unknownFields(sidecar, exact), ...extra },
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
