import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { parquetWriteFile } from 'hyparquet-writer'
import { deliveryImporter } from '../../services/crawl/delivery.ts'
import { isItemId } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { everything, inWords } from './img2dataset-shard.ts'

let root = ''
let places = 0
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-delivery-'))
})
after(() => rm(root, { recursive: true, force: true }))

const files: Readonly<Record<string, string>> = {
  'in/a.jpg': 'bytes of a',
  'in/b c.jpg': 'bytes of b',
  'in/deep/c.jpg': 'bytes of c',
  'in/empty.jpg': '',
  'secret.jpg': 'outside',
}

/** A delivery: its folder, and options that name its manifest. */
async function delivery(name: string, manifest: string | Buffer): Promise<{ folder: string; manifest: string }> {
  places++
  const base = join(root, String(places))
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(base, path)), { recursive: true })
    await writeFile(join(base, path), content)
  }
  await symlink('../secret.jpg', join(base, 'in/link-outside.jpg'))
  await symlink('a.jpg', join(base, 'in/link-inside.jpg'))
  await writeFile(join(base, name), manifest)
  return { folder: join(base, 'in'), manifest: join(base, name) }
}

const licensed = {
  kind: 'licensed',
  supplier: 'Acme',
  contract: 'A-7',
  licence: 'LicenseRef-Acme',
  dataset: 'd',
  datasetVersion: '2',
}

async function words(name: string, manifest: string | Buffer, options = {}): Promise<string[]> {
  const { folder, manifest: path } = await delivery(name, manifest)
  return inWords(await everything(deliveryImporter, [folder], { ...licensed, manifest: path, ...options }))
}

async function envelopes(name: string, manifest: string | Buffer, options = {}): Promise<Envelope[]> {
  const { folder, manifest: path } = await delivery(name, manifest)
  const found = await everything(deliveryImporter, [folder], { ...licensed, manifest: path, ...options })
  return found.map((one) => {
    assert.equal(one.kind, 'item', inWords([one]).join())
    return one.kind === 'item' ? one.collected.envelope : assert.fail()
  })
}

/** The same two rows in every format. */
const row = {
  file: 'a.jpg',
  page: 'https://example.org/a',
  'acquisition.fetchedAt': '2026-01-01T00:00:00Z',
  'acquisition.status': 200,
  'payload.md5': 'D41D8CD98F00B204E9800998ECF8427E',
  'supply.supplier': 'Another',
  mood: 'good "mood", é',
}
const bare = Object.fromEntries(Object.keys(row).map((column) => [column, column === 'file' ? 'deep/c.jpg' : null]))
const quoted = (value: unknown) => (value === null ? '' : `"${String(value).replaceAll('"', '""')}"`)
const csv = [Object.keys(row), Object.values(row), Object.values(bare)].map((values) => values.map(quoted).join(','))

const formats: { name: string; write: (path: string) => unknown }[] = [
  { name: 'm.csv', write: (path) => writeFile(path, `\ufeff${csv.join('\r\n')}\r\n`) },
  { name: 'm.jsonl', write: (path) => writeFile(path, `${JSON.stringify(row)}\n\n${JSON.stringify(bare)}`) },
  {
    name: 'm.parquet',
    write: (filename) =>
      parquetWriteFile({
        filename,
        rowGroupSize: 1,
        columnData: Object.entries(row).map(([name, value]) =>
          name === 'acquisition.fetchedAt'
            ? { name, data: [new Date(String(value)), null], type: 'TIMESTAMP' }
            : { name, data: [value, bare[name] ?? null], type: typeof value === 'number' ? 'INT32' : 'STRING' },
        ),
      }),
  },
]
for (const { name, write } of formats) {
  test(`${name}: mapped columns, those called like a field, defaults, and the rest in extra`, async () => {
    const { folder, manifest } = await delivery(name, '')
    await write(manifest)
    const options = { ...licensed, manifest, map: ['page=origin.pageUrl'] }
    const found = await everything(deliveryImporter, [folder], options)
    assert.deepEqual(inWords(found), ['bytes of a', 'bytes of c'])
    const [first, second] = found.map((one) => (one.kind === 'item' ? one.collected.envelope : null))
    assert.equal(first?.origin?.pageUrl, row.page)
    assert.equal(first?.acquisition?.fetchedAt, 1_767_225_600_000)
    assert.equal(first?.acquisition?.status, 200)
    assert.equal(first?.payload?.md5, row['payload.md5'].toLowerCase())
    assert.deepEqual(first?.supply, {
      kind: 'licensed',
      supplier: 'Another',
      contract: 'A-7',
      dataset: 'd',
      version: '2',
      shard: name,
      row: 0,
    })
    assert.equal(first?.rights?.licence, 'LicenseRef-Acme')
    assert.equal(first?.extra['manifest.mood'], JSON.stringify(row.mood))
    assert.equal(first?.extra['manifest.file'], '"a.jpg"')
    assert.equal(second?.supply?.supplier, 'Acme', 'what a row does not tell is said by the option')
    assert.equal(second?.supply?.row, 1)
    assert.equal(second?.origin, null)
    assert.match(second?.extra['manifest.mood'] ?? '', /^(null|"")$/)
    const again = await everything(deliveryImporter, [folder], options)
    assert.deepEqual(again, found, 'the same each time')
    const ids = found.flatMap((one) => (one.kind === 'item' ? [one.collected.envelope.item?.id ?? ''] : []))
    assert.ok(ids.every((id) => isItemId(id) && /^delivery-[0-9a-f]{40}$/.test(id)))
    assert.equal(new Set(ids).size, 2)
  })
}

