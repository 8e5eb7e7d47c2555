import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { z } from 'zod'
import { response } from './warc-files.ts'

const MIB = 1_048_576
/** MiB; in less than that a process is not warm yet. */
const SMALL = 30
/** MiB; a third of what more is read. */
const MOST_MORE = (4 * SMALL) / 3
const READER = join(import.meta.dirname, 'read-warc-alone.ts')

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-warc-'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** Pages, each with twenty pictures behind it. */
async function write(mebibytes: number, pack: boolean): Promise<string> {
  const path = join(folder, `${mebibytes}.warc${pack ? '.gz' : ''}`)
  const file = await open(path, 'w')
  const picture = randomFillSync(Buffer.alloc(50_000))
  let written = 0
  for (let n = 0; written < mebibytes * MIB; n++) {
    const url = `http://example.org/${n}`
    const isPage = n % 21 === 0
    const html = Array.from({ length: 20 }, (_, at) => `<img src="/${n + 1 + at}" alt="picture ${at}">`).join('\n')
    const made = isPage ? response(url, html, {}, 'Content-Type: text/html') : response(url, picture)
    const bytes = pack ? gzipSync(made, { level: 0 }) : made
    await file.write(bytes)
    written += bytes.length
  }
  await file.close()
  return path
}

/** Reads a file in a process of its own. @returns the most memory that it held, in MiB */
async function peakOf(path: string): Promise<{ items: number; peak: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [READER, path])
  return z.object({ items: z.number(), peak: z.number() }).parse(JSON.parse(stdout))
}

for (const pack of [false, true]) {
  test(`five times as much is read in the same memory, ${pack ? 'packed' : 'plain'}`, async () => {
    const small = await peakOf(await write(SMALL, pack))
    const large = await peakOf(await write(5 * SMALL, pack))
    assert.ok(large.items > 4.9 * small.items)
    // A small file is read before the process has come to what it keeps; the rest is measured by test/bench/imports.ts, on 2 GB.
    const more = large.peak - small.peak
    assert.ok(more < MOST_MORE, `${more} MiB more for ${4 * SMALL} MiB more to read`)
  })
}
