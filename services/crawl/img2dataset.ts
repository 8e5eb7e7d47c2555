import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename } from 'node:path'
import { Option } from 'commander'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { supplyKinds } from '../domain/judge/provenance.ts'
import type { FileStatus } from '../platform/files/file.ts'
import { fileStatus, isInBucket, nameBelow, namesIn } from '../platform/files/files.ts'
import type { Found, Importer, Part } from './importer.ts'
import { LONGEST_PAYLOAD, leadsToFileInside, readAtMost, readWhole } from './payload-file.ts'
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
import { openParquet, UnansweredError } from './tables/parquet.ts'
import { jsonText, type Row, rowFromJson, textOf } from './tables/row.ts'
import { readTar } from './tar.ts'

const LONGEST_METADATA = 1024 * 1024
/** The keys of a shard's rows are held in memory. */
const MOST_ROWS = 1_000_000

/** What the tool encodes pictures as, by extension. It may lie: originals keep the extension too. */
const pictures: Readonly<Record<string, string>> = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
}

/** What its columns tell. The digests are of the bytes that it downloaded; what it stores is another picture, as a rule. */
const ownColumns: ColumnMap = new Map([
  ['acquisition.requestedUrl', 'url'],
  ['acquisition.fetchedSha256', 'sha256'],
  ['acquisition.fetchedMd5', 'md5'],
  ['origin.caption', 'caption'],
])

/** `sluice crawl img2dataset SHARDS...`: what img2dataset has written. */
export const img2datasetImporter: Importer = {
  name: 'img2dataset',
  summary: 'publish what img2dataset has downloaded',
  description:
    'Publishes the pictures that img2dataset has written, in its output formats webdataset (00000.tar) and files (00000/), with what 00000.parquet and\n' +
    '00000_stats.json beside them tell. Rows that came to nothing are left out and counted by their status. The digests of the tool are of the bytes that\n' +
    'it downloaded, so they are not compared with what it stored. It writes no time of download: the end of the shard stands for it.\n' +
    'Columns that are not mapped are kept in the envelope as img2dataset.COLUMN.',
  argument: 'SHARDS...',
  argumentMeaning: 'output folder, or single .tar files in it; also s3://BUCKET/PREFIX',
  options: () => [
    ...tableOptions(),
    new Option('--kind <kind>', `how the pictures were come by: ${supplyKinds.join(', ')}`).default('web-crawl'),
  ],
  example: 'sluice crawl img2dataset ./laion --dataset laion-art --map uploader=origin.uploaderHandle',
  recognises: async (path) => {
    const names = await namesIn(path).catch(() => [])
    return names.some((name) => /^\d+(\.tar|\.parquet|_stats\.json)$/.test(name))
  },
  async *parts(sources, options) {
    const table = readTableOptions(options)
    for (const source of sources) {
      for (const shard of await shardsOf(source)) yield await partOf(shard, table)
    }
  },
}

type Table = { map: ColumnMap; defaults: Defaults }

/** The files of a shard, each null where there is none. */
type Shard = {
  /** e.g. 00000 */
  name: string
  folder: string
  tar: string | null
  /** of the output format files */
  pictures: string | null
  parquet: string | null
  stats: string | null
}

/** @throws {SluiceError} USAGE */
async function shardsOf(source: string): Promise<Shard[]> {
  const found = await fileStatus(source)
  if (found === null)
    throw new SluiceError('USAGE', `there is no ${source}: name an output folder of img2dataset, or a .tar in it`)
  if (found.kind === 'folder') {
    const entries = await namesIn(source).catch((cause: unknown) => {
      if (cause instanceof SluiceError) throw cause
      throw new SluiceError('USAGE', `${source} can't be read: name a folder that you may read`, { cause })
    })
    const names = new Set(entries.flatMap((name) => /^(\d+)(?:\.tar|\.parquet|_stats\.json)?$/.exec(name)?.[1] ?? []))
    if (names.size === 0)
      throw new SluiceError('USAGE', `${source} holds no shards: expected 00000.tar or 00000/ and 00000.parquet in it`)
    return await Promise.all([...names].sort().map((name) => shardOf(source, name)))
  }
  if (!source.endsWith('.tar'))
    throw new SluiceError('USAGE', `${source} is no shard: name an output folder of img2dataset, or a .tar in it`)
  return [await shardOf(source.slice(0, -basename(source).length) || '.', basename(source, '.tar'))]
}

async function shardOf(folder: string, name: string): Promise<Shard> {
  const only = async (path: string, kind: FileStatus['kind']): Promise<string | null> =>
    (await fileStatus(path))?.kind === kind ? path : null
  return {
    name,
    folder,
    tar: await only(nameBelow(folder, `${name}.tar`), 'file'),
    pictures: await only(nameBelow(folder, name), 'folder'),
    parquet: await only(nameBelow(folder, `${name}.parquet`), 'file'),
    stats: await only(nameBelow(folder, `${name}_stats.json`), 'file'),
  }
}

