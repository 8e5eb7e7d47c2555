import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { z } from 'zod'
import { SluiceError } from '../../services/domain/errors.ts'
import type { HeldFilter } from '../../services/domain/held-filter.ts'
import { parsePlan, planOf, type ReplayPlan } from '../../services/domain/replay/replay-plan.ts'
import {
  countsOf,
  placesOf,
  type Run,
  type RunPart,
  type RunState,
  runIdOf,
  stateOf,
} from '../../services/domain/replay/replay-runs.ts'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { createRegistry, type Registry } from '../../services/platform/registry.ts'
import { readSettings, type Settings } from '../../services/platform/settings.ts'
import { openReplayAudit, readReplayAudit } from '../../services/replay/audit-topic.ts'
import { type Outgoing, openReplayLane } from '../../services/replay/lane.ts'
import { makePlan, type PlanReport } from '../../services/replay/make-plan.ts'
import { reportOf } from '../../services/replay/report-command.ts'
import { giveOrder, type RunWords, readPlan, requestRun } from '../../services/replay/request-run.ts'
import { followReplayRuns, readReplayRuns } from '../../services/replay/runs-topic.ts'
import { runReplayWorker } from '../../services/replay/worker.ts'
import { produceForeign, readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type GateProcess, untilInForce } from '../integration/gate-process.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { crawlItem, sha256 } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { holdThenMend, importListed, kindOf, splitHeaders } from './replay-bench.ts'

const skip = skipWithoutPython()
/** They lie on three partitions in turn: the nth one on partition n % 3, at offset n / 3. */
const ITEMS = 72
const PARTITIONS = 3

const scope = openScope('refusals')
let bench: Bench
let gate: GateProcess
let onCall: Settings
let registry: Registry
let followed: Awaited<ReturnType<typeof followReplayRuns>>

before(async () => {
  if (skip !== false) return
  bench = await openBench(scope, { partitions: PARTITIONS })
  gate = await holdThenMend(bench, ITEMS)
  onCall = readSettings({ ...bench.environment, SLUICE_PRINCIPAL: 'on-call' })
  registry = createRegistry(onCall)
  followed = await followReplayRuns(onCall, registry)
  scope.after(() => followed.stop())
})
after(() => scope.close())

function placeOf(n: number): { partition: number; offset: number } {
  return { partition: n % PARTITIONS, offset: Math.floor(n / PARTITIONS) }
}

function at(...places: ReadonlyArray<{ partition: number; offset: number }>): HeldFilter {
  return { partitions: places.map(({ partition, offset }) => ({ partition, first: offset, last: offset })) }
}

function planOfItems(...ns: readonly number[]): Promise<PlanReport> {
  return planAt(at(...ns.map(placeOf)))
}

function planAt(filter: HeldFilter, attempts = 3): Promise<PlanReport> {
  const words = { who: 'on-call', why: 'mended', attempts, canary: 2, now: Date.now() }
  return makePlan(onCall, { filter, ...words, onProgress: () => undefined })
}

async function ask(plan: ReplayPlan, words: Partial<RunWords> = {}): Promise<string> {
  const said = { who: 'on-call', why: 'mended', rate: 100, unasked: false, ...words }
  return (await requestRun(onCall, registry, plan, said)).run
}

async function until(run: string, state: RunState): Promise<void> {
  await waitFor(`run ${run} is ${state}`, () => {
    const found = followed.runs.run(run)
    return found !== null && stateOf(found) === state
  })
}

function countsNow(run: string): Record<string, number> {
  const found = followed.runs.run(run)
  return found === null ? {} : countsOf(found)
}

/** A worker in this process; ends with what it has thrown, or null. */
function work() {
  const stopping = new AbortController()
  const events: Array<Record<string, unknown>> = []
  const lines = new Writable({
    write(line, _, done) {
      events.push(JSON.parse(String(line)))
      done()
    },
  })
  const ended = runReplayWorker({
    settings: readSettings({ ...bench.environment, SLUICE_PRINCIPAL: 'replay' }),
    log: pino({ level: 'info' }, lines),
    bounds: { mostLag: 5000, mostFaults: 1, mostAttempts: 3 },
    signal: stopping.signal,
    untilIdle: false,
  }).then(
    () => null,
    (error: SluiceError) => error,
  )
  const stop = async () => {
    stopping.abort()
    return await ended
  }
  scope.after(async () => void (await stop()))
  return { events, ended, stop }
}
let worker: ReturnType<typeof work>

