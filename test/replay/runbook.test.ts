import assert from 'node:assert/strict'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Message } from 'kafkajs'
import sharp from 'sharp'
import { z } from 'zod'
import { supply } from '../../services/domain/envelope.ts'
import type { CrawlItem } from '../../services/domain/records.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { moveOffsets } from '../faults/door.ts'
import { type OwnRegistry, startOwnRegistry } from '../faults/own-registry.ts'
import type { GateProcess, SluiceProcess } from '../integration/gate-process.ts'
import { startSluice, untilInForce } from '../integration/gate-process.ts'
import { askNothing, type Bench, openBench, sweep } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { sharedStack } from '../integration/shared-stack.ts'
import { waitFor } from '../integration/waiting.ts'
import { startWorker, statusOf } from './replay-bench.ts'
import {
  type Desk,
  followSection,
  namedCommands,
  openDesk,
  readPage,
  type Section,
  sectionsOf,
} from './runbook-page.ts'

const LIST = 'stand-in'
const SUPPLIER = 'Example Pictures'
/** Items by why they are held. */
const LISTED = 12
const MISSING = 12
const CRASHING = 3
const UNTOLD = 6
const BROKEN = 40
const FLOOD = 80
const bounds = { entryItems: 30, versionItems: 200, minutes: 60 }
const LISTED_PICTURES = 6
/** Items that were cleared before the bad version. */
const CLEARED = 4
const GREY = 500

/** What the situations share, one after the other. */
type Scene = {
  t: TestContext
  bench: Bench
  desk: Desk
  /** null where it is the stack's */
  registry: OwnRegistry | null
  gate: GateProcess
  worker: SluiceProcess
  /** a replay that takes long, and its plan's file */
  slow: { run: string; file: string }
}

const good = [{ id: 'other', sha256: 'ab'.repeat(32) }]

async function badRows() {
  const rows = Array.from({ length: LISTED_PICTURES }, async (_, n) => {
    return { id: `e${n}`, sha256: sha256(await tinyPicture(n)) }
  })
  return [...good, ...(await Promise.all(rows))]
}

/** Imports a version, and waits until the gate judges by it. */
async function bring({ bench, gate }: Pick<Scene, 'bench' | 'gate'>, rows: Parameters<Bench['importList']>[1]) {
  await untilInForce(gate, () => bench.importList(LIST, rows))
}

async function message(bench: Bench, n: number, item: CrawlItem): Promise<Message> {
  const key = item.envelope.item?.id ?? ''
  return { key, partition: n % bench.partitions, value: await bench.registry.encode('crawl.items', item) }
}

async function send(bench: Bench, count: number, itemOf: (n: number) => Promise<CrawlItem>): Promise<void> {
  const messages = Array.from({ length: count }, async (_, n) => message(bench, n, await itemOf(n)))
  await bench.produce('crawl.items', await Promise.all(messages))
}

const listed = (name: string) => async (n: number) =>
  crawlItem(`${name}-${n}`, { inline: await tinyPicture(n % LISTED_PICTURES) })
const missingPicture = (n: number): Promise<Buffer> => tinyPicture(100 + n)

/** All that the situations need is held, each for its reason, by a gate whose scanners do not survive GIF. */
async function hold({ bench, gate }: Pick<Scene, 'bench' | 'gate'>): Promise<void> {
  await send(bench, CLEARED, listed('cleared'))
  await waitFor('some are cleared', () => bench.caughtUp())
  await bring({ bench, gate }, await badRows())
  await bench.sluice(['recall', 'run'])
  await send(bench, LISTED, listed('listed'))
  await send(bench, MISSING, async (n) => crawlItem(`missing-${n}`, { reference: sha256(await missingPicture(n)) }))
  await send(bench, CRASHING, async (n) => {
    return crawlItem(`gif-${n}`, {
      inline: await sharp(await tinyPicture(300 + n))
        .gif()
        .toBuffer(),
    })
  })
  await send(bench, UNTOLD, async (n) => {
    const item = crawlItem(`untold-${n}`, { inline: await tinyPicture(400 + n) })
    const told = supply({ kind: 'web-crawl', supplier: SUPPLIER, dataset: 'boats', shard: 'boats-003.tar', row: n })
    return { ...item, envelope: { ...item.envelope, supply: told } }
  })
  const broken = Array.from({ length: BROKEN }, (_, n): Message => {
    return { key: `broken-${n}`, partition: n % bench.partitions, value: `broken ${n}` }
  })
  await bench.produce('crawl.items', broken)
  await waitFor('all are held', () => bench.caughtUp())
}

