import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { deliveryImporter } from '../../services/crawl/delivery.ts'
import { folderImporter } from '../../services/crawl/folder.ts'
import { img2datasetImporter } from '../../services/crawl/img2dataset.ts'
import type { Found, Importer } from '../../services/crawl/importer.ts'
import { warcImporter } from '../../services/crawl/warc.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { bytesOfFile, openFile } from '../../services/platform/files/files.ts'
import { readHashListFile } from '../../services/platform/hash-list-file.ts'
import { startSluice } from '../integration/gate-process.ts'
import { openBench } from '../integration/harness.ts'
import { skipWithoutS3, startS3Server } from '../integration/s3-server.ts'
import { waitFor } from '../integration/waiting.ts'
import { everything, sampleOf, stats, successRow, writeParquet, writeShard } from './img2dataset-shard.ts'
import { packed, record, response } from './warc-files.ts'

const skip = skipWithoutS3()
const server = skip === false ? await startS3Server({ after }) : null
const local = mkdtempSync(join(tmpdir(), 'sluice-sources-'))
after(() => rmSync(local, { recursive: true, force: true }))
const BUCKET = 's3://sources/of'

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(local, path)), { recursive: true })
  writeFileSync(join(local, path), content)
}

function root(): S3Client {
  if (server === null) throw new Error('there is no S3 server')
  return server.client()
}

async function upload(path: string): Promise<void> {
  await root().send(
    new PutObjectCommand({ Bucket: 'sources', Key: `of/${path}`, Body: readFileSync(join(local, path)) }),
  )
}

/** A picture of more than a block, so that what is read of it comes in several answers. */
const long = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(9_000_000, 'long')])

before(async () => {
  if (server === null) return
  Object.assign(process.env, server.environment())
  write('warc/a.warc.gz', packed(response('http://example.org/a.png', 'a'), response('http://example.org/b.png', long)))
  const cut = packed(response('http://example.org/c.png', 'c')).subarray(0, 200)
  write('warc/deep/b.warc', Buffer.concat([record('revisit', {}), response('http://example.org/d.png', long)]))
  write('warc/deep/c.warc.gz', Buffer.concat([cut, packed(response('http://example.org/e.png', 'e'))]))
  write('warc/readme.txt', 'no WARC')

  const rows = [0, 1, 2, 3, 4].map((at) => successRow(at))
  const members = Object.assign({}, ...rows.map((row) => sampleOf(row)))
  await writeShard(join(local, 'shards'), '00000', rows, members)
  for (const [name, content] of Object.entries(members)) write(`shards/00001/${name}`, String(content))
  await writeParquet(join(local, 'shards/00001.parquet'), rows)
  write('shards/00001_stats.json', stats(4))
  const whole = readFileSync(join(local, 'shards/00000.tar'))
  write('shards/00002.tar', whole.subarray(0, whole.length - 3000))

  for (const name of ['a.png', 'deep/b.png', 'deep/empty.png'])
    write(`files/${name}`, name.includes('empty') ? '' : name)
  write('delivery.csv', 'file,page\na.png,https://example.org/a\ndeep/b.png,\n../x,\ngone.png,\ndeep/empty.png,\n')
  write('delivery.jsonl', '{"file":"deep/b.png"}\n{"file":"./a.png"}\nno json\n')
  await writeParquet(join(local, 'delivery.parquet'), [{ file: 'a.png' }, { file: 'deep/b.png' }, { file: 'gone' }])

  write('folder/a.png', long)
  write('folder/a.png.json', JSON.stringify({ origin: { pageUrl: 'https://example.org/' } }))
  write('folder/alone.json', '{}')
  write('folder/b.png', 'b')
  write('folder/b.png.json', 'no JSON')
  write('folder/c/.hidden', 'hidden')
  write('folder/c/d.png', 'd')
  write(
    'known.csv',
    `id,md5\n${Array.from({ length: 3000 }, (_, at) => `e${at},${String(at).padStart(32, '0')}`).join('\n')}\n`,
  )
  write('known.jsonl', `{"id":"a","md5":"${'0'.repeat(32)}"}\n`)

  await root().send(new CreateBucketCommand({ Bucket: 'sources' }))
  for (const path of readdirSync(local, { recursive: true, encoding: 'utf8' })) {
    if (statSync(join(local, path)).isFile()) await upload(path)
  }
})

const told = { kind: 'licensed', supplier: 'Example', contract: 'E-1' }
const imports: readonly [string, Importer, local: string[], inBucket: string[], options?: Record<string, unknown>][] = [
  ['WARC files', warcImporter, ['warc/a.warc.gz', 'warc/deep/b.warc'], ['warc/a.warc.gz', 'warc/deep/b.warc']],
  ['all WARC files of a prefix', warcImporter, ['warc/a.warc.gz', 'warc/deep/b.warc', 'warc/deep/c.warc.gz'], ['warc']],
  ['shards of img2dataset', img2datasetImporter, ['shards'], ['shards/']],
  ['one shard', img2datasetImporter, ['shards/00000.tar'], ['shards/00000.tar']],
  ['a folder', folderImporter, ['folder'], ['folder']],
  ...['csv', 'jsonl', 'parquet'].map((format): [string, Importer, string[], string[], Record<string, unknown>] => [
    `a delivery with a manifest in ${format}`,
    deliveryImporter,
    ['files'],
    ['files'],
    { ...told, manifest: `delivery.${format}` },
  ]),
]

