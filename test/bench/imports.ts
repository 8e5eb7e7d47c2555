import assert from 'node:assert/strict'
import { createWriteStream } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import sharp from 'sharp'
import { z } from 'zod'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { packed, record, response } from '../crawl/warc-files.ts'
import { startSluice } from '../integration/gate-process.ts'
import { openBench, openScope } from '../integration/harness.ts'
import { photograph, photographs } from '../integration/items.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, type Spread, spread } from './figures.ts'
import { peakBytes } from './gate-cost.ts'
import { readOptions, wholeNumber } from './options.ts'

/*
 * How fast `sluice crawl warc` brings a WARC onto real Kafka, and the most memory that it holds, of a small and of a large file: what ten times as long
 * takes ten times the memory does not scale. Exit code 1 when an import does not publish every picture.
 */
const USAGE = 'imports.ts [--times 3] [--small 200] [--large 2000], in MB'

const FOLDER = '.sluice/bench/imports'
const MB = 1_000_000
const LOOK_MS = 50
/** Widths of the pictures, in turn: some travel in their message, some by reference. */
const WIDTHS = [160, 320, 640, 1024] as const
const PICTURES_A_PAGE = 20

type Made = { path: string; megabytes: number; pictures: number }
type Measured = { seconds: number; megabytesPerSecond: number; peakMebibytes: number }

async function makePictures(): Promise<Buffer[]> {
  return await Promise.all(
    photographs.flatMap((name) =>
      WIDTHS.map((width) => sharp(photograph(name)).resize(width).jpeg({ quality: 85 }).toBuffer()),
    ),
  )
}

/** Pages, each with its pictures and their requests behind it, as crawlers write them: a gzip member a record. */
async function makeFile(pictures: readonly Buffer[], megabytes: number): Promise<Made> {
  await mkdir(FOLDER, { recursive: true })
  const path = join(FOLDER, `${megabytes}.warc.gz`)
  let count = 0
  function* records(): Generator<Buffer> {
    let bytes = 0
    for (let page = 0; bytes < megabytes * MB; page++) {
      const pageUrl = `http://example.org/${page}`
      const names = Array.from({ length: PICTURES_A_PAGE }, (_, at) => `${page}/${at}.jpg`)
      const html = names.map((name) => `<p><img src="/${name}" alt="A photograph, ${name}"></p>`).join('\n')
      const made = [response(pageUrl, `<title>Page ${page}</title>${html}`, {}, 'Content-Type: text/html')]
      for (const name of names) {
        const url = `http://example.org/${name}`
        const picture = pictures[count % pictures.length] ?? Buffer.alloc(0)
        // What stands behind a JPEG's end is not shown: each is another item.
        const body = Buffer.concat([picture, Buffer.from(`${megabytes}/${count}`)])
        const head = { 'WARC-Target-URI': url, 'WARC-Concurrent-To': `<urn:test:${url}>` }
        made.push(
          response(url, body, { 'WARC-IP-Address': '192.0.2.1' }, 'Content-Type: image/jpeg'),
          record('request', head, `GET /${name} HTTP/1.1\r\nHost: example.org\r\nReferer: ${pageUrl}\r\n\r\n`),
        )
        count++
      }
      const bytesOfPage = packed(...made)
      bytes += bytesOfPage.length
      yield bytesOfPage
    }
  }
  await pipeline(Readable.from(records()), createWriteStream(path))
  return { path, megabytes: (await stat(path)).size / MB, pictures: count }
}

const counts = z.object({ published: z.number(), bad: z.number() })

/** Imports a file onto topics of its own, which are gone afterwards. */
async function importOnce({ path, megabytes, pictures }: Made): Promise<Measured> {
  const scope = openScope('imports')
  try {
    const bench = await openBench(scope)
    const started = performance.now()
    const command = startSluice(['crawl', 'warc', path, '--json'], bench.environment)
    let peak = 0
    while (command.running()) {
      // The system keeps the most that there ever was, until the process is gone.
      peak = Math.max(peak, peakBytes(command.pid))
      await wait(LOOK_MS)
    }
    const { code } = await command.ended
    const seconds = (performance.now() - started) / 1000
    assert.equal(code, 0, command.stderr())
    assert.deepEqual(counts.parse(JSON.parse(command.stdout())), { published: pictures, bad: 0 })
    scope.passed = true
    return { seconds, megabytesPerSecond: megabytes / seconds, peakMebibytes: peak / 2 ** 20 }
  } finally {
    await scope.close()
  }
}

async function benchImports(times: number, small: number, large: number): Promise<void> {
  try {
    const pictures = await makePictures()
    const files = await withProgress('WARC files are made', async () => [
      await makeFile(pictures, small),
      await makeFile(pictures, large),
    ])
    const measured = files.map((file) => ({ file, runs: [] as Measured[] }))
    for (let time = 0; time < times; time++) {
      for (const { file, runs } of measured) {
        const label = `${file.megabytes.toFixed(0)} MB are imported, ${time + 1} of ${times}`
        runs.push(await withProgress(label, () => importOnce(file)))
      }
    }
    const [first = [], last = []] = measured.map(({ runs }) => runs)
    const ratio = spread(last.map(({ peakMebibytes }, time) => peakMebibytes / (first[time]?.peakMebibytes ?? 0)))
    const rates = measured.map(({ runs }) => spread(runs.map(({ megabytesPerSecond }) => megabytesPerSecond)))
    const peaks = measured.map(({ runs }) => spread(runs.map(({ peakMebibytes }) => peakMebibytes)))
    const words = (values: readonly Spread[], at: number, digits: number): string => {
      const value = values[at]
      return value === undefined ? '' : inWords(value, digits)
    }
    keep({ importWarcPeakRatio: ratio }, { importWarcMegabytesPerSecond: rates.at(-1), importWarcRaw: measured })
    const head = ['WARC, MB', 'pictures', 'MB a second', 'memory at most, MiB']
    const rows = measured.map(({ file }, at) => [
      file.megabytes.toFixed(0),
      file.pictures,
      words(rates, at, 1),
      words(peaks, at, 0),
    ])
    process.stdout.write(
      `${asTable(head, rows)}\nthe large one took ${inWords(ratio, 2)} times the memory of the small one\n`,
    )
    process.stdout.write(`${JSON.stringify({ ratio, megabytesPerSecond: rates, peakMebibytes: peaks })}\n`)
  } finally {
    await rm(FOLDER, { recursive: true, force: true })
  }
}

const { times, small, large } = readOptions(USAGE, {
  times: wholeNumber.default(3),
  small: wholeNumber.default(200),
  large: wholeNumber.default(2000),
})
await withStack(() => benchImports(times, small, large))
