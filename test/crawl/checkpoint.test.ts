import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { openCheckpoint } from '../../services/crawl/checkpoint.ts'
import { folderImporter } from '../../services/crawl/folder.ts'
import { noCounts } from '../../services/crawl/import-counts.ts'
import { readSettings } from '../../services/platform/settings.ts'

test('an import goes on only on the topic that it wrote to: one that ends before that is another', async (t) => {
  const [here, folder] = [process.cwd(), await mkdtemp(`${tmpdir()}/sluice-checkpoint-`)]
  process.chdir(folder)
  t.after(async () => {
    process.chdir(here)
    await rm(folder, { recursive: true, force: true })
  })
  const settings = readSettings({ SLUICE_BROKERS: 'localhost:1', SLUICE_REGISTRY: 'http://localhost:1' })
  const what = { importer: folderImporter, sources: ['x'], options: {}, all: false }
  const part = { name: 'x', size: 1, identity: 'as it was', read: async function* () {} }
  const open = (...ends: number[]) => openCheckpoint(what, settings, new Map(ends.entries()))

  const first = await open(7, 7)
  first.wrote({ partition: 1, offset: 20 })
  first.wrote({ partition: 1, offset: 19 })
  await first.save(part, 12, { ...noCounts(), published: 12 })

  const same = await open(7, 21)
  assert.deepEqual([same.foundIn(part), same.before?.published, same.isLost], [12, 12, false])
  assert.equal(same.foundIn({ ...part, identity: 'changed' }), 0)
  for (const ends of [[7, 20], [7], []]) {
    const other = await open(...ends)
    assert.deepEqual([other.foundIn(part), other.before, other.isLost], [0, null, true])
  }
})
