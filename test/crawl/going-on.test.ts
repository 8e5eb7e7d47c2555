import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parquetWriteFile } from 'hyparquet-writer'
import type { Checkpoint } from '../../services/crawl/checkpoint.ts'
import { deliveryImporter } from '../../services/crawl/delivery.ts'
import { img2datasetImporter } from '../../services/crawl/img2dataset.ts'
import { publishAll } from '../../services/crawl/import.ts'
import { type ImportCounts, noCounts } from '../../services/crawl/import-counts.ts'
import { createImportProgress } from '../../services/crawl/import-progress.ts'
import type { Found, Part } from '../../services/crawl/importer.ts'
import type { Publisher } from '../../services/crawl/producer.ts'
import { envelopeFromSidecar } from '../../services/crawl/sidecar.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { sampleOf, successRow, writeShard } from './img2dataset-shard.ts'

let root = ''
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-going-on-'))
})
after(() => rm(root, { recursive: true, force: true }))

/** Goes on with a part of which so many things are done. @returns the payloads that are published, in their order */
async function goOn(part: Part, done: number, counts: ImportCounts = noCounts()): Promise<string[]> {
  const published: string[] = []
  const publisher: Publisher = {
    publish({ payload }) {
      published.push(Buffer.from(payload).toString())
      return Promise.resolve({ carriage: 'inline', written: Promise.resolve({ partition: 0, offset: 0 }) })
    },
    publishReferring: () => assert.fail('nothing lies in a store'),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const checkpoint: Checkpoint = {
    before: null,
    isLost: false,
    foundIn: () => done,
    save: () => Promise.resolve(),
    wrote: () => undefined,
    remove: () => Promise.resolve(),
  }
  await publishAll({ all: true }, [part], publisher, checkpoint, counts, createImportProgress([part]))
  return published
}

const pictures = ['0.jpg', '1.jpg', '2.jpg', '3.jpg']
async function delivery(name: string): Promise<{ part: Part; manifest: string }> {
  const folder = await mkdtemp(join(root, 'delivery-'))
  const [files, manifest] = [join(folder, 'in'), join(folder, name)]
  await mkdir(files)
  for (const picture of pictures) await writeFile(join(files, picture), picture)
  if (name.endsWith('.parquet')) {
    const columnData = [{ name: 'file', data: pictures, type: 'STRING' } as const]
    await parquetWriteFile({ filename: manifest, rowGroupSize: 2, columnData })
  } else if (name.endsWith('.csv')) await writeFile(manifest, ['file', ...pictures].join('\n'))
  else await writeFile(manifest, pictures.map((file) => JSON.stringify({ file })).join('\n'))
  const options = { manifest, kind: 'licensed', fileColumn: 'file' }
  const [part = assert.fail()] = await Array.fromAsync(deliveryImporter.parts([files], options))
  return { part, manifest }
}

async function shard(): Promise<{ part: Part; folder: string }> {
  const folder = await mkdtemp(join(root, 'shard-'))
  const rows = pictures.map((_, at) => successRow(at))
  await writeShard(folder, '00000', rows, Object.assign({}, ...rows.map((row) => sampleOf(row))))
  const [part = assert.fail()] = await Array.fromAsync(img2datasetImporter.parts([folder], { kind: 'web-crawl' }))
  return { part, folder }
}

const sources: { what: string; open: () => Promise<{ part: Part; file: string }> }[] = [
  ...['m.csv', 'm.jsonl', 'm.parquet'].map((name) => ({
    what: `the manifest ${name}`,
    open: async () => {
      const { part, manifest } = await delivery(name)
      return { part, file: manifest }
    },
  })),
  ...['00000.tar', '00000.parquet', '00000_stats.json'].map((name) => ({
    what: name,
    open: async () => {
      const { part, folder } = await shard()
      return { part, file: join(folder, name) }
    },
  })),
]
for (const { what, open } of sources) {
  test(`an import that goes on while ${what} can't be read for a moment ends there, and leaves nothing out later`, async () => {
    const { part, file } = await open()
    const whole = await goOn(part, 0)
    assert.equal(whole.length, pictures.length)
    await rename(file, `${file}.away`)
    await assert.rejects(
      goOn(part, 2),
      (error) => error instanceof SluiceError && error.code === 'USAGE' && /call this again/.test(error.message),
    )
    await rename(`${file}.away`, file)
    assert.deepEqual(await goOn(part, 2), whole.slice(2))
  })
}

test('a row group that could be read before, and is damaged when an import goes on, stands for all of its rows', async () => {
  const { part, manifest } = await delivery('m.parquet')
  const bytes = await readFile(manifest)
  await writeFile(manifest, bytes.fill(0xff, 4, 20))
  assert.deepEqual(await goOn(part, 2), ['2.jpg', '3.jpg'])
})

test('a part that ends before what was done is read again from its beginning: what is there is published, what is bad told', async () => {
  const collected = { envelope: envelopeFromSidecar('a', null), payload: Buffer.from('a') }
  const found: Found[] = [
    { kind: 'item', collected },
    { kind: 'bad', file: 'x', field: '', expected: 'expected more' },
  ]
  const part: Part = {
    name: 'x',
    identity: 'x',
    size: 1,
    async *read() {
      yield* found
    },
  }
  const counts = noCounts()
  assert.deepEqual(await goOn(part, 3, counts), ['a'])
  assert.deepEqual([counts.published, counts.bad], [1, 1])
  assert.deepEqual(await goOn(part, 2), [], 'all of it is done')
})
