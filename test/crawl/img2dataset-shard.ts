import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { parquetWriteFile } from 'hyparquet-writer'
import { pack } from 'tar-stream'
import type { Found, Importer } from '../../services/crawl/importer.ts'

/** A row as img2dataset writes it, to Parquet and as JSON beside the picture. */
export type ShardRow = Record<string, unknown>

/** A row of a picture that was downloaded; the first shard holds rows 0 to 9999. */
export function successRow(at: number, more: ShardRow = {}): ShardRow {
  return {
    url: `https://example.org/${at}.jpg`,
    caption: `caption ${at}`,
    key: String(at).padStart(9, '0'),
    status: 'success',
    error_message: null,
    width: 256,
    height: 256,
    original_width: 640,
    original_height: 480,
    exif: '{}',
    sha256: String(at).padStart(64, 'a'),
    ...more,
  }
}

/** Files of a sample: name to content. */
export type Members = Readonly<Record<string, string>>

/** The files of a row's sample. */
export function sampleOf(row: ShardRow, json = JSON.stringify(row, null, 4)): Members {
  const key = String(row.key)
  return { [`${key}.jpg`]: `bytes of ${key}`, [`${key}.json`]: json, [`${key}.txt`]: String(row.caption ?? '') }
}

/** A tar as webdataset's writer makes it. */
export async function tarOf(members: Members): Promise<Buffer> {
  const tar = pack()
  for (const [name, content] of Object.entries(members))
    tar.entry({ name, mtime: new Date(1_767_225_600_000) }, content)
  tar.finalize()
  return await buffer(tar)
}

/** Writes rows to Parquet, in row groups of two. Whole numbers become int32, as the tool has them. */
export async function writeParquet(filename: string, rows: readonly ShardRow[]): Promise<void> {
  const names = Object.keys(rows[0] ?? {})
  await parquetWriteFile({
    filename,
    rowGroupSize: 2,
    columnData: names.map((name) => {
      const data = rows.map((row) => row[name] ?? null)
      return data.some((value) => typeof value === 'number')
        ? { name, data, type: 'INT32' }
        : { name, data, type: 'STRING' }
    }),
  })
}

export const stats = (successes: number): string =>
  JSON.stringify({
    count: successes,
    successes,
    start_time: 1_767_225_600.25,
    end_time: 1_767_225_660.5,
    status_dict: {},
  })

/** Writes a shard in the format webdataset: a tar, its Parquet and its statistics. */
export async function writeShard(
  folder: string,
  name: string,
  rows: readonly ShardRow[],
  members: Members,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${name}.tar`), await tarOf(members))
  await writeParquet(join(folder, `${name}.parquet`), rows)
  await writeFile(join(folder, `${name}_stats.json`), stats(rows.filter(({ status }) => status === 'success').length))
}

/** Everything that an importer finds, part after part. */
export async function everything(
  importer: Importer,
  sources: readonly string[],
  options: Readonly<Record<string, unknown>> = {},
): Promise<Found[]> {
  const defaults = importer.options().map((option) => [option.attributeName(), option.defaultValue])
  const all: Found[] = []
  const given = { ...Object.fromEntries(defaults.filter(([, value]) => value !== undefined)), ...options }
  for await (const part of importer.parts(sources, given)) for await (const one of part.read()) all.push(one)
  return all
}

/** What was found, in words: the payload of an item, what is bad and where, or why it was left out. */
export function inWords(found: readonly Found[]): string[] {
  return found.map((one) => {
    if (one.kind === 'item') return Buffer.from(one.collected.payload).toString()
    return one.kind === 'bad' ? `${one.file} | ${one.field} | ${one.expected}` : `left out: ${one.reason}`
  })
}