test('an item id does not depend on the order of rows, and does on who supplied what', async () => {
  const ids = async (manifest: string, options = {}) =>
    (await envelopes('m.csv', manifest, options)).map(({ item }) => item?.id).sort()
  const once = await ids('file\na.jpg\nb c.jpg\n')
  assert.deepEqual(await ids('file,x\nb c.jpg,1\na.jpg,2\n'), once)
  for (const other of [{ supplier: 'B' }, { contract: 'B' }, { dataset: 'B' }, { datasetVersion: '3' }])
    assert.notDeepEqual(await ids('file\na.jpg\nb c.jpg\n', other), once)
})

test('kinds of delivery have options of their own, and a row can tell its own kind', async () => {
  const generated = { kind: 'synthetic', supplier: undefined, generator: 'diffuser 3' }
  const [one, two] = await envelopes('m.csv', 'path,supply.kind\na.jpg,\nb c.jpg,partner\n', {
    ...generated,
    fileColumn: 'path',
  })
  assert.equal(one?.synthetic?.generator, 'diffuser 3')
  assert.equal(one?.supply?.kind, 'synthetic')
  assert.equal(one?.supply?.supplier, null)
  assert.equal(two?.supply?.kind, 'partner')
})

const times: { told: unknown; time: number | null; kept?: string }[] = [
  { told: '2026-01-01T00:00:00Z', time: 1_767_225_600_000, kept: '"2026-01-01T00:00:00Z"' },
  { told: '2026-01-01T02:00:00.1234567+02:00', time: 1_767_225_600_123, kept: '"2026-01-01T02:00:00.1234567+02:00"' },
  { told: '2026-01-01', time: 1_767_225_600_000, kept: '"2026-01-01"' },
  { told: 1_767_225_600_000, time: 1_767_225_600_000 },
  { told: 1_767_225_600_000_123, time: 1_767_225_600_000, kept: '1767225600000123' },
  { told: '1767225600000', time: 1_767_225_600_000, kept: '"1767225600000"' },
  { told: '2026-01-01T00:00:00', time: null },
  { told: '01/02/2026', time: null },
  { told: 1_767_225_600, time: null },
  { told: 1_767_225_600_000_000_000, time: null },
  { told: 1_767_225_600_000.5, time: null },
  { told: '2026-02-30T00:00:00Z', time: null },
  { told: true, time: null },
]
for (const { told, time, kept } of times) {
  test(`the time ${JSON.stringify(told)} is ${time === null ? 'refused' : time}`, async () => {
    const manifest = JSON.stringify({ file: 'a.jpg', seen: told })
    const map = { map: ['seen=liveness.lastSeenAt'] }
    if (time === null) {
      assert.match(
        (await words('m.jsonl', manifest, map))[0] ?? '',
        /^m\.jsonl, row 0 \(line 1\) \| liveness\.lastSeenAt \| expected a time/,
      )
    } else {
      const [envelope] = await envelopes('m.jsonl', manifest, map)
      assert.equal(envelope?.liveness?.lastSeenAt, time)
      assert.equal(envelope?.extra['manifest.seen'], kept, 'what says more than the time is kept as it was told')
    }
  })
}