async function worked(plan: ReplayPlan): Promise<string> {
  worker ??= work()
  // What is wrong in itself is a fault again, of which a canary would ask.
  const run = await ask(plan, { unasked: true })
  await until(run, 'done')
  return run
}

/** Where the door and what was asked for end. */
function ends(): Promise<number[]> {
  return Promise.all([bench.endOf('crawl.items'), bench.endOf('replay.runs'), bench.endOf('replay.audit')])
}

test('an edited plan, a plan for another cluster or another door, and a run that nobody knows are refused; nothing is written', {
  skip,
}, async () => {
  const { plan } = await planOfItems(0)
  const before = await ends()
  const file = join(bench.folder, 'edited.json')
  await writeFile(file, JSON.stringify({ ...plan, why: 'something else' }))
  await assert.rejects(readPlan(file), { code: 'PLAN_INVALID', message: /edited\.json was changed/ })
  await assert.rejects(readPlan(join(bench.folder, 'nowhere.json')), { code: 'PLAN_INVALID' })
  const { id: _, ...content } = plan
  const elsewhere = [
    { cluster: 'vFj4w1vWQ2uC8oT0x5pQng' },
    { topic: 'crawl.items' },
    { topic: `other-${bench.topic('crawl.items')}` },
  ]
  for (const more of elsewhere) {
    const other = parsePlan(JSON.stringify(planOf({ ...content, ...more })), 'other.json')
    await assert.rejects(ask(other), { code: 'PLAN_INVALID', message: /nothing was asked for/ })
  }
  const unknown = [
    ['replay', 'run', file],
    ['replay', 'status', '0123456789abcdef'],
    ['replay', 'stop', '.worker', '--why', 'a guess'],
    ['replay', 'report', '__proto__'],
  ]
  for (const command of await Promise.all(unknown.map((words) => bench.sluice(words, 2)))) {
    assert.match(command.stderr(), /(RUN_UNKNOWN|PLAN_INVALID)/)
    assert.equal(command.stdout(), '')
  }
  assert.deepEqual(await ends(), before)
})

test('a canary that comes out otherwise than foretold waits and asks; stop ends it there, and asked again it goes on to the end', {
  skip,
}, async () => {
  worker ??= work()
  const chosen = [4, 8, 12, 16]
  const { plan, total } = await planOfItems(...chosen)
  assert.equal(total.clean, chosen.length)
  await importAnew(true)
  const run = await ask(plan)
  await until(run, 'waiting')
  assert.deepEqual(countsNow(run), { replayed: 2 })
  const found = followed.runs.run(run)
  assert.ok(found)
  // Each partition says so for itself, one after the other; what the first one says holds.
  const whys = [...found.parts.values()].flatMap(({ progress }) => progress?.why ?? [])
  assert.equal(
    whys[0],
    '2 of the 2 items that went first came out otherwise than the dry run said, or with a fault again',
  )

  const before = await ends()
  await giveOrder(onCall, registry, found, 'stop', { who: 'on-call', why: 'the list again' })
  await until(run, 'stopped')
  assert.equal((await ends())[0], before[0] ?? 0)
  await importAnew(false)
  assert.equal(await ask(plan), run)
  await until(run, 'done')
  assert.deepEqual(countsNow(run), { replayed: 4 })
  await waitFor('all are judged', () => bench.caughtUp())
  const report = await reportOf(onCall, registry, found, () => undefined)
  assert.deepEqual(report.total, { items: 4, clean: 2, review: 0, quarantine: 2, open: 0 })

  // Asked once more it is the same run, and nothing happens.
  const done = await ends()
  assert.equal(await ask(plan), run)
  assert.equal((await ends())[0], done[0])
  const book = ['plan of 4', 'run of 4', 'wait of 2', 'stop of 2', 'stopped of 2', 'go-on of 2', 'done of 4']
  assert.deepEqual((await bookOf(run)).toSorted(), book.toSorted(), 'each once, whatever number of partitions')
})

