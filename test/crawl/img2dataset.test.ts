import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { img2datasetImporter } from '../../services/crawl/img2dataset.ts'
import { isItemId } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import type { Envelope } from '../../services/domain/records.ts'
import {
  everything,
  inWords,
  type Members,
  type ShardRow,
  sampleOf,
  stats,
  successRow,
  tarOf,
  writeParquet,
  writeShard,
} from './img2dataset-shard.ts'

const [first, second, third] = [0, 1, 2].map((at) => successRow(at)) as [ShardRow, ShardRow, ShardRow]
const failed = successRow(3, { status: 'failed_to_download', error_message: 'HTTP Error 404: Not Found', sha256: null })
const rows = [second, first, failed, third]
const members: Members = { ...sampleOf(second), ...sampleOf(first), ...sampleOf(third) }

let root = ''
let places = 0
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-img2dataset-'))
})
after(() => rm(root, { recursive: true, force: true }))

/** A folder with one shard, changed by the test. */
async function shard(
  change: (path: (suffix: string) => string) => Promise<unknown>,
  its = { rows, members },
): Promise<string> {
  places++
  const folder = join(root, String(places))
  await writeShard(folder, '00000', its.rows, its.members)
  await change((suffix) => join(folder, `00000${suffix}`))
  return folder
}

async function envelopes(folder: string, options = {}): Promise<Envelope[]> {
  const found = await everything(img2datasetImporter, [folder], options)
  return found.flatMap((one) => (one.kind === 'item' ? [one.collected.envelope] : []))
}

const nothing = () => Promise.resolve()

test('every picture is found with its row, and rows that came to nothing are counted by their status', async () => {
  const folder = await shard(nothing)
  assert.deepEqual(inWords(await everything(img2datasetImporter, [folder])), [
    'left out: status failed_to_download',
    'bytes of 000000001',
    'bytes of 000000000',
    'bytes of 000000002',
  ])
  const [envelope] = await envelopes(folder)
  const { requestedUrl, fetchedAt, fetchedSha256, status, crawler } = envelope?.acquisition ?? {}
  assert.deepEqual(
    { requestedUrl, fetchedAt, fetchedSha256, status, crawler },
    {
      requestedUrl: second.url,
      fetchedAt: 1_767_225_660_500,
      fetchedSha256: second.sha256,
      status: 200,
      crawler: 'img2dataset',
    },
  )
  assert.equal(envelope?.payload, null, 'digests of what was downloaded are no claims about what is stored')
  assert.equal(envelope?.origin?.caption, 'caption 1')
  assert.deepEqual(envelope?.liveness, { lastSeenAt: 1_767_225_660_500, status: 'online' })
  assert.deepEqual([envelope?.supply?.kind, envelope?.supply?.shard, envelope?.supply?.row], ['web-crawl', '00000', 1])
  assert.deepEqual(envelope?.extra, {
    'img2dataset.key': '"000000001"',
    'img2dataset.status': '"success"',
    'img2dataset.error_message': 'null',
    'img2dataset.width': '256',
    'img2dataset.height': '256',
    'img2dataset.original_width': '640',
    'img2dataset.original_height': '480',
    'img2dataset.exif': '"{}"',
    'img2dataset.tar.mtime': '"2026-01-01T00:00:00.000Z"',
    'img2dataset.stats.start_time': '1767225600.25',
    'img2dataset.stats.end_time': '1767225660.5',
  })
})

test('reading twice gives the same well-formed ids in the same order, each once', async () => {
  const folder = await shard(nothing)
  const ids = async () => (await envelopes(folder)).map(({ item }) => item?.id ?? '')
  const once = await ids()
  assert.deepEqual(await ids(), once)
  assert.equal(new Set(once).size, 3)
  assert.ok(once.every((id) => isItemId(id) && /^img2dataset-[0-9a-f]{40}$/.test(id)))
})

test('the format files is read like the format webdataset', async () => {
  const folder = await shard(async (path) => {
    await rm(path('.tar'))
    await mkdir(path(''))
    for (const [name, content] of Object.entries(members)) await writeFile(join(path(''), name), content)
  })
  assert.deepEqual(inWords(await everything(img2datasetImporter, [folder])), [
    'left out: status failed_to_download',
    'bytes of 000000000',
    'bytes of 000000001',
    'bytes of 000000002',
  ])
})