test('times of Parquet that are finer than milliseconds keep their digits in extra', async () => {
  const { folder, manifest } = await delivery('m.parquet', '')
  await parquetWriteFile({
    filename: manifest,
    columnData: [
      { name: 'file', data: ['a.jpg'] },
      { name: 'acquisition.fetchedAt', data: [1_767_225_600_000_123n] },
      { name: 'big', data: [9_007_199_254_740_993n] },
      { name: 'raw', data: [Uint8Array.of(0xff, 0xfe)] },
      { name: 'nested', data: [{ a: [1, 2], b: { c: 'x' } }] },
    ],
    schema: [
      { name: 'root', num_children: 5 },
      { name: 'file', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      {
        name: 'acquisition.fetchedAt',
        type: 'INT64',
        logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
        repetition_type: 'OPTIONAL',
      },
      { name: 'big', type: 'INT64', repetition_type: 'OPTIONAL' },
      { name: 'raw', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'nested', type: 'BYTE_ARRAY', converted_type: 'JSON', repetition_type: 'OPTIONAL' },
    ],
  })
  const [found] = await everything(deliveryImporter, [folder], { ...licensed, manifest })
  assert.equal(found?.kind, 'item')
  const envelope = found.kind === 'item' ? found.collected.envelope : null
  assert.equal(envelope?.acquisition?.fetchedAt, 1_767_225_600_000)
  assert.equal(envelope?.extra['manifest.acquisition.fetchedAt'], '"2026-01-01T00:00:00.000123Z"')
  assert.equal(envelope?.extra['manifest.big'], '9007199254740993')
  assert.equal(envelope?.extra['manifest.raw'], '{"base64":"//4="}')
  assert.deepEqual(JSON.parse(JSON.parse(envelope?.extra['manifest.nested'] ?? '')), { a: [1, 2], b: { c: 'x' } })
})

const rows: { name: string; manifest: string; options?: object; told: (string | RegExp)[] }[] = [
  {
    name: 'files that can not be taken',
    manifest:
      'file\nnowhere.jpg\nempty.jpg\n../secret.jpg\nlink-outside.jpg\ndeep\n/etc/hostname\n""\na\u0000b\nlink-inside.jpg\ndeep/../a.jpg\n',
    told: [
      'm.csv, row 0 (line 2) | file | expected a file that is there, below the folder and not led out of it by links',
      'm.csv, row 1 (line 3) | file | expected a file that is not empty',
      /row 2 .*not led out/,
      /row 3 .*not led out/,
      /row 4 .*a file that is there/,
      /row 5 .*not led out/,
      /row 6 .*expected the path of a file/,
      /row 7 .*a file that is there/,
      'bytes of a',
      'bytes of a',
    ],
  },
  {
    name: 'ragged rows',
    manifest: 'file,x\na.jpg\nb c.jpg,1\na.jpg,1,2\n\ndeep/c.jpg,"line\nbreak"\n',
    told: [
      'm.csv, row 0 (line 2) |  | expected 2 values, as the header line has; there are 1',
      'bytes of b',
      'm.csv, row 2 (line 4) |  | expected 2 values, as the header line has; there are 3',
      'bytes of c',
    ],
  },
  {
    name: 'a quote that is not closed',
    manifest: 'file,x\na.jpg,1\nb c.jpg,"2\ndeep/c.jpg,3\n',
    told: [
      'bytes of a',
      /^m\.csv, row 1 \(line \d\) \| {2}\| expected comma-separated values \(CSV_QUOTE_NOT_CLOSED\); from here on/,
    ],
  },
  {
    name: 'a quote inside a value, behind which no row can be told apart',
    manifest: 'file,x\na.jpg,1\nb c.jpg,"2"x"\ndeep/c.jpg,3\na.jpg,4\n',
    told: [
      'bytes of a',
      /^m\.csv, row 1 \(line 3\) \| {2}\| expected comma-separated values \(CSV_INVALID_CLOSING_QUOTE\)/,
    ],
  },
  {
    name: 'a row longer than any',
    manifest: `file,x\na.jpg,1\nb c.jpg,${'x'.repeat(1_100_000)}\na.jpg,1\n`,
    told: ['bytes of a', /^m\.csv, row 1 .*CSV_MAX_RECORD_SIZE/],
  },
  {
    name: 'values of another type than their field',
    manifest: [
      'file,acquisition.status,payload.sha256,payload.size,acquisition.redirects,supply.row',
      'a.jpg,ok,,,,',
      'a.jpg,,abc,,,',
      'a.jpg,,,-1,,',
      'a.jpg,,,,https://example.org/,',
      'a.jpg,200.5,,,,',
      'a.jpg,,,,,9007199254740993',
      'a.jpg,200.0,,10,"[""https://example.org/""]",4',
      '',
    ].join('\n'),
    told: [
      'm.csv, row 0 (line 2) | acquisition.status | expected a whole number',
      'm.csv, row 1 (line 3) | payload.sha256 | expected 64 lower-case hex digits',
      /^m\.csv, row 2 \(line 4\) \| payload\.size \|/,
      'm.csv, row 3 (line 5) | acquisition.redirects | expected a list, or a list as JSON text',
      'm.csv, row 4 (line 6) | acquisition.status | expected a whole number',
      'm.csv, row 5 (line 7) | supply.row | expected a whole number',
      'bytes of a',
    ],
  },
]
for (const { name, manifest, options, told } of rows) {
  test(`${name}: told with manifest, row and field, and the other rows are found`, async () => {
    const found = await words('m.csv', manifest, options)
    assert.equal(found.length, told.length, found.join('\n'))
    for (const [at, expected] of told.entries()) {
      if (typeof expected === 'string') assert.equal(found[at], expected)
      else assert.match(found[at] ?? '', expected)
    }
  })
}

test('rows of CSV that are not UTF-8 are told, and the others are found with what they say', async () => {
  const rows = [
    'file,origin.uploaderHandle',
    'a.jpg,Jos\u00e9',
    'b c.jpg,\u00c3\u00a9\u00ef\u00bf\u00bd',
    '"a.jpg","\u00fe"',
    'a.jpg,x',
  ]
  const bytes = Buffer.from(rows.join('\n'), 'latin1')
  assert.deepEqual(await words('m.csv', bytes), [
    'm.csv, row 0 (line 2) |  | expected UTF-8',
    'bytes of b',
    'm.csv, row 2 (line 4) |  | expected UTF-8',
    'bytes of a',
  ])
  const [envelope] = await envelopes('m.csv', Buffer.from([rows[0], rows[2]].join('\n'), 'latin1'))
  assert.equal(envelope?.origin?.uploaderHandle, 'é\ufffd', 'who writes that mark says so')
  await assert.rejects(words('m.csv', Buffer.from('file,\u00e9\na.jpg,1\n', 'latin1')), /in UTF-8 with a header line/)
})

test('CSV of a spreadsheet in UTF-16 is read by its mark, and half a character in it is told', async () => {
  const text = '\ufefffile,origin.uploaderHandle\r\na.jpg,"José, 海"\r\nb c.jpg,\ud800\r\ndeep/c.jpg,x\r\n'
  const bytes = Buffer.from(text, 'utf16le')
  assert.deepEqual(await words('m.csv', bytes), [
    'bytes of a',
    'm.csv, row 1 (line 3) |  | expected UTF-16',
    'bytes of c',
  ])
  const [envelope] = await envelopes('m.csv', Buffer.from(text.replace(/b c.*\r\n/, ''), 'utf16le'))
  assert.equal(envelope?.origin?.uploaderHandle, 'José, 海')
})

for (const [header, others] of [
  ['\n', '\r\n'],
  ['\r\n', '\n'],
  ['\r', '\r'],
] as const) {
  test(`CSV whose lines end in ${JSON.stringify([header, others])} is read row by row, and no line end is part of a value`, async () => {
    const rows = ['a.jpg,one', 'b c.jpg,"two"', '']
    const found = await envelopes('m.csv', `file,mood${header}${rows.join(others)}`)
    assert.deepEqual(
      found.map(({ extra }) => extra['manifest.mood']),
      ['"one"', '"two"'],
    )
  })
}

test('lines that end in a carriage return alone are told apart, whatever line ends are in their fields and bytes', async () => {
  const text = 'file,mood\ra.jpg,"one\ntwo"\rb c.jpg,\u010a\r'
  for (const bytes of [Buffer.from(text), Buffer.from(`\ufeff${text}`, 'utf16le')]) {
    const found = await envelopes('m.csv', bytes)
    assert.deepEqual(
      found.map(({ extra }) => extra['manifest.mood']),
      ['"one\\ntwo"', '"\u010a"'],
    )
  }
})

test('lines that are no JSON object are told, and the others are found', async () => {
  const lines = [
    '{"file": "a.jpg"}',
    '{"file": "a.jpg"',
    '[1]',
    `{"file": "a.jpg", "x": "${'x'.repeat(1_100_000)}"}`,
    `{"file": "a.jpg", "x": ${'['.repeat(200)}${']'.repeat(200)}}`,
    '{"file": 5}',
    '{"file": "b c.jpg", "origin.caption": "\\ud800"}',
    '{"file": "b c.jpg"}',
  ]
  const bytes = Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), Buffer.of(0x22, 0xff, 0x0a)])
  assert.deepEqual(await words('m.jsonl', bytes), [
    'bytes of a',
    'm.jsonl, row 1 (line 2) |  | expected JSON',
    'm.jsonl, row 2 (line 3) |  | expected a JSON object',
    'm.jsonl, row 3 (line 4) |  | expected at most 1048576 bytes in a line',
    'm.jsonl, row 4 (line 5) |  | expected values that are nested at most 64 deep',
    'm.jsonl, row 5 (line 6) | file | expected the path of a file below the folder',
    'm.jsonl, row 6 (line 7) | origin.caption | expected text',
    'bytes of b',
    'm.jsonl, row 8 (line 9) |  | expected UTF-8',
  ])
})

