import assert from 'node:assert/strict'
import { createWriteStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { pack } from 'tar-stream'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { startSluice, stopWhen } from '../integration/gate-process.ts'
import { openBench } from '../integration/harness.ts'
import { tinyPicture } from '../integration/items.ts'

const ITEMS = 9000
/** Longer than an import goes without writing down where it is. */
const WRITTEN_DOWN_MS = 1100
/** More than are on their way at once: the producer's window, and what is handed to it. */
const UNDER_WAY = 1100

/** Makes a source of so many items in a folder. @returns the words behind `sluice crawl` */
type MakeSource = (folder: string, items: number, picture: Buffer) => Promise<string[]>

const sources: Readonly<Record<string, MakeSource>> = {
  async warc(folder, items, picture) {
    const file = join(folder, 'crawl.warc')
    const out = createWriteStream(file)
    const http = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: ${picture.length}\r\n\r\n`)
    for (let n = 0; n < items; n++) {
      const head = [
        'WARC/1.1',
        'WARC-Type: response',
        `WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-${String(n).padStart(12, '0')}>`,
        `WARC-Target-URI: https://example.org/${n}.png`,
        'WARC-Date: 2026-01-05T09:00:00Z',
        'Content-Type: application/http;msgtype=response',
        `Content-Length: ${http.length + picture.length}`,
      ]
      out.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), http, picture, Buffer.from('\r\n\r\n')]))
    }
    out.end()
    await finished(out)
    return ['warc', file]
  },

  async img2dataset(folder, items, picture) {
    const shards = 3
    for (let shard = 0; shard < shards; shard++) {
      const tar = pack()
      const out = tar.pipe(createWriteStream(join(folder, `${String(shard).padStart(5, '0')}.tar`)))
      for (let n = 0; n < items / shards; n++) {
        const key = String(shard * 10_000 + n).padStart(9, '0')
        const told = { key, url: `https://example.org/${key}.png`, status: 'success', caption: `picture ${key}` }
        tar.entry({ name: `${key}.png` }, picture)
        tar.entry({ name: `${key}.json` }, JSON.stringify(told))
      }
      tar.finalize()
      await finished(out)
    }
    return ['img2dataset', folder]
  },

  async delivery(folder, items, picture) {
    const pictures = join(folder, 'pictures')
    await mkdir(pictures)
    const manifest = join(folder, 'manifest.csv')
    const lines = ['file']
    for (let n = 0; n < items; n++) {
      await writeFile(join(pictures, `${n}.png`), picture)
      lines.push(`${n}.png`)
    }
    await writeFile(manifest, `${lines.join('\n')}\n`)
    const told = ['--kind', 'licensed', '--supplier', 'Example Agency', '--contract', 'EA-1']
    return ['delivery', pictures, '--manifest', manifest, ...told]
  },
}

for (const [importer, makeSource] of Object.entries(sources)) {
  test(`${importer}: killed in the middle and called again, every item is there, and not all of them twice`, {
    skip: skipWithoutPython(),
  }, async (t) => {
    const bench = await openBench(t)
    const folder = join(bench.folder, importer)
    await mkdir(folder)
    const words = ['crawl', ...(await makeSource(folder, ITEMS, await tinyPicture(1))), '--json']

    const killed = startSluice(words, bench.environment)
    const written = (least: number) =>
      stopWhen(killed, `more than ${least} items are written`, async () => {
        const now = await bench.endOf('crawl.items')
        return now > least && now
      })
    const held = await written(ITEMS / 8)
    // For so long that it writes down where it is as soon as it goes on, however fast it is.
    await wait(WRITTEN_DOWN_MS)
    await written(held + UNDER_WAY)
    killed.kill('SIGKILL')
    assert.equal((await killed.ended).signal, 'SIGKILL')
    const before = await bench.endOf('crawl.items')
    assert.ok(before < ITEMS, 'it was cut off in the middle')

    const again = await bench.sluice(words)
    assert.match(again.stderr(), /going on after a former import/)
    assert.equal(JSON.parse(again.stdout()).published, ITEMS)
    const { records } = await readTopics(bench.settings, [bench.topic('crawl.items')])
    const ids = new Set(records.map(({ key }) => key))
    assert.equal(ids.size, ITEMS, 'every item, once among equal ids')
    assert.ok(records.length < ITEMS + before, 'what had been confirmed is not published again')
  })
}
