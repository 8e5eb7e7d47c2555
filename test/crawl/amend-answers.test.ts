import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Answer, type BadRow, readManifest } from '../../services/crawl/amend/answers.ts'
import { SluiceError } from '../../services/domain/errors.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-manifest-'))
})
after(() => rm(folder, { recursive: true }))

async function read(name: string, text: string): Promise<Array<Answer | BadRow>> {
  const file = join(folder, name)
  await writeFile(file, text)
  return await Array.fromAsync(readManifest(file))
}

function fieldsOf(row: Answer | BadRow | undefined): Record<string, unknown> {
  assert.ok(row && 'fields' in row, JSON.stringify(row))
  return Object.fromEntries(row.fields)
}

test('a CSV manifest has texts as they stand, numbers and lists by the type of their field; an empty cell tells nothing', async () => {
  const [first, second] = await read(
    'a.csv',
    '\ufeffshard,itemId,supply.contract,acquisition.status,acquisition.redirects,liveness.lastSeenAt\n' +
      'x,one,17,200,"[""https://example.org/a""]",1767225600000\n' +
      'y,two,"a, ""b""",,,\n',
  )
  assert.deepEqual(fieldsOf(first), {
    'supply.contract': '17',
    'acquisition.status': 200,
    'acquisition.redirects': ['https://example.org/a'],
    'liveness.lastSeenAt': 1_767_225_600_000,
  })
  assert.deepEqual(fieldsOf(second), { 'supply.contract': 'a, "b"' })
})

test('JSON lines tell the same, and may name an item by its coordinates', async () => {
  const [row] = await read(
    'a.jsonl',
    '\n{"coordinates": "c/crawl.items/1/17", "supply.row": 3, "supply.shard": null}\n',
  )
  assert.deepEqual(fieldsOf(row), { 'supply.row': 3 })
  assert.ok(row && 'item' in row)
  assert.deepEqual(row.item, { coordinates: { cluster: 'c', topic: 'crawl.items', partition: 1, offset: 17 } })
  assert.equal(row.line, 2)
})

test('a row that can not be used is told by line and field, without what stood there, and the others are read', async () => {
  const rows = await read(
    'bad.jsonl',
    [
      '{"itemId": "a", "supply.row": "many secrets"}',
      'no JSON',
      '[]',
      '{"itemId": "b"}',
      '{"supply.row": 1}',
      '{"itemId": "no/id", "supply.row": 1}',
      '{"itemId": "c", "coordinates": "crawl.items/0/1", "supply.row": 1}',
      '{"itemId": "d", "payload.sha256": "0"}',
      '{"itemId": "e", "item.id": "f"}',
      '{"itemId": "f", "__proto__.x": 1}',
      '{"itemId": "g", "supply.row": 1}',
    ].join('\n'),
  )
  assert.deepEqual(
    rows.map((row) => ('fields' in row ? 'good' : row.field)),
    ['supply.row', '', '', '', '', '', '', 'payload.sha256', 'item.id', '__proto__.x', 'good'],
  )
  assert.doesNotMatch(JSON.stringify(rows), /secrets/)
})

test('a row with too many cells is told, and the others are read', async () => {
  const rows = await read('ragged.csv', 'itemId,supply.row\na,1,2\nb,2\n')
  assert.deepEqual(
    rows.map((row) => ('fields' in row ? 'good' : row.expected)),
    ['expected 2 values, as the header line has; there are 3', 'good'],
  )
})

const wrong: ReadonlyArray<readonly [what: string, name: string, text: string, sentence: RegExp]> = [
  ['a column that is no field', 'a.csv', 'itemId,supply.colour\na,red\n', /"supply\.colour" is no field/],
  ['a column twice', 'a.csv', 'itemId,supply.row,supply.row\na,1,2\n', /expected every column once/],
  ['no column that names the item', 'a.csv', 'supply.row\n1\n', /expected a column itemId or coordinates/],
  ['nothing at all', 'a.csv', '', /with a header line/],
]
for (const [what, name, text, sentence] of wrong) {
  test(`a manifest with ${what} is refused as a whole`, async () => {
    await assert.rejects(
      read(name, text),
      (error) => error instanceof SluiceError && error.code === 'USAGE' && sentence.test(error.message),
    )
  })
}

test('a manifest that is not there is said to be missing', async () => {
  for (const name of ['none.csv', 'none.jsonl']) {
    await assert.rejects(Array.fromAsync(readManifest(join(folder, name))), /expected a file that can be read/)
  }
})