function gateUrl(gate: GateProcess): string {
  const port = gate.events.find(({ event }) => event === 'listening')?.port
  return `http://127.0.0.1:${port}`
}

/** And for nothing else: a lane that is still being built would stand on the screen beside it. */
async function waitsFor(gate: GateProcess, code: string): Promise<void> {
  await waitFor(`the gate waits by ${code} alone`, async () => {
    const { waiting = [] } = (await gate.readiness()) ?? {}
    return waiting.length > 0 && waiting.every((each) => each.code === code)
  })
}

/** As `run` and `status` print it. */
function runIn(output: string): string {
  const [, run] = /\brun ([0-9a-f]{16})\b/.exec(output) ?? []
  assert.ok(run, output)
  return run
}

const versionRows = z.array(z.looseObject({ version: z.string(), inForce: z.boolean() }))

async function versions(bench: Bench): Promise<string[]> {
  const { stdout } = await bench.sluice(['lists', 'versions', LIST, '--json'])
  return versionRows.parse(JSON.parse(stdout())).map(({ version }) => version)
}

const report = z.looseObject({ total: z.looseObject({ items: z.number(), clean: z.number(), open: z.number() }) })

async function cleanOf(bench: Bench, run: string): Promise<number> {
  return report.parse(JSON.parse((await bench.sluice(['replay', 'report', run, '--json'])).stdout())).total.clean
}

type Page = ReturnType<typeof followSection>
const judged = (bench: Bench) => waitFor('all are judged', () => bench.caughtUp())

/** `run` and `report` of a plan. @returns the run's id */
async function runAndReport({ bench }: Scene, page: Page): Promise<string> {
  const run = runIn((await page.next('replay run')).output)
  page.know({ RUN: run })
  await judged(bench)
  await page.next('replay report')
  return run
}