async function partOf(shard: Shard, table: Table): Promise<Part> {
  const paths = [shard.tar, shard.pictures, shard.parquet, shard.stats]
  const states = await Promise.all(paths.map((path) => (path === null ? null : fileStatus(path))))
  const identity = states.map((state) => (state === null ? '' : state.identity)).join(' ')
  // Of a folder of pictures the size says nothing.
  const size = shard.tar === null ? null : (states[0]?.size ?? null)
  return { name: nameBelow(shard.folder, shard.name), identity, size, read: () => readShard(shard, table) }
}

async function* readShard(shard: Shard, table: Table): AsyncGenerator<Found> {
  const bad = (file: string, expected: string, field = ''): Found => ({ kind: 'bad', file, field, expected })
  const stats = shard.stats === null ? null : await readStats(shard.stats)
  if (typeof stats === 'string') yield bad(`${shard.name}_stats.json`, stats)
  const told = stats === null || typeof stats === 'string' ? null : stats

  const parquet = `${shard.name}.parquet`
  const rows = shard.parquet === null ? null : await openRows(shard.parquet)
  if (typeof rows === 'string') yield bad(parquet, rows)
  const known = rows === null || typeof rows === 'string' ? null : rows
  for (const status of known?.failed ?? []) yield { kind: 'left-out', reason: `status ${status}` }
  for (const { row, field, expected } of known?.bad ?? []) yield bad(`${parquet}, row ${row}`, expected, field)

  let samples = 0
  for await (const sample of samplesOf(shard)) {
    if ('kind' in sample) {
      yield sample
      continue
    }
    samples++
    const { place, key } = sample
    const at = known?.places.get(key) ?? null
    known?.places.delete(key)
    try {
      if (known !== null && at === null)
        throw new SidecarError(
          'key',
          `expected a row of this key and status success in ${parquet}, one for each sample`,
        )
      const row = at === null || known === null ? null : await known.row(at)
      yield { kind: 'item', collected: collect({ shard, sample, row, at, stats: told, table }) }
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      yield bad(place, error.expected, error.field)
    }
  }
  for (const [key, at] of known?.places ?? [])
    yield bad(`${parquet}, row ${at}, sample ${key}`, 'expected a picture of it, as the row says success')
  if (known === null && told !== null && told.successes !== samples)
    yield bad(`${shard.name}_stats.json`, `expected ${told.successes} samples, as it says; there are ${samples}`)
}

const shardStats = z.looseObject({
  successes: z.int().min(0),
  start_time: z.number().positive(),
  end_time: z.number().positive(),
})
type Stats = z.infer<typeof shardStats>

/** @returns what was expected, when it tells nothing usable. @throws {SluiceError} when it can't be read */
async function readStats(path: string): Promise<Stats | string> {
  const text = await readAtMost(path, LONGEST_METADATA).catch((cause: unknown) => {
    throw cause instanceof SluiceError ? cause : unreadable(path, cause)
  })
  if (typeof text === 'string') return text
  try {
    return shardStats.parse(JSON.parse(text.toString()))
  } catch {
    return 'expected the JSON object that img2dataset writes, with successes, start_time and end_time'
  }
}

type Rows = {
  /** row of each key that was a success */
  places: Map<string, number>
  /** status of each row that was none */
  failed: string[]
  bad: { row: number; field: string; expected: string }[]
  /** @throws {SidecarError} */
  row(at: number): Promise<Row>
}

/**
 * @returns what was expected, when the file tells nothing usable: then what lies beside the pictures has to do
 * @throws {SluiceError} when it can't be read, or perhaps not in this moment
 */
async function openRows(path: string): Promise<Rows | string> {
  const rows: Omit<Rows, 'row'> = { places: new Map(), failed: [], bad: [] }
  try {
    const parquet = await openParquet(path)
    const missing = ['key', 'url', 'status'].filter((column) => !parquet.columns.includes(column))
    if (missing.length > 0)
      throw new SidecarError('', `expected the columns key, url and status; ${missing.join(', ')} is missing`)
    if ((parquet.groups.at(-1)?.end ?? 0) > MOST_ROWS) throw new SidecarError('', `expected at most ${MOST_ROWS} rows`)
    for (const [group, { start, end }] of parquet.groups.entries()) {
      const rowAt = await parquet.read(group, ['key', 'status'])
      for (let row = start; row < end; row++) sortRow(rows, row, rowAt(row))
    }
    return { ...rows, row: createRowReader(parquet) }
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error
    if (!(error.cause instanceof UnansweredError)) return error.expected
    const sentence = `${path} was not decoded in time: call this again; or move it away, for the JSON beside the pictures tells as well`
    throw new SluiceError('USAGE', sentence, { cause: error })
  }
}

