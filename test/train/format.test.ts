import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { sha256 } from '../integration/items.ts'
import { makeDataset, newItem, sameTestKey } from './made-dataset.ts'

const folder = await mkdtemp(join(tmpdir(), 'sluice-format-'))
after(() => rm(folder, { recursive: true, force: true }))

/**
 * What `verify` makes again, and compares. Where one of these changes, datasets that were exported before do not hold any more: another version of the
 * format has to be told apart then, in dataset.json, also when it is only a library that writes Parquet otherwise.
 */
const files = {
  'shards/000000.tar': 'cf97f8103cfcf31b06bfee4efcdf71561a739f3f395b6bf88f9aeb73adc425d2',
  'manifest/000000.parquet': '72ade9d59fd2948e6c08138ac3c333c53c8fbb0898d15535d8a581d64d8d940b',
  'dataset.json': 'e9523e44f1d8dcddbb720a4995f31e1ee0d0600ed702212cf227bc5188c75113',
  'croissant.json': 'dc6e3e72d17dd0071e5e18074f15d10f3edbc87d17fb97f8d0b18ae91691ffd9',
}

test('a dataset of version 1 is written as datasets of version 1 always were', async () => {
  const items = [0, 1, 2].map((number) => newItem(number, sameTestKey()))
  await makeDataset(folder, items, 3)
  const found: Record<string, string> = {}
  for (const file of Object.keys(files)) found[file] = sha256(await readFile(join(folder, file)))
  assert.deepEqual(found, files)
})