test('a tar without Parquet is read by the JSON in it, and without statistics nothing says when', async () => {
  const folder = await shard(async (path) => {
    await rm(path('.parquet'))
    await rm(path('_stats.json'))
  })
  const [envelope, ...others] = await envelopes(folder)
  assert.equal(others.length, 2)
  assert.equal(envelope?.acquisition?.requestedUrl, second.url)
  assert.equal(envelope?.acquisition?.fetchedAt, null)
  assert.equal(envelope?.item?.collectedAt, null)
  assert.equal(envelope?.liveness, null)
})

test('a .tar alone can be named, and shards of a folder are parts in order of their names', async () => {
  const folder = await shard((path) => copyFile(path('.tar'), path('').replace(/00000$/, '00001.tar')))
  const parts = await Array.fromAsync(img2datasetImporter.parts([folder], {}))
  assert.deepEqual(
    parts.map(({ name }) => name),
    [join(folder, '00000'), join(folder, '00001')],
  )
  const [alone] = await Array.fromAsync(img2datasetImporter.parts([join(folder, '00000.tar')], {}))
  assert.equal(alone?.identity, parts[0]?.identity)
  assert.equal(await img2datasetImporter.recognises(folder), true)
  assert.equal(await img2datasetImporter.recognises(root), false)
})

test('a part is another one when a file of its shard has changed', async () => {
  let stats = ''
  const folder = await shard((path) => {
    stats = path('_stats.json')
    return Promise.resolve()
  })
  const identity = async () => (await Array.fromAsync(img2datasetImporter.parts([folder], {})))[0]?.identity
  const before = await identity()
  assert.equal(await identity(), before)
  await writeFile(stats, '{}')
  assert.notEqual(await identity(), before)
})

test('columns of the user are mapped where they are told to, and kept where they are not', async () => {
  const own = { uploader: 'someone', big: '7', 'rights.licence': 'CC0-1.0' }
  const row = successRow(0, own)
  const folder = await shard(nothing, { rows: [row], members: sampleOf(row) })
  const [envelope] = await envelopes(folder, {
    map: ['uploader=origin.uploaderHandle', 'url=origin.pageUrl'],
    supplier: 'Acme',
    dataset: 'laion',
    datasetVersion: '5B',
    kind: 'purchased',
  })
  assert.equal(envelope?.origin?.uploaderHandle, 'someone')
  assert.equal(envelope?.origin?.pageUrl, row.url)
  assert.equal(envelope?.acquisition?.requestedUrl, row.url)
  assert.equal(envelope?.rights?.licence, 'CC0-1.0')
  assert.equal(envelope?.extra['img2dataset.big'], '"7"')
  assert.equal(envelope?.extra['img2dataset.uploader'], undefined)
  const { kind, supplier, dataset, version } = envelope?.supply ?? {}
  assert.deepEqual(
    { kind, supplier, dataset, version },
    { kind: 'purchased', supplier: 'Acme', dataset: 'laion', version: '5B' },
  )
})

test('what JSON and row tell differently is kept from both', async () => {
  const json = JSON.stringify({ ...first, exif: '{"Make": "x"}', more: 1 })
  const folder = await shard(nothing, { rows: [first], members: sampleOf(first, json) })
  const [envelope] = await envelopes(folder)
  assert.equal(envelope?.extra['img2dataset.exif'], '"{}"')
  assert.equal(envelope?.extra['img2dataset.json.exif'], JSON.stringify('{"Make": "x"}'))
  assert.equal(envelope?.extra['img2dataset.more'], '1')
})

test('numbers that Python writes and JSON lacks, and whole numbers beyond 2^53, keep what they say', async () => {
  const json = `${JSON.stringify(first).slice(0, -1)}, "score": NaN, "low": -Infinity, "quoted": "NaN \\" NaN", "big": 9007199254740993}`
  const folder = await shard((path) => rm(path('.parquet')), { rows: [first], members: sampleOf(first, json) })
  const extra = (await envelopes(folder))[0]?.extra
  assert.equal(extra?.['img2dataset.score'], '"NaN"')
  assert.equal(extra?.['img2dataset.low'], '"-Infinity"')
  assert.equal(extra?.['img2dataset.quoted'], '"NaN \\" NaN"')
  assert.equal(extra?.['img2dataset.big'], '9007199254740993')
})

