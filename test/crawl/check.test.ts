import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { photograph } from '../integration/items.ts'

const cli = join(import.meta.dirname, '../../services/cli.ts')
let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-check-'))
  const files: Record<string, string | Buffer> = {
    'whole.jpg': photograph('nagasaki-boats'),
    'whole.jpg.json': JSON.stringify({
      acquisition: { finalUrl: 'https://example.org/boats.jpg', fetchedAt: 1_767_225_600_000 },
      supply: { kind: 'web-crawl' },
    }),
    'untold.jpg': photograph('acanthus-mollis'),
    'wrong.jpg': photograph('acanthus-mollis'),
    'wrong.jpg.json': '{"origin": {"pageUrl": 5}}',
    'page.html': '<!doctype html><p>no picture',
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
})
after(() => rm(folder, { recursive: true, force: true }))

/** Calls sluice where there is no Kafka, no registry and no stack. */
function sluice(words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [cli, ...words],
      { cwd: folder, env: { PATH: process.env.PATH } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}

test('a check says what would be published, what is missing, and what policy would hold, without Kafka', async () => {
  const { code, stdout } = await sluice(['crawl', 'check', folder, '--json'])
  const { published, bad, badList, leftOut, held, reasons, missing } = JSON.parse(stdout)
  assert.deepEqual(
    { published, bad, leftOut, held },
    { published: 2, bad: 1, leftOut: { 'media type unknown': 1 }, held: 1 },
  )
  assert.deepEqual(badList, [
    { file: 'wrong.jpg.json', field: 'origin.pageUrl', expected: 'Invalid input: expected string, received number' },
  ])
  assert.deepEqual(reasons, { PROVENANCE_INCOMPLETE: 1 })
  assert.deepEqual(missing['web-crawl: uploader'], { items: 1, enforced: false })
  assert.deepEqual(missing['none that is known: supplyKind'], { items: 1, enforced: true })
  assert.equal(code, 1)
})

test('a check by the name of an importer takes its options', async () => {
  const { code, stdout } = await sluice(['crawl', 'check', 'folder', folder, '--all', '--json'])
  assert.equal(JSON.parse(stdout).published, 3)
  assert.equal(code, 1)
})

test('the table for people names the facts and what policy does', async () => {
  const { stdout } = await sluice(['crawl', 'check', folder])
  assert.match(stdout, /as folder:/)
  assert.match(stdout, /web-crawl: uploader +│ 1 +│ counted/)
  assert.match(stdout, /Of 2 items policy would hold 1 for their provenance \(PROVENANCE_INCOMPLETE\)/)
})

for (const words of [
  ['crawl', 'check', '/nowhere'],
  ['crawl', 'check'],
]) {
  test(`\`sluice ${words.join(' ')}\` is wrong use`, async () => {
    const { code } = await sluice(words)
    assert.equal(code, 2)
  })
}

test('the last of several sources that is not there is wrong use before anything is connected', async () => {
  await writeFile(join(folder, 'one.warc'), '')
  const { code, stderr } = await sluice(['crawl', 'warc', 'one.warc', 'two.warc'])
  assert.match(stderr, /there is no file two\.warc/)
  assert.equal(code, 2)
})
