import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { envelopeGroups } from '../../domain/envelope-json.ts'
import type { Amendment, Envelope } from '../../domain/records.ts'
import { SidecarError } from '../sidecar.ts'

/**
 * The envelope with facts added to it. What it tells already is never overwritten.
 * @param fields dotted field to value, each of its type
 * @param amendment who adds them, when, from where and to what
 * @returns null where it tells all of it already
 * @throws {SidecarError} naming the field that tells something else, or that its group lacks; no values
 */
export function amended(
  envelope: Envelope,
  fields: ReadonlyMap<string, unknown>,
  amendment: Omit<Amendment, 'fields'>,
): Envelope | null {
  const added = new Map<string, Record<string, unknown>>()
  for (const [path, value] of fields) {
    const [group = '', field = ''] = path.split('.')
    // Decoded records have prototypes of their own, which would count.
    const present: unknown = Reflect.get(Object(Reflect.get(envelope, group)), field)
    if (isDeepStrictEqual(structuredClone(present), value)) continue
    if (isTold(present)) throw new SidecarError(path, 'expected a field that is not told yet: nothing is overwritten')
    added.set(group, { ...added.get(group), [field]: value })
  }
  if (added.size === 0) return null
  return {
    ...envelope,
    item: merged('item', envelopeGroups.item, envelope.item, added),
    acquisition: merged('acquisition', envelopeGroups.acquisition, envelope.acquisition, added),
    origin: merged('origin', envelopeGroups.origin, envelope.origin, added),
    supply: merged('supply', envelopeGroups.supply, envelope.supply, added),
    rights: merged('rights', envelopeGroups.rights, envelope.rights, added),
    synthetic: merged('synthetic', envelopeGroups.synthetic, envelope.synthetic, added),
    liveness: merged('liveness', envelopeGroups.liveness, envelope.liveness, added),
    amendments: [
      ...envelope.amendments,
      {
        fields: [...added].flatMap(([group, values]) => Object.keys(values).map((field) => `${group}.${field}`)),
        ...amendment,
      },
    ],
  }
}

/** By the door's own types: what the crawler told need not be as strict as what a person adds. */
function merged<Value extends object>(
  name: string,
  type: z.ZodType<Value>,
  group: Value | null,
  added: ReadonlyMap<string, Record<string, unknown>>,
): Value | null {
  const values = added.get(name)
  if (values === undefined) return group
  const parsed = type.safeParse({ ...structuredClone(group), ...values })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new SidecarError([name, ...(issue?.path ?? [])].join('.'), issue?.message ?? 'expected another value')
}

function isTold(value: unknown): boolean {
  if (typeof value === 'string') return value.trim() !== ''
  return Array.isArray(value) ? value.length > 0 : value !== null && value !== undefined
}