/** What was found, whatever it lies in and in whatever order it came; payloads by what they are. */
function inOrder(found: readonly Found[], where: string): string[] {
  const text = (one: Found): string =>
    one.kind === 'item'
      ? JSON.stringify([one.collected.envelope, Buffer.from(one.collected.payload).toString('base64').slice(0, 2000)])
      : JSON.stringify(one)
  return found.map((one) => text(one).replaceAll(where, '')).sort()
}

for (const [what, importer, paths, keys, options = {}] of imports) {
  test(`${what} in a bucket: the same is found as in a folder, with the same ids`, { skip }, async () => {
    const within = (where: string): Record<string, unknown> =>
      'manifest' in options ? { ...options, manifest: `${where}/${options.manifest}` } : options
    const here = await everything(
      importer,
      paths.map((path) => `${local}/${path}`),
      within(local),
    )
    const there = await everything(
      importer,
      keys.map((key) => `${BUCKET}/${key}`),
      within(BUCKET),
    )
    assert.deepEqual(inOrder(there, BUCKET), inOrder(here, local))
    assert.ok(here.some(({ kind }) => kind === 'item'))
  })
}

test('a hash list in a bucket is the same list', { skip }, async () => {
  for (const name of ['known.csv', 'known.jsonl']) {
    const [here, there] = await Promise.all(
      [local, BUCKET].map((where) => readHashListFile(`${where}/${name}`, 'known')),
    )
    assert.equal(there?.entries.byId().digest(), here?.entries.byId().digest())
  }
})

test('what is not there is wrong use; a bucket or a right that is missing, and a server that is gone, are not', {
  skip,
}, async () => {
  const fault = (expected: string, sentence: RegExp) => (error: unknown) =>
    error instanceof SluiceError && error.fault === expected && sentence.test(error.message)
  await assert.rejects(everything(warcImporter, [`${BUCKET}/gone.warc`]), fault('usage', /there is no file/))
  await assert.rejects(everything(folderImporter, [`${BUCKET}/gone`]), fault('usage', /there is nothing below/))
  await assert.rejects(everything(img2datasetImporter, [`${BUCKET}/gone`]), fault('usage', /there is no/))
  await assert.rejects(readHashListFile(`${BUCKET}/gone.csv`, 'known'), fault('usage', /can not be read \(ENOENT\)/))
  await assert.rejects(everything(warcImporter, ['s3://Wrong_Name/x']), fault('usage', /expected s3:/))
  for (const importer of [warcImporter, folderImporter, img2datasetImporter]) {
    await assert.rejects(everything(importer, ['s3://no-such/x.warc']), fault('surroundings', /no bucket no-such/))
  }
  await assert.rejects(readHashListFile('s3://no-such/x.csv', 'known'), fault('surroundings', /no bucket no-such/))

  const file = await openFile(`${BUCKET}/folder/a.png`)
  const reading = bytesOfFile(`${BUCKET}/folder/a.png`)
  await reading.next()
  await root().send(new PutObjectCommand({ Bucket: 'sources', Key: 'of/folder/a.png', Body: Buffer.alloc(9_500_000) }))
  await assert.rejects(file.read(Buffer.alloc(9), 0, 9, 0), fault('usage', /was replaced/))
  await assert.rejects(reading.next(), fault('usage', /was replaced/))
  await upload('folder/a.png')

  const again = await openFile(`${BUCKET}/folder/a.png`)
  await server?.kill()
  await assert.rejects(again.read(Buffer.alloc(9), 0, 9, 0), fault('surroundings', /its server does not answer/))
  await server?.start()
  assert.deepEqual(await again.read(Buffer.alloc(9), 0, 9, 0), { bytesRead: 9 })
})

test('an import from a bucket that was killed goes on where it was', { skip }, async (t) => {
  const bench = await openBench(t)
  // So many that it is still at work when it is killed.
  const items = 20_000
  const many = Array.from({ length: items }, (_, at) => response(`http://example.org/${at}.png`, `picture ${at}`))
  write('many.warc', Buffer.concat(many))
  await upload('many.warc')
  const words = ['crawl', 'warc', `${BUCKET}/many.warc`, '--all', '--json']
  const environment = { ...bench.environment, ...server?.environment() }
  const killed = startSluice(words, environment)
  await waitFor(
    'some of it is written',
    async () => {
      assert.ok(killed.running(), `the import ended before it could be killed: ${killed.stderr()}`)
      return (await bench.endOf('crawl.items')) > 0
    },
    { everyMs: 5 },
  )
  killed.kill('SIGKILL')
  await killed.ended
  const again = startSluice(words, environment)
  const { code } = await again.ended
  assert.equal(code, 0, again.stderr())
  assert.equal(JSON.parse(again.stdout()).published, items)
})