/** Each section of the page by its number, in the situation that it is about. */
const situations: Record<string, (scene: Scene, page: Page) => Promise<void>> = {
  async 0({ gate }, page) {
    await gate.untilReady()
    await page.next('gate status')
    await page.next('quarantine stats')
    await page.next('replay status')
  },

  async 1(scene, page) {
    const { bench, gate, slow } = scene
    const [BAD = '', GOOD = ''] = await versions(bench)
    page.know({ LIST, GOOD, BAD, RUN: slow.run })
    // One a second: it takes longer than this, and than what section 8 does with it.
    await bench.sluice(['replay', 'run', slow.file, '--rate', '1', '--detach'])
    await page.next('quarantine stats')
    await page.next('replay status')
    await page.next('replay stop')
    await page.next('lists versions')
    await untilInForce(gate, () => page.next('lists rollback'))
    await gate.untilReady()
    await page.next('gate status')
    await page.next('recall run')
    await page.next('replay plan')
    const run = await runAndReport(scene, page)
    assert.equal(await cleanOf(bench, run), LISTED)
    assert.equal((await statusOf(bench, slow.run)).state, 'stopped')
    await page.next('replay plan')
    assert.equal(await cleanOf(bench, await runAndReport(scene, page)), CLEARED)
  },

  async 2(scene, page) {
    const { bench, gate } = scene
    const intake = bench.storeFolder('intake')
    // Before it is out: once it is back, what waits for it is judged at once.
    for (let n = 0; n < MISSING; n++) {
      const picture = await missingPicture(n)
      await bench.store('intake').write(sha256(picture), picture)
    }
    await rename(intake, `${intake}-away`)
    await send(bench, 2, async (n) => crawlItem(`away-${n}`, { reference: sha256(await missingPicture(n)) }))
    await waitsFor(gate, 'STORE_UNREACHABLE')
    await page.next('gate status', 1)
    await rename(`${intake}-away`, intake)
    await judged(bench)
    await page.next('quarantine stats')
    await page.next('quarantine stats')
    await page.next('replay plan')
    assert.equal(await cleanOf(bench, await runAndReport(scene, page)), MISSING)
  },

  async 3(scene, page) {
    const { bench } = scene
    await bench.stopGate(scene.gate)
    scene.gate = bench.startGate()
    await scene.gate.untilReady()
    const { stdout } = await page.next('quarantine ls')
    const [, PARTITION = '', OFFSET = ''] = /│ (\d+)\/(\d+) /.exec(stdout) ?? []
    page.know({ PARTITION, OFFSET })
    await page.next('replay plan')
    assert.equal(await cleanOf(bench, await runAndReport(scene, page)), 1)
    await page.next('replay plan')
    assert.equal(await cleanOf(bench, await runAndReport(scene, page)), CRASHING - 1)
  },

  async 4({ bench, desk }, page) {
    page.know({ SUPPLIER, ITEM: 'untold-0' })
    await page.next('quarantine stats')
    await page.next('replay plan')
    await page.next('provenance report')
    const [head = '', ...rows] = (await readFile(join(desk.folder, 'gaps.csv'), 'utf8')).trim().split('\n')
    assert.equal(rows.length, UNTOLD)
    const answer = rows.map((row) => `${row},https://pictures.example.org/boats/17.jpg`)
    await writeFile(join(desk.folder, 'answer.csv'), [`${head},acquisition.requestedUrl`, ...answer].join('\n'))
    await page.next('crawl amend')
    await judged(bench)
    await page.next('provenance report')
    assert.doesNotMatch(await readFile(join(desk.folder, 'gaps-left.csv'), 'utf8'), /placeFound/)
    assert.match((await page.next('trace')).stdout, /PROVENANCE_INCOMPLETE.*clean/s)
    await page.next('quarantine stats')
  },

  async 5(scene, page) {
    const { bench, gate } = scene
    page.know({ LIST, ENTRY: 'grey' })
    await bring(scene, [...good, { id: 'grey', sha256: sha256(await tinyPicture(GREY)) }])
    await send(bench, FLOOD, async (n) => crawlItem(`flood-${n}`, { inline: await tinyPicture(GREY) }))
    await waitsFor(gate, 'LIST_FLOOD')
    await page.next('quarantine stats')
    await page.next('quarantine stats')
    await page.next('quarantine stats')
    await page.next('gate status', 1)
    await page.next('lists shadow')
    await judged(bench)
    await gate.untilReady()
    await page.next('gate status')
    await page.next('replay plan')
    const clean = await cleanOf(bench, await runAndReport(scene, page))
    assert.ok(clean >= bounds.entryItems, `${clean} came out clean`)
  },

  async 6(scene, page) {
    const { bench } = scene
    await bench.stopGate(scene.gate)
    const end = await offsetOf(bench, 0)
    await moveOffsets(bench, { 0: 1 })
    scene.gate = bench.startGate()
    await waitsFor(scene.gate, 'POSITION_JUMPED')
    page.know({ GATE: gateUrl(scene.gate) })
    await page.next('gate status', 1)
    await page.next('gate status', 1)
    assert.match(await readFile(join(scene.desk.folder, 'gate.json'), 'utf8'), /POSITION_JUMPED/)
    await page.next('replay status')
    // The owner of the gate has come.
    await bench.stopGate(scene.gate)
    await moveOffsets(bench, { 0: end })
    scene.gate = bench.startGate()
    await scene.gate.untilReady()
  },

  async 7(scene, page) {
    const { bench, gate, registry } = scene
    assert.ok(registry)
    await page.next('schemas export')
    // Crawlers go on with the ids that they know.
    const meanwhile = await message(bench, 0, crawlItem('meanwhile', { inline: await tinyPicture(600) }))
    await registry.stop()
    registry.loseStorage()
    await registry.start()
    await waitFor('the gate finds it empty', async () => {
      await bench.produce('crawl.items', [meanwhile])
      return (await gate.readiness())?.waiting.some(({ code }) => code === 'SCHEMA_IDS_CHANGED')
    })
    await waitsFor(gate, 'SCHEMA_IDS_CHANGED')
    await page.next('gate status', 1)
    await page.next('schemas restore')
    await gate.untilReady()
    await page.next('gate status')
    await page.next('replay status')
    assert.ok(scene.worker.running(), scene.worker.stderr())
  },

  async 8(scene, page) {
    const { t, bench, desk, slow } = scene
    // What goes first comes out otherwise: the list is bad again.
    await bring(scene, await badRows())
    await send(bench, LISTED, listed('again'))
    await judged(bench)
    await bring(scene, good)
    const file = join(desk.folder, 'again.json')
    await bench.sluice(['replay', 'plan', '--list', LIST, '--why', 'a test', '--canary', '2', '--out', file])
    await bring(scene, await badRows())
    const waiting = await bench.sluice(['replay', 'run', file], 1)
    page.know({ RUN: runIn(waiting.stdout()), PLAN: file })
    await page.next('replay status')
    await page.next('replay report')
    await bring(scene, good)
    const { output } = await page.next('replay run')
    await judged(bench)
    assert.equal(await cleanOf(bench, runIn(output)), LISTED - 2)

    // The laptop that looks on is closed, and the run goes on.
    const laptop = startSluice(['replay', 'run', slow.file], bench.environment)
    t.after(() => laptop.kill('SIGKILL'))
    const taken = (await statusOf(bench, slow.run)).counts.replayed ?? 0
    await waitFor('the run goes on', async () => ((await statusOf(bench, slow.run)).counts.replayed ?? 0) > taken)
    laptop.kill('SIGHUP')
    await laptop.ended
    page.know({ RUN: slow.run, PLAN: slow.file })
    await page.next('replay stop')

    scene.worker.kill('SIGKILL')
    await scene.worker.ended
    await page.next('replay run')
    assert.notEqual((await statusOf(bench, slow.run)).state, 'done')
    await page.next('replay worker')
    await page.next('replay status')
    assert.deepEqual((await statusOf(bench, slow.run)).counts, { replayed: BROKEN })
  },
}

