import { createCipheriv, randomInt } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { z } from 'zod'
import { pdqMatcher, pdqValues } from '../../services/domain/match/pdq.ts'
import { orientations, pdqHashes } from '../../services/domain/pdq.ts'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { photograph, photographs } from '../integration/items.ts'
import { inWords, keep, type Spread, spread } from './figures.ts'
import { readOptions, wholeNumber } from './options.ts'
import { preparePeers, startPeer } from './peers/peer.ts'

/*
 * PDQ in 8 orientations against pdqhash, and the search for known hashes against FAISS: the same input, one thread each, by turns in one
 * run. Exit code 1 when the two do not find the same.
 */
const USAGE = 'kernels.ts [--times 5] [--known 1000000,10000000]'

/** The photographs that come with packages, brought to this width. */
const WIDTH = 1024
const HASH_BYTES = 32
const RADIUS = 31
const QUERIES = 400
/** of the queries, those that lie near a known hash */
const PLANTED = 200

/** Known hashes that FAISS's index was tuned for. */
const MOST_TUNED = 1_000_000

/** Rounds a reading, so that each takes a few tenths of a second. */
const rounds = { ours: 60, theirs: 2 }

type Row = [what: string, ours: string, theirs: string, ratio: string]

const hashed = z.object({ milliseconds: z.number(), hashes: z.array(z.array(z.string())) })
const searched = z.object({ milliseconds: z.number(), hits: z.array(z.number()) })
const built = z.object({ buildSeconds: z.number() })

async function benchPdq(folder: string, times: number): Promise<Row[]> {
  const pictures = await Promise.all(
    photographs.map(async (name, at) => {
      const { data, info } = await sharp(photograph(name))
        .resize(WIDTH)
        .toColourspace('srgb')
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true })
      const path = join(folder, `picture-${at}`)
      await writeFile(path, data)
      return { path, data, width: info.width, height: info.height }
    }),
  )
  const peer = startPeer('pdq.py')
  await peer.ask({ pictures: pictures.map(({ path, width, height }) => ({ path, width, height })) }, z.object({}))
  const ours: number[] = []
  const theirs: number[] = []
  const hash = (): string[][] =>
    pictures.map(({ data, width, height }) => {
      const { hashes } = pdqHashes(data, width, height)
      return orientations.map((orientation) => Buffer.from(hashes[orientation]).toString('hex'))
    })
  hash()
  for (let time = 0; time < times; time++) {
    const began = performance.now()
    for (let round = 0; round < rounds.ours; round++) {
      for (const { data, width, height } of pictures) pdqHashes(data, width, height)
    }
    ours.push((performance.now() - began) / rounds.ours / pictures.length)
    const answer = await peer.ask({ rounds: rounds.theirs }, hashed)
    theirs.push(answer.milliseconds)
    if (JSON.stringify(answer.hashes) !== JSON.stringify(hash())) differ('PDQ hashes')
  }
  await peer.end()
  const sizes = pictures.map(({ width, height }) => `${width}x${height}`).join(', ')
  const ratio = spread(theirs.map((each, at) => each / (ours[at] ?? Number.NaN)))
  keep({ pdqVsPdqhash: ratio }, { pdq: { pictures: sizes, milliseconds: { ours, pdqhash: theirs } } })
  return [row(`PDQ, 8 orientations, ${pictures.length} photographs, pdqhash`, ours, theirs, ratio)]
}