function sortRow({ places, failed, bad }: Omit<Rows, 'row'>, at: number, row: Row): void {
  const [key, status] = [row.get('key'), row.get('status')]
  if (status === 'failed_to_download' || status === 'failed_to_resize') failed.push(status)
  else if (status !== 'success')
    bad.push({ row: at, field: 'status', expected: 'expected success, failed_to_download or failed_to_resize' })
  else if (typeof key !== 'string') bad.push({ row: at, field: 'key', expected: 'expected text' })
  else if (places.has(key)) bad.push({ row: at, field: 'key', expected: 'expected every key once' })
  else places.set(key, at)
}

/** Pictures and rows are written in one order, so that one row group in memory serves them. */
function createRowReader(parquet: Awaited<ReturnType<typeof openParquet>>): Rows['row'] {
  let held: { start: number; end: number; rowAt: Promise<(at: number) => Row> } | null = null
  return async (at) => {
    if (held === null || at < held.start || at >= held.end) {
      const group = parquet.groups.findIndex(({ end }) => at < end)
      const { start = 0, end = 0 } = parquet.groups[group] ?? {}
      held = { start, end, rowAt: parquet.read(group) }
      // It is told to everyone who asks for a row of the group.
      held.rowAt.catch(() => undefined)
    }
    return (await held.rowAt)(at)
  }
}

/** What belongs to one key, as it lies in the tar or the folder. */
type Sample = {
  key: string
  /** for messages */
  place: string
  picture: Buffer | null
  extension: string
  json: Buffer | null
  caption: Buffer | null
  /** when the tar says that it was written */
  writtenAt: Date | null
  /** what was expected instead of something in it; null when all is well */
  wrong: string | null
}

type Member = { name: string; place: string; writtenAt: Date | null; content: Buffer | string }

async function* samplesOf(shard: Shard): AsyncGenerator<Sample | Found> {
  let sample: Sample | null = null
  try {
    for await (const member of membersOf(shard)) {
      const [key = '', extension = ''] = splitName(member.name)
      if (!isKnown(extension)) {
        yield { kind: 'left-out', reason: 'file that is no picture, caption or metadata' }
        continue
      }
      if (sample !== null && sample.key !== key) {
        yield sample
        sample = null
      }
      sample = add(sample ?? emptySample(key, member), extension, member)
    }
    if (sample !== null) yield sample
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error
    // Only a caption may be missing, which the metadata tells as well.
    if (sample !== null && sample.picture !== null && sample.json !== null) yield sample
    yield { kind: 'bad', file: `${shard.name}.tar`, field: '', expected: error.expected }
  }
}

async function* membersOf({ name: shard, tar, pictures }: Shard): AsyncGenerator<Member> {
  if (tar === null && pictures === null)
    throw new SidecarError('', `expected pictures in it, or in ${shard}/: the formats webdataset and files are read`)
  if (tar !== null) {
    const limitOf = (name: string) => (isPicture(splitName(name)[1]) ? LONGEST_PAYLOAD : LONGEST_METADATA)
    for await (const { name, offset, changedAt, content } of readTar(tar, limitOf)) {
      const place = `${shard}.tar, sample ${splitName(name)[0]} (byte ${offset})`
      yield { name, place, writtenAt: changedAt, content }
    }
  }
  if (pictures !== null) {
    const { root, names } = await listed(pictures)
    for (const name of names) {
      const path = nameBelow(root, name)
      const limit = isPicture(splitName(name)[1]) ? LONGEST_PAYLOAD : LONGEST_METADATA
      const inside = await leadsToFileInside(root, path)
      const content = inside ? await readWhole(path, limit) : 'expected a file in this folder'
      yield { name, place: `${shard}/${splitName(name)[0]}`, writtenAt: null, content }
    }
  }
}

/** @throws {SluiceError} */
async function listed(folder: string): Promise<{ root: string; names: string[] }> {
  try {
    return { root: isInBucket(folder) ? folder : await realpath(folder), names: (await namesIn(folder)).sort() }
  } catch (cause) {
    throw cause instanceof SluiceError ? cause : unreadable(folder, cause)
  }
}

/** Key and extension: the extension begins at the first dot of the name. */
function splitName(path: string): [string, string] {
  const at = path.indexOf('.', path.lastIndexOf('/') + 1)
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1).toLowerCase()]
}

function isPicture(extension: string): boolean {
  return Object.hasOwn(pictures, extension)
}

function isKnown(extension: string): boolean {
  return isPicture(extension) || extension === 'json' || extension === 'txt'
}

function emptySample(key: string, { place }: Member): Sample {
  return { key, place, picture: null, extension: '', json: null, caption: null, writtenAt: null, wrong: null }
}