test('a caption that stands only in its file is the caption', async () => {
  const { caption: _, ...row } = first
  const folder = await shard(nothing, { rows: [row], members: { ...sampleOf(row), '000000000.txt': 'from the file' } })
  assert.equal((await envelopes(folder))[0]?.origin?.caption, 'from the file')
})

const ok = ['bytes of 000000001', 'bytes of 000000000', 'bytes of 000000002']
const leftOut = 'left out: status failed_to_download'
const wrong: {
  name: string
  change: Parameters<typeof shard>[0]
  its?: { rows: ShardRow[]; members: Members }
  told: (string | RegExp)[]
}[] = [
  {
    name: 'a tar cut short inside a picture',
    change: (path) => truncate(path('.tar'), 512 * 6 + 520),
    told: [
      leftOut,
      'bytes of 000000001',
      /^00000\.tar \| {2}\| expected a tar that is whole; it is cut short or damaged behind byte \d+$/,
    ],
  },
  {
    name: 'a tar cut short between two samples',
    change: (path) => truncate(path('.tar'), 512 * 6),
    told: [
      leftOut,
      'bytes of 000000001',
      /^00000\.tar \| {2}\| .* nothing marks its end$/,
      '00000.parquet, row 1, sample 000000000 |  | expected a picture of it, as the row says success',
    ],
  },
  {
    name: 'a tar that is none',
    change: (path) => writeFile(path('.tar'), 'x'.repeat(4096)),
    told: [leftOut, /^00000\.tar \| {2}\| expected a tar that is whole; it is cut short or damaged at its beginning$/],
  },
  {
    name: 'a Parquet file cut short',
    change: (path) => truncate(path('.parquet'), 100),
    told: ['00000.parquet |  | expected a Parquet file that is whole', ...ok],
  },
  {
    name: 'a Parquet file whose first page is damaged',
    change: async (path) => {
      const bytes = await readFile(path('.parquet'))
      await writeFile(path('.parquet'), bytes.fill(0xff, 4, 400))
    },
    told: [/^00000\.parquet \| {2}\| expected rows 0 to 1 undamaged$/, ...ok],
  },
  {
    name: 'a Parquet file without the columns key and status',
    change: (path) => writeParquet(path('.parquet'), [{ url: 'https://example.org/' }]),
    told: ['00000.parquet |  | expected the columns key, url and status; key, status is missing', ...ok],
  },
  {
    name: 'fewer samples than the statistics say, without Parquet',
    change: async (path) => {
      await rm(path('.parquet'))
      await writeFile(path('_stats.json'), stats(5))
    },
    told: [...ok, '00000_stats.json |  | expected 5 samples, as it says; there are 3'],
  },
  {
    name: 'statistics that are no JSON',
    change: (path) => writeFile(path('_stats.json'), '{'),
    told: [/^00000_stats\.json \| {2}\| expected the JSON object/, leftOut, ...ok],
  },
  {
    name: 'metadata that is no JSON',
    change: async (path) => writeFile(path('.tar'), await tarOf({ ...members, '000000000.json': '{"url": ' })),
    told: [
      leftOut,
      'bytes of 000000001',
      '00000.tar, sample 000000000 (byte 3584) | json | expected JSON',
      'bytes of 000000002',
    ],
  },
  {
    name: 'a sample without a row, and a row of success without a picture',
    change: async (path) => writeFile(path('.tar'), await tarOf({ ...sampleOf(successRow(9)), ...sampleOf(third) })),
    told: [
      leftOut,
      /^00000\.tar, sample 000000009 \(byte 512\) \| key \| expected a row of this key and status success/,
      'bytes of 000000002',
      '00000.parquet, row 0, sample 000000001 |  | expected a picture of it, as the row says success',
      '00000.parquet, row 1, sample 000000000 |  | expected a picture of it, as the row says success',
    ],
  },
  {
    name: 'a sample that lacks its picture',
    change: nothing,
    its: { rows, members: Object.fromEntries(Object.entries(members).filter(([name]) => name !== '000000000.jpg')) },
    told: [
      leftOut,
      'bytes of 000000001',
      /sample 000000000 .* \| expected a picture of this key$/,
      'bytes of 000000002',
    ],
  },
  {
    name: 'metadata of another URL than the row',
    change: nothing,
    its: {
      rows,
      members: { ...members, ...sampleOf(first, JSON.stringify({ ...first, url: 'https://example.org/other' })) },
    },
    told: [leftOut, 'bytes of 000000001', /sample 000000000 .* \| url \| expected the same/, 'bytes of 000000002'],
  },
  {
    name: 'a digest that is none, a status that nobody knows, and a key that comes twice',
    change: nothing,
    its: {
      rows: [second, successRow(0, { sha256: 'none' }), successRow(5, { status: 'lost' }), third, successRow(2)],
      members: { ...members, ...sampleOf(first, JSON.stringify({ ...first, sha256: 'none' })) },
    },
    told: [
      '00000.parquet, row 2 | status | expected success, failed_to_download or failed_to_resize',
      '00000.parquet, row 4 | key | expected every key once',
      'bytes of 000000001',
      /sample 000000000 .* \| acquisition\.fetchedSha256 \| expected 64 lower-case hex digits$/,
      'bytes of 000000002',
    ],
  },
  {
    name: 'files beside the samples',
    change: nothing,
    its: { rows, members: { ...members, '000000002.npy': '...' } },
    told: [
      leftOut,
      'bytes of 000000001',
      'bytes of 000000000',
      'left out: file that is no picture, caption or metadata',
      'bytes of 000000002',
    ],
  },
  {
    name: 'metadata longer than any',
    change: nothing,
    its: { rows, members: { ...members, ...sampleOf(first, ' '.repeat(1_100_000)) } },
    told: [
      leftOut,
      'bytes of 000000001',
      '00000.tar, sample 000000000 (byte 3584) |  | json: expected at most 1048576 bytes',
      'bytes of 000000002',
    ],
  },
  {
    name: 'two pictures of one key',
    change: nothing,
    its: { rows, members: { ...sampleOf(second), '000000000.png': 'another', ...sampleOf(first), ...sampleOf(third) } },
    told: [
      leftOut,
      'bytes of 000000001',
      /sample 000000000 .* \| jpg: expected one picture for a key$/,
      'bytes of 000000002',
    ],
  },
  {
    name: 'a shard without pictures',
    change: (path) => rm(path('.tar')),
    told: [leftOut, /^00000\.tar \| {2}\| expected pictures in it/, /row 0/, /row 1/, /row 3/],
  },
]
for (const { name, change, its, told } of wrong) {
  test(`${name}: it is told where, and what is good is still found`, async () => {
    const folder = await shard(change, its)
    const found = inWords(await everything(img2datasetImporter, [folder]))
    const rest = found.slice(told.length)
    for (const [at, expected] of told.entries()) {
      if (typeof expected === 'string') assert.equal(found[at], expected)
      else assert.match(found[at] ?? '', expected)
    }
    assert.ok(
      rest.every((one) => one.startsWith('00000.parquet, row ')),
      `nothing but rows without pictures behind: ${rest.join('; ')}`,
    )
    assert.deepEqual(inWords(await everything(img2datasetImporter, [folder])), found, 'the same each time')
  })
}

