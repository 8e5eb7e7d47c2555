import { hash } from 'node:crypto'
import type { Admin } from 'kafkajs'
import sharp from 'sharp'
import { countOutcomes, faultsOf } from '../foreign/outcome-count.ts'
import type { Bench, ListRow } from '../integration/harness.ts'
import { crawlItem, pdq, pdqAtDistance, photograph, photographs, sha256 } from '../integration/items.ts'

/** How a payload comes: in the message on the door, or in the intake store with a reference to it in the message. */
export const ways = ['inline', 'by reference'] as const
export type Way = (typeof ways)[number]

/** of every picture, in pixels */
export const SIZE = { width: 1024, height: 683 }
/** of the items, every so manieth is near a known hash */
const PLANTED_EVERY = 50
/** How far it is from the known one, in bits. */
const PLANTED_BITS = 20
/** Items of one request, so that few are in memory. */
const AT_ONCE = 64
/** Where a photograph is cut, as shares of its sides. */
const CUTS = [
  [0, 0],
  [0.1, 0],
  [0, 0.1],
  [0.1, 0.1],
] as const

/** Pictures to make items of, as JPEG of usual quality. */
export type Pictures = {
  /** the one that shall be found */
  known: Buffer
  /** hash near its own, as hex */
  knownHash: string
  /** of other photographs */
  others: Buffer[]
  /** mean length of a file */
  bytes: number
}

/** Photographs cut in several ways. */
export async function makePictures(): Promise<Pictures> {
  const [known = Buffer.alloc(0), ...others] = await Promise.all(
    photographs.flatMap((name, at) => (at === 0 ? CUTS.slice(0, 1) : CUTS).map((cut) => cutOut(photograph(name), cut))),
  )
  const bytes = [known, ...others].reduce((sum, { length }) => sum + length, 0) / (others.length + 1)
  return { known, knownHash: pdqAtDistance((await pdq(known)).hex, PLANTED_BITS), others, bytes }
}

async function cutOut(file: Buffer, [left, top]: readonly [number, number]): Promise<Buffer> {
  const { width, height } = await sharp(file).metadata()
  const box = {
    left: Math.floor(width * left),
    top: Math.floor(height * top),
    width: Math.floor(width * 0.9),
    height: Math.floor(height * 0.9),
  }
  return sharp(file)
    .extract(box)
    .resize({ ...SIZE, fit: 'cover' })
    .jpeg({ quality: 85 })
    .toBuffer()
}

/** The picture of the nth item of every round. */
export function pictureOf({ known, others }: Pictures, n: number): Buffer {
  return n % PLANTED_EVERY === 0 ? known : (others[n % others.length] ?? known)
}

/** Known hashes as hex, as many as shall be, the same ones each time: the first is near a picture, the others are near nothing. */
export function* knownHashes({ knownHash }: Pictures, count: number): Generator<string> {
  yield knownHash
  for (let n = 1; n < count; n++) yield hash('sha256', String(n))
}

/** The same as rows of a list. */
export function* knownRows(pictures: Pictures, count: number): Generator<ListRow> {
  let n = 0
  for (const each of knownHashes(pictures, count)) yield { id: `e${n++}`, pdq: each }
}

/** Where the items of one round lie on the door; item n of it lies in partition n modulo their number. */
export type Round = { items: number; places: Array<{ partition: number; begin: number; end: number }> }

/** The first so many items of a round, or a few less: as many in each partition. */
export function firstOf({ places }: Round, items: number): Round {
  const each = Math.floor(items / places.length)
  return { items: each * places.length, places: places.map((place) => ({ ...place, end: place.begin + each })) }
}

/** The items of a round that are near a known hash. */
export function plantedIn({ items }: Round): number {
  return Math.ceil(items / PLANTED_EVERY)
}

/**
 * Puts items on the door, each with bytes of its own.
 * @param name of the round, part of the items' ids
 */
export async function produceRound(
  bench: Bench,
  admin: Admin,
  pictures: Pictures,
  { name, items, way }: { name: string; items: number; way: Way },
): Promise<Round> {
  const door = bench.topic('crawl.items')
  const before = new Map((await admin.fetchTopicOffsets(door)).map(({ partition, high }) => [partition, Number(high)]))
  const intake = bench.store('intake')
  const message = async ({ n, key, bytes }: Made) => {
    const content = way === 'inline' ? { inline: bytes } : { reference: sha256(bytes) }
    const value = await bench.registry.encode('crawl.items', crawlItem(key, content))
    return { key, value, partition: n % bench.partitions }
  }
  for (let from = 0; from < items; from += AT_ONCE) {
    const made = Array.from({ length: Math.min(AT_ONCE, items - from) }, (_, at) => make(pictures, name, from + at))
    if (way === 'by reference') await intake.writeAll(made.map(({ bytes }) => ({ sha256: sha256(bytes), bytes })))
    await bench.produce('crawl.items', await Promise.all(made.map(message)))
  }
  const after = await admin.fetchTopicOffsets(door)
  const places = after
    .map(({ partition, high }) => ({ partition, begin: before.get(partition) ?? 0, end: Number(high) }))
    .toSorted((a, b) => a.partition - b.partition)
  return { items, places }
}

type Made = { n: number; key: string; bytes: Buffer }

function make(pictures: Pictures, name: string, n: number): Made {
  const key = `${n % PLANTED_EVERY === 0 ? 'planted' : 'other'}-${name}-${n}`
  return { n, key, bytes: distinct(pictureOf(pictures, n), key) }
}

/** The same picture in other bytes: a comment behind its first marker. */
function distinct(picture: Buffer, name: string): Buffer {
  const text = Buffer.from(name)
  const head = Buffer.from([0xff, 0xfe, 0, 0])
  head.writeUInt16BE(text.length + 2, 2)
  return Buffer.concat([picture.subarray(0, 2), head, text, picture.subarray(2)])
}

/**
 * Counts, by librdkafka, what became of all rounds of a bench.
 * @returns what is not as it should be; null when each planted item was held as near, every other one cleared, and each once
 */
export async function findWrong(bench: Bench, rounds: readonly Round[]): Promise<string | null> {
  const found = await countOutcomes(bench.settings)
  const items = rounds.reduce((sum, round) => sum + round.items, 0)
  const planted = rounds.reduce((sum, round) => sum + plantedIn(round), 0)
  const { 'planted quarantine KNOWN_NEAR': held = 0, 'other clean': cleared = 0, ...unexpected } = found.fates
  const isFaulty = Object.values(faultsOf(found)).some((number) => number > 0)
  const isRight = held === planted && cleared === items - planted && Object.keys(unexpected).length === 0 && !isFaulty
  return isRight ? null : `of ${items} items ${planted} are planted, and this was found: ${JSON.stringify(found)}`
}
