import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parquetWriteFile } from 'hyparquet-writer'
import { SidecarError } from '../../services/crawl/sidecar.ts'
import { openParquet } from '../../services/crawl/tables/parquet.ts'

/** The count of a run of repeated values; with 0 there, the library goes round for ever. */
const RUN_COUNT_AT = 836
const RUN_COUNT = 21

test('a Parquet file that keeps its reader busy for ever is told as damaged, and the next one is read', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-parquet-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [whole, endless] = ['whole.parquet', 'endless.parquet'].map((name) => join(folder, name)) as [string, string]
  const numbers = Array.from({ length: 200 }, (_, at) => at)
  parquetWriteFile({
    filename: whole,
    columnData: [
      { name: 'file', data: numbers.map((at) => `f${at}.jpg`) },
      { name: 'n', data: numbers.map((at) => at % 7), type: 'INT32' },
    ],
  })
  const bytes = await readFile(whole)
  assert.equal(bytes[RUN_COUNT_AT], RUN_COUNT, 'the writer lays its files out in another way: look for the place anew')
  bytes[RUN_COUNT_AT] = 0
  await writeFile(endless, bytes)
  // The thread that decodes is there from now on.
  const rowAt = await (await openParquet(whole)).read(0)
  const { read } = await openParquet(endless, 5000)
  await assert.rejects(read(0), (error) => error instanceof SidecarError && /undamaged/.test(error.expected))
  assert.deepEqual(
    [...rowAt(8)],
    [
      ['file', 'f8.jpg'],
      ['n', 1],
    ],
  )
})
