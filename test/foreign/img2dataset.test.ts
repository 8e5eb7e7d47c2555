import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { type Bench, openBench } from '../integration/harness.ts'
import { photograph, sha256, tinyPicture } from '../integration/items.ts'
import { readTopics, run, skipWithoutPython } from './foreign.ts'

/** A row as pyarrow reads it: column to JSON text. */
const rowLine = z.object({ row: z.record(z.string(), z.string()), shard: z.string().default('') })
type RowLine = z.infer<typeof rowLine>

const record = z.object({
  envelope: z.looseObject({
    supply: z.object({ dataset: z.string(), shard: z.string(), row: z.number() }),
    extra: z.record(z.string(), z.string()),
  }),
})
type Kept = z.infer<typeof record>['envelope']

/** Lets a gate judge all that was published. @returns the envelopes that it kept, and how many items had which outcome */
async function judged(t: TestContext, bench: Bench): Promise<{ envelopes: Kept[]; outcomes: Record<string, number> }> {
  const gate = bench.startGate({ words: ['--until-caught-up'] })
  const { code } = await gate.ended
  assert.equal(code, 0, gate.stderr())
  const topics = ['gate.envelopes', 'gate.clean', 'gate.quarantine', 'gate.review'] as const
  const { records } = await readTopics(
    bench.settings,
    topics.map((name) => bench.topic(name)),
  )
  const of = (name: (typeof topics)[number]) => records.filter(({ topic }) => topic === bench.topic(name))
  t.diagnostic(`${of('gate.envelopes').length} envelopes`)
  return {
    envelopes: of('gate.envelopes').map(({ value }) => record.parse(value).envelope),
    outcomes: Object.fromEntries(topics.slice(1).map((name) => [name, of(name).length])),
  }
}

/** Finds every column of a row again: in the field that it is mapped to, or in extra, as the same JSON text. */
function assertKept(envelope: Kept, { row }: RowLine, fields: Readonly<Record<string, string>>, prefix: string): void {
  for (const [column, text] of Object.entries(row)) {
    const path = text === 'null' ? undefined : fields[column]
    if (path === undefined) {
      assert.equal(envelope.extra[`${prefix}.${column}`], text, `${column} in extra`)
      continue
    }
    const kept = path.split('.').reduce<unknown>((value, name) => Reflect.get(Object(value), name), envelope)
    const told: unknown = JSON.parse(text)
    if (path.endsWith('At') || path.endsWith('AtClaimed')) assert.equal(kept, Date.parse(String(told)), path)
    else if (typeof told === 'object') assert.deepEqual(kept, told, path)
    else assert.equal(String(kept), typeof told === 'string' ? told : text, path)
  }
}

test('what img2dataset has written comes through the gate with every column that it wrote, cleared or held', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const formats = ['webdataset', 'files'] as const
  const columns = {
    uploader: 'someone',
    license: 'CC0-1.0',
    score: 0.25,
    big: 9_007_199_254_740_993n.toString(),
    tags: Array.from({ length: 16 }, () => ['a', 'ü']),
    unsafe: null,
  }
  const written = new Map<string, RowLine[]>()
  await Promise.all(
    formats.map(async (format) => {
      const words = JSON.stringify({ output_format: format, columns })
      const lines = await run('run-img2dataset.py', [join(bench.folder, format), words])
      written.set(
        format,
        lines.map((line) => rowLine.parse(JSON.parse(line))),
      )
    }),
  )
  // What it stores is made anew from what it fetched, in the same way each time.
  const known = await readFile(join(bench.folder, 'files/00000/000003.jpg'))
  await bench.importList('stand-in', [{ sha256: sha256(known) }])

  const map = ['--map', 'uploader=origin.uploaderHandle', '--map', 'license=rights.licence']
  for (const format of formats) {
    const words = ['crawl', 'img2dataset', join(bench.folder, format), '--dataset', format, ...map, '--json']
    const { published, leftOut, bad } = JSON.parse((await bench.sluice(words)).stdout())
    assert.deepEqual(
      { published, leftOut, bad },
      { published: 12, leftOut: { 'status failed_to_download': 3, 'status failed_to_resize': 1 }, bad: 0 },
    )
  }
  const { envelopes, outcomes } = await judged(t, bench)
  assert.deepEqual(outcomes, { 'gate.clean': 22, 'gate.quarantine': 2, 'gate.review': 0 })

  const fields = {
    url: 'acquisition.requestedUrl',
    caption: 'origin.caption',
    sha256: 'acquisition.fetchedSha256',
    uploader: 'origin.uploaderHandle',
    license: 'rights.licence',
  }
  for (const format of formats) {
    const rows = written.get(format) ?? []
    const successes = rows.filter(({ row }) => row.status === '"success"')
    assert.equal(successes.length, 12)
    for (const line of successes) {
      const [envelope, ...others] = envelopes.filter(
        ({ supply, extra }) =>
          supply.dataset === format && supply.shard === line.shard && extra['img2dataset.key'] === line.row.key,
      )
      assert.ok(envelope && others.length === 0, `one envelope of ${format} for ${line.row.key}`)
      assert.equal(envelope.supply.row, Number(JSON.parse(line.row.key ?? '').slice(5)))
      assertKept(envelope, line, fields, 'img2dataset')
    }
  }
})

test('a delivery whose manifest pyarrow wrote comes through the gate with every column, cleared or held', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const folder = join(bench.folder, 'delivery')
  await mkdir(folder)
  const names = Array.from({ length: 5 }, (_, at) => `${at}.png`)
  for (const [at, name] of names.entries()) await writeFile(join(folder, name), await tinyPicture(at))
  await writeFile(join(folder, 'known.jpg'), photograph('nagasaki-boats'))
  await bench.importList('stand-in', [{ sha256: sha256(photograph('nagasaki-boats')) }])

  const manifest = join(bench.folder, 'acme.parquet')
  const lines = await run('write-delivery.py', [manifest, ...names, 'known.jpg'])
  const map = [
    '--map',
    'page=origin.pageUrl',
    '--map',
    'account=origin.uploaderId',
    '--map',
    'uploaded=origin.uploadedAtClaimed',
  ]
  const named = ['--kind', 'licensed', '--supplier', 'Acme', '--dataset', 'acme']
  await bench.sluice(['crawl', 'delivery', folder, '--manifest', manifest, ...named, ...map])

  const { envelopes, outcomes } = await judged(t, bench)
  assert.deepEqual(outcomes, { 'gate.clean': 5, 'gate.quarantine': 1, 'gate.review': 0 })
  const fields = {
    page: 'origin.pageUrl',
    account: 'origin.uploaderId',
    uploaded: 'origin.uploadedAtClaimed',
    'acquisition.fetchedAt': 'acquisition.fetchedAt',
    'acquisition.status': 'acquisition.status',
    'acquisition.redirects': 'acquisition.redirects',
    'rights.licence': 'rights.licence',
  }
  assert.equal(lines.length, 6)
  for (const [at, text] of lines.entries()) {
    const envelope = envelopes.find(({ supply }) => supply.row === at)
    assert.ok(envelope, `an envelope for row ${at}`)
    assertKept(envelope, rowLine.parse(JSON.parse(text)), fields, 'manifest')
  }
})