/** What the book says of a run, with how many items. */
async function bookOf(run: string): Promise<string[]> {
  const book: string[] = []
  await readReplayAudit(onCall, registry, ({ run: id, action, items }) => {
    if (id === run) book.push(`${action} of ${items}`)
  })
  return book
}

test('where a worker was killed while its partitions said one after the other that a run waits, that stands in the book, once, when an order goes on', {
  skip,
}, async () => {
  const found = followed.runs.run(await worked((await planOfItems(25, 26)).plan))
  const [first, second] = [...(found?.parts.values() ?? [])]
  assert.ok(found && first && second)
  const producer = createKafka(bench.settings, 'test').producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  scope.after(() => producer.disconnect())
  const settings = readSettings({ ...bench.environment, SLUICE_PRINCIPAL: 'replay' })
  const book = await openReplayAudit(settings, createRegistry(settings), producer)

  const id = 'killed'
  const saying = (part: RunPart, state: RunState): [number, RunPart] => {
    assert.ok(part.progress)
    return [part.partition, { ...part, progress: { ...part.progress, state, updatedAt: 1000 } }]
  }
  const settle = (one: RunState, other: RunState, order: Run['order'] = null) =>
    book.settle({ ...found, id, order, parts: new Map([saying(first, one), saying(second, other)]) })
  const order = { word: 'go-on', who: 'on-call', why: 'mended', at: 2000 } as const
  await settle('waiting', 'running')
  assert.deepEqual(await bookOf(id), ['plan of 2', 'run of 2'])
  await settle('waiting', 'running', order)
  await settle('waiting', 'waiting', order)
  assert.deepEqual(await bookOf(id), ['plan of 2', 'run of 2', 'go-on of 2', 'wait of 2'])
})

async function importAnew(isWrong: boolean): Promise<void> {
  await untilInForce(gate, () => importListed(bench, isWrong))
}

test('what was replayed as often as it may is left out of a plan; a plan made before is refused item by item', {
  skip,
}, async () => {
  const first = placeOf(3)
  assert.equal(kindOf(3), 'mismatched')
  const { plan: older } = await planOfItems(3)
  let place = first
  for (const attempt of [1, 2, 3]) {
    const { plan, total } = await planAt(at(place))
    assert.deepEqual([total.items, total.heldAgain], [1, 1])
    const run = await worked(plan)
    assert.deepEqual(countsNow(run), { replayed: 1 })
    const [offset] = placesOf(followed.runs.run(run)?.parts.get(place.partition)?.progress?.produced ?? [])
    assert.ok(offset !== undefined)
    place = { ...place, offset }
    await waitFor('it is judged', () => bench.caughtUp())
    assert.equal(followed.runs.attempts(place.partition, place.offset), attempt)
  }
  const report = await planAt(at(place))
  assert.deepEqual([report.total.items, report.exhausted, report.plan.partitions.length], [0, 1, 0])

  const before = await bench.endOf('crawl.items')
  const { plan: generous } = await planAt(at(place), 10)
  const { id: _, ...content } = generous
  const { id: __, ...old } = older
  const exhausted = await ask(planOf({ ...content, attempts: 3 }))
  const again = await ask(planOf({ ...old, plannedAt: old.plannedAt + 1 }))
  await Promise.all([until(exhausted, 'done'), until(again, 'done')])
  assert.deepEqual(countsNow(exhausted), { 'attempts-exhausted': 1 })
  assert.deepEqual(countsNow(again), { 'already-replayed': 1 })
  assert.equal(await bench.endOf('crawl.items'), before)
})

const claimed = z.looseObject({
  itemId: z.string().nullable(),
  outcome: z.string(),
  attempt: z.number(),
  replay: z.object({ run: z.string(), origin: z.string(), who: z.string() }).nullable(),
})

