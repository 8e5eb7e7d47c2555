import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type CorpusOptions, makeCorpus } from '../../infra/demo/corpus.ts'
import { derivations } from '../../infra/demo/derivations.ts'
import { loadOriginals } from '../../infra/demo/originals.ts'
import { readFolder } from '../../services/crawl/folder.ts'
import { readHashListFile } from '../../services/platform/hash-list-file.ts'

let folder = ''
const few: CorpusOptions = {
  originals: ({ name }) => name === 'nagasaki-boats-part' || name === 'acanthus-mollis-part',
  derivations: ({ name }) => ['identical', 'quality-40', 'as-gif', 'later-frame-webp', 'exif-6'].includes(name),
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-corpus-'))
})
after(() => rm(folder, { recursive: true, force: true }))

test('the whole corpus has over 300 items, over 100 of them derived from pictures that are not listed', async () => {
  const originals = await loadOriginals()
  const of = (listed: boolean) => originals.filter((original) => original.listed === listed).length * derivations.length
  assert.ok(of(true) + of(false) > 300)
  assert.ok(of(false) > 100)
  assert.equal(new Set(derivations.map(({ name }) => name)).size, derivations.length)
})

test('the corpus comes out the same each time, is not made again, and its index tells of every item in the folder', async () => {
  const made = await makeCorpus(join(folder, 'one'), few)
  const again = await makeCorpus(join(folder, 'two'), few)
  assert.deepEqual(again.items, made.items)
  const kept = await makeCorpus(join(folder, 'one'), {
    ...few,
    onProgress: () => assert.fail('made again'),
  })
  assert.deepEqual(kept, made)

  const digests: string[] = []
  for await (const found of readFolder(made.pictures)) {
    assert.equal(found.kind, 'item')
    if (found.kind !== 'item') continue
    digests.push(createHash('sha256').update(found.collected.payload).digest('hex'))
    assert.notEqual(found.collected.envelope.supply, null)
    assert.deepEqual(found.collected.envelope.extra, {})
  }
  assert.deepEqual(digests.sort(), made.items.map(({ sha256 }) => sha256).sort())
})

test('the stand-in list holds the listed originals, with every digest and a PDQ hash of good quality', async () => {
  const { list, items } = await makeCorpus(join(folder, 'one'), few)
  const { entries, lowQuality } = await readHashListFile(list, 'stand-in')
  assert.deepEqual(
    [...entries].map(({ id }) => id),
    ['nagasaki-boats-part'],
  )
  assert.equal(lowQuality, 0)
  const entry = entries.at(0)
  assert.deepEqual(entry?.signals.map(({ signal }) => signal).sort(), ['md5', 'pdq', 'sha1', 'sha256'])
  const identical = items.find(({ path }) => path === 'nagasaki-boats-part/identical.jpg')
  assert.equal(entry?.signals.find(({ signal }) => signal === 'sha256')?.value.toString('hex'), identical?.sha256)
})