async function benchSearch(folder: string, count: number, times: number): Promise<Row[]> {
  const known = hashes(count, 1)
  const queries = hashes(QUERIES, 2)
  for (let n = 0; n < PLANTED; n++) plant(queries, n, known, Math.floor((n * count) / PLANTED), n % (RADIUS + 1))
  const knownFile = join(folder, `known-${count}`)
  const queriesFile = join(folder, 'queries')
  await writeFile(knownFile, known)
  await writeFile(queriesFile, queries)

  const began = performance.now()
  const values = pdqValues(count)
  for (let ref = 0; ref < count; ref++) values.refs[ref] = ref
  values.bytes.set(known)
  const { search } = pdqMatcher(values.build())
  const buildSeconds = (performance.now() - began) / 1000
  const each = Array.from({ length: QUERIES }, (_, n) => queries.subarray(n * HASH_BYTES, (n + 1) * HASH_BYTES))
  const searchAll = (): number[] => each.map((query) => search(query, RADIUS).length)
  const hits = searchAll()

  const rows: Row[] = []
  for (const [index, name, most] of [
    ['multi-hash', 'FaissMultihash', QUERIES],
    ['multi-hash 11x23', 'FaissMultihash11x23', QUERIES],
    ['flat', 'FaissFlat', 40],
  ] as const) {
    // It takes 2^23 buckets for each substring, and several times as much memory as the others.
    if (index === 'multi-hash 11x23' && count > MOST_TUNED) continue
    const peer = startPeer('search.py')
    const { buildSeconds: theirBuild } = await withProgress(`FAISS ${index} of ${count}`, () =>
      peer.ask({ index, known: knownFile }, built),
    )
    const ours: number[] = []
    const theirs: number[] = []
    for (let time = 0; time < times; time++) {
      const start = performance.now()
      const found = searchAll()
      ours.push((performance.now() - start) / QUERIES)
      const answer = await peer.ask({ queries: queriesFile, count: most, radius: RADIUS }, searched)
      theirs.push(answer.milliseconds)
      if (answer.hits.some((number, n) => number !== found[n]) || found.some((number, n) => number !== hits[n])) {
        differ(`hits among ${count}`)
      }
    }
    await peer.end()
    const ratio = spread(theirs.map((their, at) => their / (ours[at] ?? Number.NaN)))
    const name10 = `index${count / 1_000_000}mVs${name}`
    keep(
      { [name10]: ratio },
      { [`${name10}Raw`]: { milliseconds: { ours, theirs }, buildSeconds, theirBuild, QUERIES } },
    )
    rows.push(row(`search at 31 bits among ${count}, FAISS ${index}`, ours, theirs, ratio))
  }
  rows.push([`building that index, seconds`, buildSeconds.toFixed(1), '', ''])
  return rows
}

function row(what: string, ours: readonly number[], theirs: readonly number[], ratio: Spread): Row {
  return [what, inWords(spread(ours), 4), inWords(spread(theirs), 2), inWords(ratio, 0)]
}

/** The same ones each time: a cipher's stream. */
function hashes(count: number, seed: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(count * HASH_BYTES))
}

/** Makes a query of a known hash with so many of its bits turned over. */
function plant(queries: Buffer, query: number, known: Buffer, at: number, bits: number): void {
  known.copy(queries, query * HASH_BYTES, at * HASH_BYTES, (at + 1) * HASH_BYTES)
  const places = new Set<number>()
  while (places.size < bits) places.add(randomInt(HASH_BYTES * 8))
  for (const place of places) {
    const byte = query * HASH_BYTES + (place >> 3)
    queries[byte] = (queries[byte] ?? 0) ^ (1 << (place & 7))
  }
}

function differ(what: string): void {
  process.stderr.write(`not the same ${what}\n`)
  process.exitCode = 1
}

const { times, known } = readOptions(USAGE, {
  times: wholeNumber.default(5),
  known: z
    .string()
    .default('1000000,10000000')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(z.number().int().gt(PLANTED))),
})
await preparePeers()
const folder = await mkdtemp(join(tmpdir(), 'sluice-kernels-'))
try {
  const rows = await benchPdq(folder, times)
  for (const each of known) rows.push(...(await benchSearch(folder, each, times)))
  process.stdout.write(`${asTable(['one thread, milliseconds', 'ours', 'theirs', 'times as fast'], rows)}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
