import { Option } from 'commander'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { supplyKinds } from '../../domain/judge/provenance.ts'
import { visible } from '../../platform/visible.ts'
import { envelopeFromGroups } from '../sidecar.ts'
import { envelopeFields, fieldValue } from './envelope-fields.ts'
import { jsonText, type Row } from './row.ts'

/** Which column of a table tells a field of the envelope: dotted path to column. */
export type ColumnMap = ReadonlyMap<string, string>

/** What holds for all rows of a source: dotted path of a field to its value; null where nothing is said. */
export type Defaults = Readonly<Record<string, string | number | null>>

/** `--supplier`, `--dataset`, `--dataset-version` and `--map`: options of importers that read tables. */
export function tableOptions(): Option[] {
  return [
    new Option('--supplier <name>', 'who supplied the items'),
    new Option('--dataset <name>', 'dataset that they came in'),
    new Option('--dataset-version <version>', 'version of that dataset'),
    new Option(
      '--map <COLUMN=FIELD>',
      'field of the envelope that a column tells, e.g. --map page=origin.pageUrl; again for further ones',
    )
      .argParser((word: string, before: string[]) => [...before, word])
      .default([], 'none'),
  ]
}

const told = z.string().optional()
const known = z.object({
  supplier: told,
  dataset: told,
  datasetVersion: told,
  kind: told,
  map: z.array(z.string()).default([]),
})

/**
 * What `tableOptions` and `--kind` say.
 * @throws {SluiceError} USAGE for an unknown kind, an unknown field, or a field that is named twice
 */
export function readTableOptions(options: Readonly<Record<string, unknown>>): { map: ColumnMap; defaults: Defaults } {
  const { supplier = null, dataset = null, datasetVersion = null, kind = null, map } = known.parse(options)
  if (kind !== null && !supplyKinds.some((each) => each === kind))
    throw new SluiceError(
      'USAGE',
      `--kind ${visible(kind)} is no kind of supply: name one of ${supplyKinds.join(', ')}`,
    )
  return {
    map: readMap(map),
    defaults: {
      'supply.kind': kind,
      'supply.supplier': supplier,
      'supply.dataset': dataset,
      'supply.version': datasetVersion,
    },
  }
}

function readMap(words: readonly string[]): ColumnMap {
  const map = new Map<string, string>()
  for (const word of words) {
    const at = word.lastIndexOf('=')
    const [column, field] = [word.slice(0, at), word.slice(at + 1)]
    if (at < 1) throw new SluiceError('USAGE', `--map ${visible(word)}: expected COLUMN=FIELD`)
    if (!envelopeFields.has(field)) {
      const names = [...envelopeFields.keys()].join(', ')
      throw new SluiceError(
        'USAGE',
        `--map ${visible(word)}: there is no field ${visible(field)}; name one of ${names}`,
      )
    }
    if (map.has(field))
      throw new SluiceError('USAGE', `--map ${visible(word)}: another column tells ${field} already; keep one of them`)
    map.set(field, column)
  }
  return map
}

/** The map with the columns that are called like a field: they tell it where no other column does. */
export function withOwnNames(map: ColumnMap, columns: Iterable<string>): ColumnMap {
  const own = [...columns].filter((column) => envelopeFields.has(column)).map((column) => [column, column] as const)
  return new Map([...own, ...map])
}

/**
 * The envelope of a row. What a mapped column tells goes into its field, before any default; every other column goes into `extra`, as JSON text under
 * its name behind the prefix, and so does a mapped one that tells nothing (null, NaN, empty text), or a time in other words than the envelope's.
 * @throws {SidecarError} for a value of another type than its field
 */
export function envelopeFromRow(
  id: string,
  row: Row,
  { map, defaults, prefix }: { map: ColumnMap; defaults: Defaults; prefix: string },
): ReturnType<typeof envelopeFromGroups> {
  const fields = new Map<string, unknown>(Object.entries(defaults).filter(([, value]) => value !== null))
  const kept = new Set<string>()
  for (const [field, column] of map) {
    const value = row.get(column)
    if (tellsNothing(value)) continue
    const converted = fieldValue(field, value)
    fields.set(field, converted)
    if (envelopeFields.get(field) !== 'time' || isThat(value, converted)) kept.add(column)
  }
  const rest = [...row].filter(([column]) => !kept.has(column))
  const groups: Record<string, Record<string, unknown>> = {}
  for (const [path, value] of fields) {
    const [group = '', field = ''] = path.split('.')
    groups[group] = { ...groups[group], [field]: value }
  }
  const extra = Object.fromEntries(rest.map(([column, value]) => [`${prefix}.${column}`, jsonText(value)]))
  return envelopeFromGroups(id, { ...groups, extra })
}

function tellsNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || Number.isNaN(value)
}

/** A time that is told in other words may say more: its offset, or finer digits. */
function isThat(value: unknown, time: unknown): boolean {
  return typeof value !== 'string' && Number(value) === time
}
