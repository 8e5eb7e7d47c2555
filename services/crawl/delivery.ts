import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename, isAbsolute, join, posix } from 'node:path'
import { Option } from 'commander'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { supplyKinds } from '../domain/judge/provenance.ts'
import type { Envelope } from '../domain/records.ts'
import { fileStatus, isInBucket, nameBelow } from '../platform/files/files.ts'
import { visible } from '../platform/visible.ts'
import type { Found, Importer } from './importer.ts'
import { LONGEST_PAYLOAD, leadsToFileInside, readWhole } from './payload-file.ts'
import { unreadable } from './read-failure.ts'
import { SidecarError } from './sidecar.ts'
import {
  type ColumnMap,
  type Defaults,
  envelopeFromRow,
  readTableOptions,
  tableOptions,
  withOwnNames,
} from './tables/column-map.ts'
import { type Manifest, type ManifestRow, openManifest, placeOf } from './tables/manifest.ts'
import type { Row } from './tables/row.ts'

/** `sluice crawl delivery DIR --manifest FILE`: files that somebody has supplied, with a table of what is known about them. */
export const deliveryImporter: Importer = {
  name: 'delivery',
  summary: 'publish the files of a delivery, as its manifest tells of them',
  description:
    'Publishes the files below DIR that the rows of a manifest name: CSV with a header line, JSON lines or Parquet, told apart by .csv, .jsonl or .parquet.\n' +
    'A column that is called like a field of the envelope (acquisition.requestedUrl) tells it; --map says so of others; all that is left is kept in the\n' +
    'envelope as manifest.COLUMN. What the options say holds for every row that does not say otherwise. Times are ISO 8601 with their offset, or\n' +
    'milliseconds or microseconds since the epoch. Digests of the files (payload.sha256) are claims, which the gate checks.',
  argument: 'DIR',
  argumentMeaning: 'folder of the files; also s3://BUCKET/PREFIX, and so the manifest',
  options: () => [
    new Option('--manifest <file>', 'table with a row for each file').makeOptionMandatory(),
    new Option('--kind <kind>', `how the items were come by: ${supplyKinds.join(', ')}`),
    ...tableOptions(),
    new Option('--contract <id>', 'contract under which they were supplied'),
    new Option('--licence <id>', 'licence under which they may be used'),
    new Option('--generator <name>', 'what generated them'),
    new Option('--file-column <name>', 'column with the path of the file below DIR').default('file'),
  ],
  example:
    'sluice crawl delivery ./acme --manifest acme.csv --kind licensed --supplier Acme --contract A-7 --map page=origin.pageUrl',
  // Only its manifest makes a folder a delivery, and that is named by an option.
  recognises: () => Promise.resolve(false),
  async *parts([folder = ''], options) {
    const delivery = await openDelivery(folder, options)
    const identity = (await fileStatus(delivery.path))?.identity ?? null
    yield { name: delivery.path, identity, size: null, read: () => readDelivery(delivery) }
  },
}

type Delivery = {
  /** real path of the folder */
  root: string
  /** of the manifest */
  path: string
  manifest: Manifest
  fileColumn: string
  map: ColumnMap
  defaults: Defaults
}

const told = z.string().optional()
const known = z.object({
  manifest: told,
  contract: told,
  licence: told,
  generator: told,
  fileColumn: z.string().default('file'),
})

/** @throws {SluiceError} USAGE */
async function openDelivery(folder: string, options: Readonly<Record<string, unknown>>): Promise<Delivery> {
  const table = readTableOptions(options)
  const { manifest: path, contract = null, licence = null, generator = null, fileColumn } = known.parse(options)
  if (path === undefined) throw new SluiceError('USAGE', 'no manifest is named: name it with --manifest FILE')
  const root = isInBucket(folder) ? folder : await realpath(folder).catch(() => null)
  const found = root === null ? null : await fileStatus(root)
  if (root === null || found === null)
    throw new SluiceError('USAGE', `there is no folder ${folder}: name one that exists`)
  if (found.kind !== 'folder')
    throw new SluiceError('USAGE', `${folder} is no folder: name the folder that the manifest's files are below`)
  const manifest = await openManifest(path).catch((cause: unknown) => {
    throw cause instanceof SidecarError ? new SluiceError('USAGE', `${path}: ${cause.expected}`, { cause }) : cause
  })
  if (manifest.columns !== null) checkColumns(path, manifest.columns, [fileColumn, ...table.map.values()])
  const map = withOwnNames(table.map, manifest.columns ?? [])
  if (table.defaults['supply.kind'] === null && !map.has('supply.kind'))
    throw new SluiceError(
      'USAGE',
      `nothing tells how the items were come by: name --kind, one of ${supplyKinds.join(', ')}`,
    )
  const defaults: Defaults = {
    ...table.defaults,
    'supply.contract': contract,
    'supply.shard': basename(path),
    'rights.licence': licence,
    'synthetic.generator': generator,
  }
  return { root, path, manifest, fileColumn, map, defaults }
}

