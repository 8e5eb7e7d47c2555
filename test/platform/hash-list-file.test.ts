import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { promisify } from 'node:util'
import { readHashListFile } from '../../services/platform/hash-list-file.ts'

const folder = await mkdtemp(join(tmpdir(), 'sluice-list-'))
after(() => rm(folder, { recursive: true }))
const file = join(folder, 'known.csv')
const a = 'a'.repeat(32)
const b = 'b'.repeat(32)
const pdq = '5c'.repeat(32)

async function readText(text: string) {
  await writeFile(file, text)
  return readHashListFile(file, 'known')
}

test('a file with BOM, CRLF, quotes, spaces and empty lines is read', async () => {
  const { entries } = await readText(`\uFEFFid,md5,classification\r\n\r\n e1 ,${a},"A, ""1"""\r\n\r\ne2,${b},\r\n`)
  assert.deepEqual(
    [...entries].map(({ list, id, classification }) => [list, id, classification]),
    [
      ['known', 'e1', 'A, "1"'],
      ['known', 'e2', null],
    ],
  )
})

test('PDQ hashes of poor quality are counted and left out', async () => {
  const { entries, lowQuality, rowsLeftOut } = await readText(
    `id,md5,pdq,quality\n1,${a},${pdq},20\n2,,${pdq},20\n3,,${pdq},90\n`,
  )
  assert.deepEqual([[...entries].map(({ id }) => id), lowQuality, rowsLeftOut], [['1', '3'], 2, 1])
})

test('a file of JSON lines is read as the same list', async () => {
  const csv = `id,md5,quality,classification,opinions,withdrawn,signal:photodna\n1,${a},,A1,m:negative;n:seed,,\n2,${b},,,,true,abcd\n`
  const lines = [
    `\uFEFF {"id":"1","md5":"${a}","classification":"A1","opinions":[{"member":"m","opinion":"negative"},{"member":"n","opinion":"seed"}]}\r`,
    '',
    `{"id":"2","md5":"${b}","withdrawn":true,"signal:photodna":"abcd"}`,
  ].join('\n')
  const [fromCsv, fromJson] = [await readText(csv), await readText(lines)]
  assert.deepEqual([...fromJson.entries], [...fromCsv.entries])
  assert.equal(fromJson.entries.digest(), fromCsv.entries.digest())
  assert.deepEqual(fromJson.entries.standings(), { positive: 0, disputed: 1, seed: 0, negative: 0, withdrawn: 1 })
})

const bad: Array<[what: string, text: string, expected: RegExp]> = [
  ['an unknown column', `md5,url\n${a},x\n`, /known\.csv, line 1: unknown column "url"/],
  ['a file without a header', `${a}\n${b}\n`, /known\.csv, line 1: unknown column/],
  ['bad hex', `md5\n${a}\n${b}\nzz\n`, /known\.csv, line 4: md5: expected 32 hex digits/],
  ['bad hex after a quoted line feed', `md5,classification\n${a},"x\ny"\nzz,\n`, /known\.csv, line 4: md5/],
  ['an id that comes twice', `id,md5\n1,${a}\n2,${a}\n1,${b}\n`, /known\.csv, line 4: the same entry as in line 2/],
  [
    'the same hashes twice without ids',
    `md5\n${a}\n${a.toUpperCase()}\n`,
    /known\.csv, line 3: the same entry as in line 2/,
  ],
  ['a field too many', `md5\n${a}\n${b},x\n`, /known\.csv, line 3: expected as many fields/],
  ['an unclosed quote', `md5\n"${a}\n`, /known\.csv, line \d+: expected comma-separated values/],
  ['bad hex in JSON', `{"md5":"${a}"}\n{"md5":"zz"}\n`, /known\.csv, line 2: md5: expected 32 hex digits/],
  ['a line of JSON cut short', `{"md5":"${a}"}\n{"md5":"${b}"`, /known\.csv, line 2: expected object/],
  [
    'the same id twice in JSON',
    `{"id":"1","md5":"${a}"}\n{"id":"1","md5":"${b}"}`,
    /line 2: the same entry as in line 1/,
  ],
  ['a line without end', `{"md5":"${'a'.repeat(70_000)}"}`, /known\.csv, line 1: expected at most 65536 bytes/],
  ['a header alone', 'md5\n', /known\.csv: expected a header line \(or lines of JSON\) and at least one usable entry/],
  ['nothing', '', /known\.csv: expected a header line/],
]
for (const [what, text, expected] of bad) {
  test(`a list file with ${what} is refused with file and line`, async () => {
    await assert.rejects(readText(text), { code: 'LIST_INVALID', message: expected })
  })
}

test('a file that is not there is refused', async () => {
  await assert.rejects(readHashListFile(join(folder, 'none.csv'), 'known'), { code: 'LIST_INVALID', message: /ENOENT/ })
})

test('a pipe is refused: a list is read twice, and what was read of a pipe is gone', async () => {
  // Whole lines fill the pipe, so that what is left begins with one too.
  const lines = Array.from({ length: 4096 }, (_, at) => `{"md5":"${a}","id":"${String(at).padStart(13, '0')}"}\n`)
  assert.equal(lines[0]?.length, 64)
  await writeFile(file, lines.join(''))
  const module = join(import.meta.dirname, '../../services/platform/hash-list-file.ts')
  const reads = `const { readHashListFile } = await import(${JSON.stringify(module)})
    const told = await readHashListFile('/dev/stdin', 'known').catch((error) => error)
    console.log(told.entries?.length ?? \`\${told.code}: \${told.message}\`)`
  const words = ['-c', 'cat "$1" | "$2" --input-type=module -e "$3"', 'sh', file, process.execPath, reads]
  const { stdout } = await promisify(execFile)('sh', words)
  assert.match(stdout, /^LIST_INVALID: \/dev\/stdin: .*not a pipe.*write it to a file first/)
})