test('what a crawler claims of a replay is noted where it is well-formed, and changes nothing', { skip }, async () => {
  const run = await worked((await planOfItems(7)).plan)
  await waitFor('it is judged', () => bench.caughtUp())
  const known = followed.runs.run(run)
  assert.ok(known)
  const reportNow = () => reportOf(onCall, registry, known, () => undefined)
  const report = await reportNow()

  const origin = placeOf(2)
  const { plan } = await planOfItems(2)
  const coordinates = `${plan.cluster}/${plan.topic}/${origin.partition}/${origin.offset}`
  const whole = { run, origin: coordinates, attempt: '99', who: 'on-call', why: 'https://example.org/page' }
  const forgeries = [
    whole,
    { ...whole, origin: 'https://example.org/page/1/2' },
    { ...whole, who: 'https://example.org/somebody' },
    { ...whole, run: 'www.example.org' },
    { ...whole, attempt: '-1' },
  ]
  const crawler = readSettings({ ...bench.environment, SLUICE_PRINCIPAL: 'crawler' })
  const records = await Promise.all(
    forgeries.map(async (texts, n) => {
      const value = await bench.registry.encode(
        'crawl.items',
        crawlItem(`forged-${n}`, { reference: sha256(Buffer.of(n)) }),
      )
      const headers = Object.entries(texts).map(([name, text]) => [`sluice-replay-${name}`, Buffer.from(text)] as const)
      return { topic: plan.topic, partition: origin.partition, key: Buffer.from(`forged-${n}`), value, headers }
    }),
  )
  const [offset] = await produceForeign(crawler, records)
  assert.ok(offset !== undefined)
  await waitFor('they are judged', () => bench.caughtUp())
  const { records: read } = await readTopics(bench.settings, [bench.topic('gate.verdicts')])
  const verdicts = read.map(({ value }) => claimed.parse(value)).filter(({ itemId }) => itemId?.startsWith('forged-'))
  assert.deepEqual(
    verdicts.map(({ outcome, attempt, replay }) => ({ outcome, attempt, replay })),
    forgeries.map((_, n) => ({
      outcome: 'quarantine',
      attempt: n === 0 ? 99 : 0,
      replay: n === 0 ? { run, origin: coordinates, who: 'on-call' } : null,
    })),
  )
  // Neither has the origin been replayed, nor what claims to be its replay; the run whose name was used does not know of it.
  const { total } = await planAt(at(origin, { partition: origin.partition, offset }))
  assert.deepEqual([total.items, followed.runs.attempts(origin.partition, offset)], [2, 0])
  assert.deepEqual(await reportNow(), report)

  // Replayed itself, it has the worker's word behind its own.
  const own = await worked((await planAt(at({ partition: origin.partition, offset }))).plan)
  await waitFor('it is judged', () => bench.caughtUp())
  const { records: after } = await readTopics(bench.settings, [bench.topic('gate.verdicts')])
  const last = claimed.parse(after.findLast(({ value }) => claimed.parse(value).itemId === 'forged-0')?.value)
  const place = `${plan.cluster}/${plan.topic}/${origin.partition}/${offset}`
  assert.deepEqual([last.attempt, last.replay], [1, { run: own, origin: place, who: 'on-call' }])
})

test('an original that is gone from the held store is named and counted, and the others are replayed', {
  skip,
}, async () => {
  const { records } = await readTopics(bench.settings, [bench.topic('gate.verdicts')])
  const gone = placeOf(1)
  const held = z.looseObject({
    input: z.looseObject({ partition: z.number(), offset: z.number() }),
    heldReference: z.string().nullable(),
  })
  const verdicts = records.map(({ value }) => held.parse(value))
  const found = verdicts.find(({ input }) => input.partition === gone.partition && input.offset === gone.offset)
  assert.ok(found?.heldReference)
  await bench.store('held').remove(found.heldReference)
  const run = await worked((await planOfItems(1, 5)).plan)
  assert.deepEqual(countsNow(run), { replayed: 1, 'original-missing': 1 })
  const told = worker.events.filter(({ event }) => event === 'replay-original-missing')
  assert.deepEqual(
    told.map(({ run: id, partition, offset }) => ({ id, partition, offset })),
    [{ id: run, ...gone }],
  )
  const known = followed.runs.run(run)
  assert.ok(known)
  const report = await reportOf(onCall, registry, known, () => undefined)
  assert.deepEqual(report.left, { 'original-missing': 1 })
  assert.deepEqual(report.leftAt, [`${gone.partition}/${gone.offset}`])
})