function add(sample: Sample, extension: string, { content, writtenAt }: Member): Sample {
  const slot = isPicture(extension) ? 'picture' : extension === 'json' ? 'json' : 'caption'
  if (typeof content === 'string') return { ...sample, wrong: sample.wrong ?? `${extension}: ${content}` }
  if (sample[slot] !== null) return { ...sample, wrong: sample.wrong ?? `${extension}: expected one ${slot} for a key` }
  return { ...sample, [slot]: content, ...(slot === 'picture' ? { extension, writtenAt } : {}) }
}

type Known = { shard: Shard; sample: Sample; row: Row | null; at: number | null; stats: Stats | null; table: Table }

/** @throws {SidecarError} */
function collect({ shard, sample, row, at, stats, table }: Known): Extract<Found, { kind: 'item' }>['collected'] {
  const { key, picture, json, wrong } = sample
  if (wrong !== null) throw new SidecarError('', wrong)
  if (picture === null) throw new SidecarError('', 'expected a picture of this key')
  const beside = json === null ? null : rowFromText(json)
  if (beside === null && row === null) throw new SidecarError('', 'expected metadata: JSON of this key, or a row')
  const columns = withCaption(merge(key, beside, row), sample.caption)
  const fetchedAt = stats === null ? null : Math.round(stats.end_time * 1000)
  const map = new Map([...ownColumns, ...withOwnNames(table.map, columns.keys())])
  const defaults: Defaults = {
    ...table.defaults,
    'item.mediaTypeClaimed': pictures[sample.extension] ?? null,
    'item.collectedAt': fetchedAt,
    'acquisition.crawler': 'img2dataset',
    'acquisition.status': 200,
    'acquisition.fetchedAt': fetchedAt,
    'liveness.lastSeenAt': fetchedAt,
    'liveness.status': fetchedAt === null ? null : 'online',
    'supply.shard': shard.name,
    'supply.row': rowInShard(shard.name, key) ?? at,
  }
  const around = new Map<string, unknown>([
    ...(sample.writtenAt === null ? [] : [['tar.mtime', sample.writtenAt] as const]),
    ...(stats === null
      ? []
      : (['start_time', 'end_time'] as const).map((name) => [`stats.${name}`, stats[name]] as const)),
    ...columns,
  ])
  const id = img2datasetItemId(shard.name, key, columns)
  return { envelope: envelopeFromRow(id, around, { map, defaults, prefix: 'img2dataset' }), payload: picture }
}

function rowFromText(json: Buffer): Row {
  const text = textOf(json)
  if (text === null) throw new SidecarError('json', 'expected JSON in UTF-8')
  try {
    return rowFromJson(text)
  } catch (error) {
    throw error instanceof SidecarError ? new SidecarError('json', error.expected, { cause: error }) : error
  }
}

/** The row, whose values have their types, with what only the JSON tells; where they differ both are kept, but for what says whose they are. */
function merge(key: string, beside: Row | null, row: Row | null): Map<string, unknown> {
  const columns = new Map(row ?? beside ?? [])
  if (columns.has('key') && columns.get('key') !== key) throw new SidecarError('key', 'expected the key of the sample')
  if (row === null || beside === null) return columns
  for (const [column, value] of beside) {
    if (!row.has(column)) columns.set(column, value)
    else if (jsonText(value) === jsonText(row.get(column))) continue
    else if (column === 'key' || column === 'url')
      throw new SidecarError(column, 'expected the same in the JSON and in the row')
    else columns.set(`json.${column}`, value)
  }
  return columns
}

/** A caption that stands only in its file, or otherwise there. */
function withCaption(columns: Map<string, unknown>, file: Buffer | null): Map<string, unknown> {
  if (file === null || file.length === 0) return columns
  const [text, told] = [textOf(file) ?? file, columns.get('caption')]
  if (text === told || text === String(told)) return columns
  return columns.set(told === null || told === undefined ? 'caption' : 'txt', text)
}

/** A key is the shard's number and the row's; null for a key of another making. */
function rowInShard(shard: string, key: string): number | null {
  const row = key.startsWith(shard) ? key.slice(shard.length) : ''
  return /^\d{1,15}$/.test(row) ? Number(row) : null
}

/** The item id of a sample: made of its shard, key, URL and the digest of what was downloaded, so that importing twice gives the same. */
function img2datasetItemId(shard: string, key: string, row: Row): string {
  const digest = ['sha256', 'sha512', 'md5'].map((column) => row.get(column)).find((value) => typeof value === 'string')
  const source = JSON.stringify(['img2dataset', shard, key, String(row.get('url') ?? ''), String(digest ?? '')])
  return `img2dataset-${createHash('sha256').update(source).digest('hex').slice(0, 40)}`
}