test('a damaged row group of Parquet is told with its rows, and the others are found', async () => {
  const { folder, manifest } = await delivery('m.parquet', '')
  await parquetWriteFile({
    filename: manifest,
    rowGroupSize: 2,
    columnData: [{ name: 'file', data: ['a.jpg', 'a.jpg', 'b c.jpg', 'deep/c.jpg'], type: 'STRING' }],
  })
  const bytes = await readFile(manifest)
  await writeFile(manifest, bytes.fill(0xff, 4, 20))
  const found = await everything(deliveryImporter, [folder], { ...licensed, manifest })
  assert.deepEqual(inWords(found), ['m.parquet, row 0 |  | expected rows 0 to 1 undamaged', 'bytes of b', 'bytes of c'])
  await truncate(manifest, bytes.length - 6)
  await assert.rejects(
    everything(deliveryImporter, [folder], { ...licensed, manifest }),
    /expected a Parquet file that is whole/,
  )
})

const misuses: { name: string; file?: string; manifest?: string; options?: object; says: RegExp }[] = [
  { name: 'no manifest', options: { manifest: undefined }, says: /--manifest FILE/ },
  {
    name: 'a manifest that is not there',
    options: { manifest: 'nowhere.csv' },
    says: /nowhere\.csv: expected a file that can be read \(ENOENT\)/,
  },
  { name: 'a manifest of another format', file: 'm.xlsx', says: /expected one of \.csv, \.jsonl, \.ndjson, \.parquet/ },
  { name: 'an empty manifest', manifest: '', says: /with a header line/ },
  { name: 'a header that is none', manifest: 'fi"le\n', says: /with a header line/ },
  { name: 'a column that comes twice', manifest: 'file,x,x\n', says: /every column once/ },
  { name: 'a file column that is not there', manifest: 'path,x\n', says: /has no column file: name one of path, x/ },
  {
    name: 'a mapped column that is not there',
    options: { map: ['pge=origin.pageUrl'] },
    says: /has no column pge: name one of file/,
  },
  {
    name: 'an unknown kind',
    options: { kind: 'stolen' },
    says: /name one of web-crawl, licensed, purchased, partner, synthetic/,
  },
  { name: 'no kind at all', options: { kind: undefined }, says: /name --kind, one of web-crawl/ },
  { name: 'an unknown field', options: { map: ['file=item.id'] }, says: /no field item\.id; name one of/ },
]
for (const { name, file = 'm.csv', manifest = 'file\n', options, says } of misuses) {
  test(`${name} is wrong use, and what there is is said`, async () => {
    await assert.rejects(
      words(file, manifest, options),
      (error) => error instanceof SluiceError && error.code === 'USAGE' && says.test(error.message),
    )
  })
}

test('a folder that is not there is wrong use', async () => {
  const { manifest } = await delivery('m.csv', 'file\n')
  await assert.rejects(
    everything(deliveryImporter, ['nowhere'], { ...licensed, manifest }),
    /there is no folder nowhere/,
  )
  await assert.rejects(
    everything(deliveryImporter, [manifest], { ...licensed, manifest }),
    /is no folder: name the folder/,
  )
})
