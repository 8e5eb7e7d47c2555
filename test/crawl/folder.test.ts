import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { folderItemId, readFolder } from '../../services/crawl/folder.ts'
import type { Found } from '../../services/crawl/importer.ts'
import { isItemId } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'

let outside = ''
let folder = ''

before(async () => {
  outside = await mkdtemp(join(tmpdir(), 'sluice-folder-'))
  folder = join(outside, 'pictures')
  const files: Record<string, string> = {
    'pictures/b.jpg': 'bytes of b',
    'pictures/b.jpg.json': '{"origin": {"platform": "somewhere"}}',
    'pictures/a/z.png': 'bytes of z',
    'pictures/a/B.png': 'bytes of B',
    'pictures/alone.json': '{"an": "item"}',
    'pictures/told.json': '{"an": "item too"}',
    'pictures/told.json.json': '{"supply": {"kind": "licensed"}}',
    'pictures/empty.gif': '',
    'pictures/wrong.jpg': 'bytes of wrong',
    'pictures/wrong.jpg.json': '{"origin": {"pageUrl": 5}}',
    'pictures/.hidden.jpg': 'hidden',
    'pictures/.git/config': 'hidden',
    'other/secret.jpg': 'not for crawling',
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(outside, path)), { recursive: true })
    await writeFile(join(outside, path), text)
  }
  await symlink('b.jpg', join(folder, 'link-inside.jpg'))
  await symlink('../other/secret.jpg', join(folder, 'link-outside.jpg'))
  await symlink('../other', join(folder, 'link-folder-outside'))
  await symlink('.', join(folder, 'link-circle'))
  await symlink('nowhere', join(folder, 'link-nowhere.jpg'))
})

after(() => rm(outside, { recursive: true, force: true }))

async function everything(root: string): Promise<Found[]> {
  const all: Found[] = []
  for await (const found of readFolder(root)) all.push(found)
  return all
}

test('every file is found once, in order of paths; sidecars are no items, hidden files and links that lead out are counted', async () => {
  const found = await everything(folder)
  const texts = found.map((one) =>
    one.kind === 'item'
      ? Buffer.from(one.collected.payload).toString()
      : one.kind === 'bad'
        ? `${one.file} ${one.field}`
        : one.reason,
  )
  assert.deepEqual(texts, [
    'hidden',
    'hidden',
    'bytes of B',
    'bytes of z',
    '{"an": "item"}',
    'bytes of b',
    '',
    'link to no file in DIR',
    'link to no file in DIR',
    'bytes of b',
    'link to no file in DIR',
    'link to no file in DIR',
    '{"an": "item too"}',
    'wrong.jpg.json origin.pageUrl',
  ])
})

test('a sidecar tells of the file that it stands beside', async () => {
  const told = new Map<string, string | undefined>()
  for await (const one of readFolder(folder)) {
    if (one.kind !== 'item') continue
    const { envelope, payload } = one.collected
    const text = Buffer.from(payload).toString()
    told.set(text, told.get(text) ?? envelope.origin?.platform ?? envelope.supply?.kind)
  }
  assert.equal(told.get('bytes of b'), 'somewhere')
  assert.equal(told.get('{"an": "item too"}'), 'licensed')
  assert.equal(told.get('bytes of z'), undefined)
})

test('reading twice gives the same well-formed ids, each once', async () => {
  const ids = async (): Promise<(string | undefined)[]> => {
    const found = await everything(folder)
    return found.flatMap((one) => (one.kind === 'item' ? [one.collected.envelope.item?.id] : []))
  }
  const first = await ids()
  assert.deepEqual(await ids(), first)
  assert.equal(new Set(first).size, first.length)
  assert.ok(first.every((id) => id !== undefined && isItemId(id)))
})

test('an item id depends on the path and on the bytes', () => {
  const id = folderItemId('a/b.jpg', Buffer.from('1'))
  assert.equal(folderItemId('a/b.jpg', Buffer.from('1')), id)
  assert.notEqual(folderItemId('a/c.jpg', Buffer.from('1')), id)
  assert.notEqual(folderItemId('a/b.jpg', Buffer.from('2')), id)
})

for (const wrong of ['nowhere', 'b.jpg']) {
  test(`a folder called ${wrong} that is none is wrong use`, async () => {
    await assert.rejects(
      everything(join(folder, wrong)),
      (error) => error instanceof SluiceError && error.code === 'USAGE' && error.fault === 'usage',
    )
  })
}

test('a sidecar that is not UTF-8 is told as bad: what it says is not guessed', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-sidecar-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await writeFile(join(root, 'a.png'), 'a')
  await writeFile(join(root, 'a.png.json'), Buffer.from('{"origin": {"uploaderHandle": "Jos\u00e9"}}', 'latin1'))
  assert.deepEqual(await everything(root), [{ kind: 'bad', file: 'a.png.json', field: '', expected: 'expected UTF-8' }])
})

test('a sidecar that is a link out of the folder, or a pipe that nobody writes, is told as bad', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-sidecar-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'in'))
  await writeFile(join(root, 'private.json'), '{"extra": {"secret": "x"}}')
  for (const name of ['a.png', 'b.png', 'c.png']) await writeFile(join(root, 'in', name), name)
  await writeFile(join(root, 'in', 'told'), '{"origin": {"platform": "somewhere"}}')
  await symlink('../private.json', join(root, 'in', 'a.png.json'))
  execFileSync('mkfifo', [join(root, 'in', 'b.png.json')])
  await symlink('told', join(root, 'in', 'c.png.json'))
  const found = await everything(join(root, 'in'))
  assert.deepEqual(
    found.map((one) =>
      one.kind === 'bad' ? one.file : one.kind === 'item' && one.collected.envelope.origin?.platform,
    ),
    ['a.png.json', 'b.png.json', 'somewhere', undefined],
  )
})