async function offsetOf(bench: Bench, partition: number): Promise<number> {
  return await withAdmin(createKafka(bench.settings, 'test'), async (admin) => {
    const [door] = await admin.fetchOffsets({ groupId: bench.group, topics: [bench.topic('crawl.items')] })
    return Number(door?.partitions.find((each) => each.partition === partition)?.offset)
  })
}

function clusterWith({ url }: OwnRegistry) {
  const stack = sharedStack()
  return { ...stack, bootstrap: stack.brokers, registry: url }
}

/** @param ownRegistry a schema registry that may be lost */
async function openScene(t: TestContext, ownRegistry: boolean): Promise<Scene> {
  const kinds = { ...askNothing.kinds, 'web-crawl': { placeFound: 'enforce' as const } }
  const options = { partitions: 2, flood: bounds, provenance: { ...askNothing, kinds } }
  const registry = ownRegistry ? await startOwnRegistry(t) : null
  const bench = await openBench(t, registry === null ? options : { ...options, cluster: clusterWith(registry) })
  if (registry !== null) t.after(() => sweep(bench.settings))
  const desk = await openDesk(bench)
  await bench.importList(LIST, good)
  const gate = bench.startGate({
    environment: { SCANNER_PROGRAM: fileURLToPath(new URL('crashing-scanner.ts', import.meta.url)) },
    preload: [new URL('../faults/other-scanner.ts', import.meta.url).href],
  })
  await gate.untilReady()
  await hold({ bench, gate })
  const file = join(bench.folder, 'slow.json')
  const words = ['replay', 'plan', '--reason', 'MESSAGE_UNDECODABLE', '--why', 'a test', '--canary', '1', '--out', file]
  const { run } = z
    .looseObject({ run: z.string() })
    .parse(JSON.parse((await bench.sluice([...words, '--json'])).stdout()))
  return { t, bench, desk, registry, gate, worker: startWorker(t, bench), slow: { run, file } }
}

const page = readPage()
const sections = sectionsOf(page)

test('the runbook names no command that is not tried', () => {
  const tried = sections.flatMap(({ steps }) => steps.flatMap((step) => ('command' in step ? [step.command] : [])))
  const untried = namedCommands(page).filter((name) => !tried.some((command) => command.startsWith(`npx ${name}`)))
  assert.deepEqual(untried, [])
  assert.deepEqual(sections.map(numberOf), Object.keys(situations))
  assert.deepEqual(stages.flatMap(({ numbers }) => numbers).sort(), Object.keys(situations))
})

function numberOf({ heading }: Section): string {
  return heading.split('.')[0] ?? ''
}

/** What is told one after the other on one bench. Two at a time: commands take long to start, and one bench mostly waits. */
const stages = [
  { what: 'lists and replays', numbers: ['0', '1', '8'], ownRegistry: false },
  { what: 'what the gate lacked', numbers: ['2', '3', '4', '5', '6', '7'], ownRegistry: true },
]

// That on-call can't read what is held is in test/cluster/access/rights.test.ts, for each topic.
describe('every command of the runbook does what the page says, as whom it says', { concurrency: true }, () => {
  for (const { what, numbers, ownRegistry } of stages) {
    test(what, async (t) => {
      const scene = await openScene(t, ownRegistry)
      for (const section of sections.filter((each) => numbers.includes(numberOf(each)))) {
        await t.test(section.heading, async () => {
          const following = followSection(section, scene.desk, { GATE: gateUrl(scene.gate) })
          await situations[numberOf(section)]?.(scene, following)
          following.end()
        })
      }
      await scene.bench.stopGate(scene.gate)
    })
  }
})
