import assert from 'node:assert/strict'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { scannerMemory } from '../../services/gate/inspect/scanners.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { clouds } from '../gate/inspect-made.ts'
import { audit } from '../integration/audit.ts'
import type { GateProcess } from '../integration/gate-process.ts'
import { type Bench, type BenchOptions, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor, watchFor } from '../integration/waiting.ts'

const MIB = 1_048_576
const CHUNK = 4
const PARTITIONS = 2
/** Items that may be under way at a time: of each lane one chunk that is inspected, and one that is committed. */
const UNDER_WAY = 2 * CHUNK * PARTITIONS
const limits = { pixels: 1_000_000, payloadBytes: 1_048_576 }
const hungry = fileURLToPath(new URL('hungry-scanner.ts', import.meta.url))
const ourScanner = new URL('../../services/gate/inspect/scanner.ts', import.meta.url).href
const skip = process.platform === 'linux' ? skipWithoutPython() : 'finds scanners in /proc, which only Linux has'

test('scanners that are killed or eat up memory cost time, and never an item', { skip }, async (t) => {
  const { bench, gate, publish } = await open(t, hungry)
  await gate.untilReady()
  const peaks = watchMemory(t, gate)

  await t.test('an item whose scanner is killed is judged by a fresh one', async () => {
    const kills = 4
    const before = await restarts(gate)
    const picture = await clouds(1, 900, 700).jpeg().toBuffer()
    // One that was only being started is no restart.
    for (let round = 0; round < 3 * kills && (await restarts(gate)) - before < kills; round++) {
      const all = (await judged(gate)) + 3 * UNDER_WAY
      await publish(3 * UNDER_WAY, () => Promise.resolve(picture))
      const [pid = 0] = await waitFor('a scanner works', () => busyScanners(gate), { everyMs: 5 })
      process.kill(pid, 'SIGKILL')
      // The item that this was about is through, so that the next kill is not its second.
      await waitFor('all of them are judged', async () => (await judged(gate)) >= all)
    }
    await caughtUp(bench)
    assert.ok((await restarts(gate)) - before >= kills)
  })

  await t.test('an item that takes too much memory is held, and takes nothing else with it', async () => {
    await publish(UNDER_WAY, (index) => (index % 8 === 3 ? Promise.resolve(eater(index)) : tinyPicture(index)))
    await caughtUp(bench)
    const { gateBytes, scannerBytes } = peaks()
    assert.ok(gateBytes < 500 * MIB, `the gate took ${gateBytes} bytes`)
    assert.ok(scannerBytes < scannerMemory(limits) + 1.1 * 1024 * MIB, `a scanner took ${scannerBytes} bytes`)
  })

  await bench.stopGate(gate)
  const eaters = new Set(Array.from({ length: UNDER_WAY }, (_, index) => sha256(eater(index))))
  const fates = await audit(bench)
  for (const { outcome, reasons, verdict } of fates) {
    const expected = eaters.has(verdict.sha256 ?? '') ? ['quarantine', 'SCANNER_CRASHED'] : ['clean']
    assert.deepEqual([outcome, ...reasons], expected)
  }
  assert.equal(fates.filter(({ outcome }) => outcome === 'quarantine').length, 2)
})

test('an item whose scanner hangs is judged by a fresh one after the deadline', { skip }, async (t) => {
  const { bench, gate, publish } = await open(t, fileURLToPath(ourScanner), { scanSeconds: 20 })
  await gate.untilReady()
  const [pid] = await scanners(gate)
  assert.ok(pid)
  process.kill(pid, 'SIGSTOP')
  await publish(UNDER_WAY, tinyPicture)
  await caughtUp(bench)
  assert.equal(await restarts(gate), 1)
  assert.ok(!(await scanners(gate)).includes(pid))
  await bench.stopGate(gate)
  const fates = await audit(bench)
  assert.deepEqual(
    fates.map(({ outcome }) => outcome),
    Array(UNDER_WAY).fill('clean'),
  )
})