const misuses: { name: string; sources?: string[]; options?: object; says: RegExp }[] = [
  { name: 'a folder that is not there', sources: ['nowhere'], says: /there is no nowhere/ },
  { name: 'a folder without shards', sources: [import.meta.dirname], says: /holds no shards/ },
  { name: 'a file that is no tar', sources: [import.meta.filename], says: /is no shard/ },
  { name: 'an unknown kind', options: { kind: 'stolen' }, says: /name one of web-crawl, licensed/ },
  {
    name: 'an unknown field',
    options: { map: ['a=origin.mood'] },
    says: /no field origin\.mood; name one of item\.mediaType/,
  },
  { name: 'a map without field', options: { map: ['a'] }, says: /expected COLUMN=FIELD/ },
  {
    name: 'a field mapped twice',
    options: { map: ['a=origin.pageUrl', 'b=origin.pageUrl'] },
    says: /tells origin\.pageUrl already/,
  },
]
for (const { name, sources, options, says } of misuses) {
  test(`${name} is wrong use, and what there is is said`, async () => {
    const folder = await shard(nothing)
    await assert.rejects(
      everything(img2datasetImporter, sources ?? [folder], { ...options }),
      (error) => error instanceof SluiceError && error.code === 'USAGE' && says.test(error.message),
    )
  })
}