test('a request of which a part is missing, because its asker was killed, does not begin; asked again it is completed', {
  skip,
}, async () => {
  const { plan } = await planOfItems(28, 40, 52, 64, 56)
  let encoded = 0
  const dying: Registry = {
    ...registry,
    async encode(topic, value) {
      encoded += 1
      if (encoded === 2) throw new SluiceError('REGISTRY_UNREACHABLE')
      return await registry.encode(topic, value)
    },
  }
  const words = { who: 'on-call', why: 'mended', rate: 100, unasked: true }
  await assert.rejects(requestRun(onCall, dying, plan, words), { code: 'REGISTRY_UNREACHABLE' })
  const run = runIdOf(plan.id)
  await worked((await planOfItems(11)).plan)
  assert.deepEqual([...(followed.runs.run(run)?.parts.keys() ?? [])], [1])
  await until(run, 'requested')
  await overtake(run, plan)

  assert.equal(await ask(plan), run)
  await until(run, 'done')
  assert.deepEqual(countsNow(run), { replayed: 5 })
})

/** Two writers of one partition, neither of which hears that it is not in charge. The run counts what the second one has written as its first item. */
async function overtake(run: string, { id: plan, cluster, topic }: ReplayPlan): Promise<void> {
  const settings = readSettings({ ...bench.environment, SLUICE_PRINCIPAL: 'replay' })
  const own = createRegistry(settings)
  const open = () =>
    openReplayLane(
      {
        kafka: createKafka(settings, 'overtaking'),
        registry: own,
        prefix: settings.prefix,
        worker: randomUUID(),
        log: pino({ level: 'silent' }),
        onPlaced: () => undefined,
        assertInCharge: () => undefined,
        async read(id, partition) {
          const part = (await readReplayRuns(settings, own, partition)).run(id)?.parts.get(partition)
          assert.ok(part)
          return part
        },
      },
      { id: run, plan },
      1,
    )
  const items = ['overtaken-0', 'overtaken-1'].map((key): Outgoing => {
    return {
      input: { cluster, topic, partition: 1, offset: 0 },
      key: Buffer.from(key),
      value: Buffer.of(1),
      headers: [],
    }
  })
  const step = { left: [], state: 'canary', why: null, heeded: null, at: Date.now() } as const
  const [first, second] = [await open(), await open()]
  await second.take({ ...step, items: items.slice(0, 1) })
  await first.take({ ...step, items })
  assert.equal(first.part().progress?.taken, 1)
  await Promise.all([first.close(), second.close()])
  const { records } = await readTopics(bench.settings, [bench.topic('crawl.items')])
  const keys = records.map(({ key }) => (typeof key === 'string' ? Buffer.from(key, 'base64').toString() : ''))
  assert.deepEqual(
    keys.filter((key) => key.startsWith('overtaken-')),
    ['overtaken-0'],
  )
}

test('a worker that ends while its canary is being judged leaves it to the next one, which goes on', {
  skip,
}, async () => {
  await worker?.stop()
  const { plan } = await planOfItems(60, 68, 15, 23)
  gate.kill('SIGSTOP')
  worker = work()
  const before = await bench.endOf('crawl.items')
  const run = await ask(plan)
  await waitFor('the canary is on the door', async () => (await bench.endOf('crawl.items')) > before && isTaken(run, 2))
  await worker.stop()
  assert.deepEqual(countsNow(run), { replayed: 2 })
  gate.kill('SIGCONT')
  await waitFor('it is judged', () => bench.caughtUp())
  worker = work()
  await until(run, 'done')
  assert.deepEqual(countsNow(run), { replayed: 4 })
})

function isTaken(run: string, items: number): boolean {
  return (countsNow(run).replayed ?? 0) >= items
}