test('while no scanner can be started nothing is judged; then everything is, by the same gate', { skip }, async (t) => {
  const program = 'scanner.ts'
  const { bench, gate, publish } = await open(t, program)
  const path = join(bench.folder, program)
  const restore = () => writeFile(path, `import ${JSON.stringify(ourScanner)}\n`)

  await publish(UNDER_WAY, tinyPicture)
  await waitFor('the gate waits for scanners', () => waitsForScanners(gate))
  await watchFor(3, async () => assert.equal(await outcomes(bench), 0))
  await restore()
  await gate.untilReady()
  await caughtUp(bench)
  const isolation = (await gate.readiness())?.isolation
  assert.ok(isolation)
  const said = gate.events.filter(({ event }) => event === 'scanners-less-isolated')
  assert.equal(said.length, isolation.why === null ? 0 : 1)

  // Brokers answer to a commit before they mark the partitions, and count what is marked.
  const before = await waitFor('all that was committed is marked', async () => {
    const now = await outcomes(bench)
    await wait(1000)
    return now === (await outcomes(bench)) && now
  })
  await rm(path)
  for (const pid of await scanners(gate)) process.kill(pid, 'SIGKILL')
  await publish(UNDER_WAY, tinyPicture)
  await waitFor('the lanes wait for scanners', () => waitsForScanners(gate))
  await watchFor(3, async () => assert.equal(await outcomes(bench), before))
  await restore()
  await caughtUp(bench)
  await bench.stopGate(gate)
  const fates = await audit(bench)
  assert.deepEqual(
    fates.map(({ outcome }) => outcome),
    Array(2 * UNDER_WAY).fill('clean'),
  )
})

/** A bench with a gate whose scanners run a program; a relative path is one in the bench's folder. */
async function open(t: TestContext, program: string, options: Pick<BenchOptions, 'scanSeconds'> = {}) {
  const bench = await openBench(t, { partitions: PARTITIONS, ...limits, ...options })
  // Scanners may run as another user.
  await chmod(bench.folder, 0o755)
  await bench.importList('stand-in', [{ sha256: sha256(Buffer.from('known')) }])
  const gate = bench.startGate({
    environment: {
      SLUICE_SCANNERS: '2',
      SLUICE_CHUNK_ITEMS: String(CHUNK),
      SCANNER_PROGRAM: resolve(bench.folder, program),
    },
    preload: [new URL('other-scanner.ts', import.meta.url).href],
  })
  let published = 0

  async function publish(count: number, contentOf: (index: number) => Promise<Buffer>): Promise<void> {
    const messages = Array.from({ length: count }, async (_, index) => {
      const id = `item-${published + index}`
      const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline: await contentOf(index) }))
      return { key: id, partition: index % PARTITIONS, value }
    })
    published += count
    await bench.produce('crawl.items', await Promise.all(messages))
  }

  return { bench, gate, publish }
}

function eater(index: number): Buffer {
  return Buffer.from(`EAT ${index}`)
}

async function caughtUp(bench: Bench): Promise<void> {
  await waitFor('the gate has caught up', () => bench.caughtUp())
}

function outcomes(bench: Bench): Promise<number> {
  return bench.endOf('gate.clean', 'gate.quarantine', 'gate.review', 'gate.verdicts')
}

async function waitsForScanners(gate: GateProcess): Promise<boolean> {
  const state = await gate.readiness()
  return state?.status === 503 && state.waiting.some(({ code }) => code === 'SCANNERS_UNAVAILABLE')
}

async function scanners({ pid }: GateProcess): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1')
  return children.split(' ').filter(Boolean).map(Number)
}

/** Those that have an item: all of their threads sleep otherwise. */
async function busyScanners(gate: GateProcess): Promise<number[] | null> {
  const busy: number[] = []
  for (const pid of await scanners(gate)) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
    if (/\) R /.test(stat)) busy.push(pid)
  }
  return busy.length > 0 ? busy : null
}

/** Looks at the memory of a gate and its scanners until the test ends. @returns tells the most so far */
function watchMemory(t: TestContext, gate: GateProcess): () => { gateBytes: number; scannerBytes: number } {
  let scannerBytes = 0
  let gateBytes = 0
  const look = setInterval(async () => {
    gateBytes = Math.max(gateBytes, await peakBytes(gate.pid))
    for (const pid of await scanners(gate).catch(() => [])) scannerBytes = Math.max(scannerBytes, await peakBytes(pid))
  }, 100)
  t.after(() => clearInterval(look))
  return () => ({ gateBytes, scannerBytes })
}

async function peakBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}

async function restarts(gate: GateProcess): Promise<number> {
  return Number(/^sluice_scanner_restarts_total (\d+)$/m.exec(await gate.metrics())?.[1] ?? 0)
}

/** Items that this gate has judged and committed, by its own count. */
async function judged(gate: GateProcess): Promise<number> {
  const counts = (await gate.metrics()).matchAll(/^sluice_items_total\{.*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}