function checkColumns(path: string, columns: readonly string[], wanted: readonly string[]): void {
  const missing = wanted.find((column) => !columns.includes(column))
  if (missing === undefined) return
  const sentence = `${path} has no column ${missing}: name one of ${columns.join(', ')}`
  throw new SluiceError('USAGE', visible(sentence))
}

async function* readDelivery(delivery: Delivery): AsyncGenerator<Found> {
  try {
    for await (const one of delivery.manifest.rows()) yield await readRow(delivery, one)
  } catch (error) {
    // A row that is bad is told as one; this is what became of the manifest.
    throw error instanceof SidecarError ? unreadable(delivery.path, error) : error
  }
}

async function readRow(delivery: Delivery, one: ManifestRow): Promise<Found> {
  const place = placeOf(basename(delivery.path), one)
  if ('expected' in one)
    return { kind: 'bad', file: place, field: '', expected: one.expected, standsFor: one.rows ?? 1 }
  try {
    return { kind: 'item', collected: await collect(delivery, one.row, one.at) }
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error
    return { kind: 'bad', file: place, field: error.field, expected: error.expected }
  }
}

/** @throws {SidecarError} */
async function collect(delivery: Delivery, row: Row, at: number): Promise<{ envelope: Envelope; payload: Uint8Array }> {
  const { root, path, fileColumn, map, defaults, manifest } = delivery
  const file = row.get(fileColumn)
  const columns = manifest.columns === null ? withOwnNames(map, row.keys()) : map
  const around = { map: columns, defaults: { ...defaults, 'supply.row': at }, prefix: 'manifest' }
  const payload = await readFileBelow(root, file, fileColumn)
  const envelope = envelopeFromRow('', row, around)
  const id = deliveryItemId(envelope, basename(path), String(file), payload)
  return { envelope: { ...envelope, item: { ...envelope.item, id } }, payload }
}

async function readFileBelow(root: string, file: unknown, column: string): Promise<Buffer> {
  const expect = (expected: string): never => {
    throw new SidecarError(column, expected)
  }
  if (typeof file !== 'string' || file === '') return expect('expected the path of a file below the folder')
  const path = isAbsolute(file) ? null : await fileInside(root, file)
  if (path === null) return expect('expected a file that is there, below the folder and not led out of it by links')
  const payload = await readWhole(path, LONGEST_PAYLOAD)
  if (typeof payload === 'string') return expect(payload)
  return payload.length === 0 ? expect('expected a file that is not empty') : payload
}

/** The name of a file below the folder, without links on the way; null where it leads elsewhere, or nowhere. */
async function fileInside(root: string, file: string): Promise<string | null> {
  if (!isInBucket(root)) {
    const path = join(root, file)
    return (await leadsToFileInside(root, path)) ? await realpath(path) : null
  }
  // A key may hold dots and slashes that mean nothing to a bucket; whoever wrote the manifest meant a folder.
  const inner = posix.normalize(file)
  if (inner.split('/').includes('..')) return null
  const path = nameBelow(root, inner)
  return (await fileStatus(path))?.kind === 'file' ? path : null
}

/**
 * The item id of a row: made of who supplied it, under which contract, in which dataset and version, of the manifest's name, the file's path and its
 * bytes, so that importing twice gives the same, in whatever order the rows are.
 */
function deliveryItemId({ supply }: Envelope, manifest: string, file: string, payload: Uint8Array): string {
  const { supplier = null, contract = null, dataset = null, version = null } = supply ?? {}
  const sha256 = createHash('sha256').update(payload).digest('hex')
  const source = JSON.stringify(['delivery', supplier, contract, dataset, version, manifest, file, sha256])
  return `delivery-${createHash('sha256').update(source).digest('hex').slice(0, 40)}`
}
