import type { Policy } from '../domain/judge/policy.ts'
import { lacks } from '../domain/judge/provenance.ts'
import type { Envelope } from '../domain/records.ts'
import { visible } from '../platform/visible.ts'

/** What a supplier has not told of one item, named as the supplier knows it. It is sent to the supplier, so it never says what the gate found. */
export type Gap = {
  shard: string | null
  row: number | null
  itemId: string
  /** facts without which policy holds an item */
  required: string[]
  /** further facts that policy counts, or may require some day */
  wanted: string[]
}

const columns = ['shard', 'row', 'itemId', 'required', 'wanted'] as const satisfies ReadonlyArray<keyof Gap>
export const gapsHeader = columns.join(',')

/** @returns null where the item lacks nothing, or has no id by which it could be named */
export function gapOf(envelope: Envelope, policy: Pick<Policy, 'provenance'>): Gap | null {
  const { item, supply } = envelope
  const lacking = lacks(envelope, policy.provenance)
  if (item === null || lacking.length === 0) return null
  const factsOf = (isRequired: boolean): string[] =>
    lacking.filter(({ mode }) => (mode === 'enforce') === isRequired).map(({ fact }) => fact)
  return {
    shard: supply?.shard ?? null,
    row: supply?.row ?? null,
    itemId: item.id,
    required: factsOf(true),
    wanted: factsOf(false),
  }
}

/** A line of CSV under {@link gapsHeader}. */
export function gapLine(gap: Gap): string {
  return columns.map((column) => cellOf(gap[column])).join(',')
}

function cellOf(value: Gap[keyof Gap]): string {
  const text = visible(Array.isArray(value) ? value.join(' ') : String(value ?? ''))
  // What a spreadsheet would take for a formula becomes a text; an item id can be none.
  const safe = /^[=+@]|^-.*[^\w.-]/.test(text) ? `'${text}` : text
  return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