test('a run that was told to stop while no worker was there, and then asked for again, goes on', { skip }, async () => {
  worker ??= work()
  const { plan: begun } = await planOfItems(6, 10, 18, 22)
  const running = await ask(begun, { rate: 1, unasked: true })
  await waitFor('it is behind its canary', () => isTaken(running, 3))
  await worker.stop()
  const { plan: fresh } = await planOfItems(30, 34)
  const requested = await ask(fresh, { unasked: true })
  for (const [run, plan, state] of [
    [running, begun, 'running'],
    [requested, fresh, 'requested'],
  ] as const) {
    await until(run, state)
    const found = followed.runs.run(run)
    assert.ok(found)
    await giveOrder(onCall, registry, found, 'stop', { who: 'on-call', why: 'a second thought' })
    assert.equal(await ask(plan), run)
  }
  worker = work()
  await Promise.all([until(running, 'done'), until(requested, 'done')])
  assert.deepEqual([countsNow(running), countsNow(requested)], [{ replayed: 4 }, { replayed: 2 }])
})

test('of two workers the one that was started first is told and ends, and nothing is replayed twice, in no run', {
  skip,
}, async () => {
  const { plan } = await planOfItems(20, 24, 32, 36, 44, 48)
  worker ??= work()
  const run = await ask(plan, { rate: 1 })
  await waitFor('it has begun', () => isTaken(run, 1))
  const other = work()
  assert.equal((await worker.ended)?.code, 'REPLAY_TAKEN_OVER')
  await until(run, 'done')
  worker = other
  assert.deepEqual(countsNow(run), { replayed: 6 })

  await waitFor('all are judged', () => bench.caughtUp())
  const stamps = (await audit(bench)).flatMap(({ door }) => {
    const isForged = typeof door.key === 'string' && Buffer.from(door.key, 'base64').toString().startsWith('forged-')
    const { replay } = splitHeaders(door)
    return isForged || replay.size === 0 ? [] : [replay]
  })
  const origins = stamps.map((replay) => replay.get('sluice-replay-origin'))
  assert.equal(new Set(origins).size, origins.length)
  assert.equal(stamps.filter((replay) => replay.get('sluice-replay-run') === run).length, 6)

  const { records } = await readTopics(bench.settings, [bench.topic('replay.audit')])
  const book = records.map(({ value }) => {
    const {
      run: id,
      action,
      at: moment,
    } = z.looseObject({ run: z.string(), action: z.string(), at: z.number() }).parse(value)
    return `${id} ${action} ${moment}`
  })
  assert.deepEqual([...new Set(book)], book, 'each is in the book once')
})

test('what retention has taken is refused by name, when it is planned and when it is asked for; what was asked for before is told as missing', {
  skip,
}, async () => {
  await worker?.stop()
  const { plan: late } = await planOfItems(9)
  const { plan: early } = await planOfItems(21, 33)
  const run = await ask(early)
  const verdicts = bench.topic('gate.verdicts')
  const to = early.partitions[0]?.verdictsTo ?? 0
  await withAdmin(createKafka(bench.settings, 'bench'), async (admin) => {
    // It deletes nothing of a topic that it has not asked about.
    await admin.fetchTopicOffsets(verdicts)
    await admin.deleteTopicRecords({ topic: verdicts, partitions: [{ partition: 0, offset: String(to) }] })
  })
  const before = await ends()
  const refused = { code: 'RECORDS_REMOVED', message: /nothing was asked for; plan anew/ }
  await assert.rejects(ask(late), refused)
  await assert.rejects(ask(early), refused)
  await assert.rejects(planOfItems(9), { code: 'RECORDS_REMOVED', message: /plan again from 0:12 on/ })
  assert.deepEqual(await ends(), before)

  worker = work()
  await until(run, 'done')
  assert.deepEqual(countsNow(run), { 'original-missing': 2 })
  assert.equal(await bench.endOf('crawl.items'), before[0])
  const told = worker.events.filter(({ event }) => event === 'replay-original-missing')
  assert.deepEqual(
    told.map(({ offset }) => offset),
    [placeOf(21).offset, placeOf(33).offset],
  )
  assert.equal((await worker.stop()) ?? null, null)
})
