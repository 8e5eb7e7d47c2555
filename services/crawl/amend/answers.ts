import { type NamedCoordinates, parseCoordinates } from '../../domain/coordinates.ts'
import { isItemId } from '../../domain/envelope.ts'
import { SluiceError } from '../../domain/errors.ts'
import { SidecarError } from '../sidecar.ts'
import { envelopeFields, fieldValue } from '../tables/envelope-fields.ts'
import { type Manifest, type ManifestRow, openManifest } from '../tables/manifest.ts'

/** Where a row stands: counted from 0, and in a file of lines the line where it ends, from 1. */
type Place = Pick<ManifestRow, 'at' | 'line'>
/** The facts that a row of a manifest adds to one item: dotted field of the envelope to its value. */
export type Answer = Place & {
  item: { id: string } | { coordinates: NamedCoordinates }
  fields: ReadonlyMap<string, unknown>
}
/** A row that can't be used: which field (empty: all of it), and what was expected instead. */
export type BadRow = Place & { field: string; expected: string }

const naming = ['itemId', 'coordinates']
/** Columns of the list of gaps that a supplier was sent: the answer may have them still. */
const passedOver = ['shard', 'row', 'required', 'wanted']

/** What is known of a payload is the gate's, and the id is what the row is about. */
function canBeAdded(field: string): boolean {
  return envelopeFields.has(field) && !field.startsWith('payload.')
}

/**
 * Reads a manifest. `itemId` or `coordinates` names the item, every other column is a field of the envelope; an empty cell, or null, tells
 * nothing.
 * @throws {SluiceError} USAGE when it can't be read, or has a column that is no field
 */
export async function* readManifest(file: string): AsyncGenerator<Answer | BadRow> {
  try {
    const manifest = await openManifest(file)
    checkColumns(manifest, file)
    for await (const one of manifest.rows()) {
      if ('expected' in one) yield { at: one.at, line: one.line, field: '', expected: one.expected }
      else yield answerOf(one, [...one.row])
    }
  } catch (cause) {
    if (!(cause instanceof SidecarError)) throw cause
    throw new SluiceError('USAGE', `${file}: ${cause.expected}`, { cause })
  }
}

function checkColumns({ columns }: Manifest, file: string): void {
  if (columns === null) return
  const wrong = columns.find((name) => !naming.includes(name) && !passedOver.includes(name) && !canBeAdded(name))
  if (wrong !== undefined) {
    const sentence = `${file}: ${JSON.stringify(wrong)} is no field of the envelope that can be added`
    throw new SluiceError('USAGE', `${sentence}; expected dotted names like acquisition.requestedUrl`)
  }
  if (!columns.some((name) => naming.includes(name)))
    throw new SluiceError('USAGE', `${file}: expected a column itemId or coordinates`)
}

function answerOf({ at, line }: Place, cells: ReadonlyArray<readonly [string, unknown]>): Answer | BadRow {
  const told = cells.filter(([, value]) => value !== '' && value !== null && value !== undefined)
  const item = itemOf(new Map(told))
  if (item === null) {
    const expected = 'expected either itemId, [A-Za-z0-9._-]{1,64}, or coordinates, TOPIC/PARTITION/OFFSET'
    return { at, line, field: '', expected }
  }
  const fields = new Map<string, unknown>()
  for (const [name, value] of told) {
    if (naming.includes(name) || passedOver.includes(name)) continue
    if (!canBeAdded(name))
      return { at, line, field: name, expected: 'expected a field of the envelope that can be added' }
    try {
      fields.set(name, fieldValue(name, value))
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      return { at, line, field: name, expected: error.expected }
    }
  }
  return fields.size === 0
    ? { at, line, field: '', expected: 'expected at least one field' }
    : { at, line, item, fields }
}

function itemOf(told: ReadonlyMap<string, unknown>): Answer['item'] | null {
  const [id, named] = naming.map((name) => told.get(name))
  if (typeof id === 'string' && named === undefined) return isItemId(id) ? { id } : null
  const coordinates = typeof named === 'string' && id === undefined ? parseCoordinates(named) : null
  return coordinates === null ? null : { coordinates }
}
