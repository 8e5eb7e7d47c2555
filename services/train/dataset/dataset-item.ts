import { hash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../../domain/canonical-json.ts'
import { coordinatesText } from '../../domain/coordinates.ts'
import type { CleanItem, Coordinates, TrainingView } from '../../domain/records.ts'

const text = z.string().nullable()
const itemSchema = z.strictObject({
  id: z.string(),
  sha256: z.string(),
  size: z.int().nonnegative(),
  mediaType: z.string(),
  input: z.strictObject({ cluster: z.string(), topic: z.string(), partition: z.int(), offset: z.int() }),
  training: z.strictObject({
    collectedAt: z.int().nullable(),
    caption: text,
    supplyKind: text,
    supplier: text,
    dataset: text,
    datasetVersion: text,
    licence: text,
    robots: text,
    tdmOptOut: text,
    generator: text,
    digitalSourceType: text,
  } satisfies Record<keyof TrainingView, z.ZodType>),
})

/** The names of the training view, as they stand in an item's JSON and on the manifest. */
export const trainingNames = Object.keys(itemSchema.shape.training.shape) as ReadonlyArray<keyof TrainingView>

/**
 * What names an item in a shard: without dots, as WebDataset takes what follows the first one for the extension, and one for each record of the
 * door.
 * @returns 32 hex digits
 */
export function keyOf(input: Coordinates): string {
  return hash('sha256', coordinatesText(input)).slice(0, 32)
}

/** The one JSON text of an item in a shard: all that the clean topic has of it, less the receipt, which stands beside it. */
export function itemText({ id, input, payload, training }: CleanItem): string {
  return canonicalJson({
    id,
    sha256: payload.reference,
    size: payload.size,
    mediaType: payload.mediaType,
    input,
    training,
  })
}

/** The item of such a text, and of the receipt beside it. null where it is none, or written otherwise than {@link itemText} does. */
export function parseItem(json: string, receipt: string): CleanItem | null {
  let found: unknown
  try {
    found = JSON.parse(json)
  } catch {
    return null
  }
  const parsed = itemSchema.safeParse(found)
  if (!parsed.success) return null
  const { id, sha256, size, mediaType, input, training } = parsed.data
  const item = { input, id, payload: { reference: sha256, size, mediaType }, training, receipt }
  return itemText(item) === json ? item : null
}
