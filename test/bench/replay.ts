import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { VerdictRecord } from '../../services/domain/records.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { headersInOrder } from '../../services/platform/kafka/header-order.ts'
import { readTopic } from '../../services/platform/kafka/read-topic.ts'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { readOriginal } from '../../services/replay/original.ts'
import { startSluice } from '../integration/gate-process.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { crawlItem, photograph } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { heldVerdict, produceVerdicts } from '../replay/held.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'
import { readOptions, wholeNumber } from './options.ts'

/*
 * How fast a worker replays what is held, beside a plain producer that reads the same originals and writes them with no transaction and no book kept;
 * whether its memory stays flat; and how long on-call waits for `sluice quarantine stats` over many verdicts. No gate runs meanwhile, and no rate holds
 * the worker back. Items are a photograph of 270 KB each, inline, held for their key.
 */
const USAGE = 'replay.ts [--times 5] [--items 1000] [--verdicts 400000]'
const PICTURE = 'locomotion-house-cat'
const HUGE = '1000000'

type Replayed = { perSecond: number; plainPerSecond: number; early: number; late: number }

async function hold(bench: Bench, items: number): Promise<void> {
  const gate = bench.startGate()
  await gate.untilReady()
  const inline = photograph(PICTURE)
  for (let partition = 0; partition < bench.partitions; partition++) {
    for (let from = 0; from < items; from += 10) {
      const messages = Array.from({ length: Math.min(10, items - from) }, async (_, n) => {
        const value = await bench.registry.encode('crawl.items', crawlItem(`item-${partition}-${from + n}`, { inline }))
        return { key: 'another', partition, value }
      })
      await bench.produce('crawl.items', await Promise.all(messages))
    }
  }
  await waitFor('all is held', () => bench.caughtUp(), { seconds: 3600, everyMs: 1000 })
  await bench.stopGate(gate)
}

/** Replays a partition. Memory in mebibytes: a quarter of the way on, and at the end. */
async function replay(bench: Bench, partition: number, items: number): Promise<Omit<Replayed, 'plainPerSecond'>> {
  const file = join(bench.folder, `plan-${partition}.json`)
  const words = [
    'replay',
    'plan',
    '--partition',
    String(partition),
    '--canary',
    '0',
    '--why',
    'a benchmark',
    '--out',
    file,
  ]
  await bench.sluice(words)
  await bench.sluice(['replay', 'run', file, '--detach', '--rate', HUGE])
  const begin = await bench.endOf('crawl.items')
  const worker = startSluice(
    ['replay', 'worker', '--until-idle', '--most-lag', HUGE, '--most-faults', '1'],
    bench.environment,
  )
  const memory: number[] = []
  let startedAt: number | null = null
  let endedAt = 0
  while (worker.running()) {
    const written = (await bench.endOf('crawl.items')) - begin
    const status = read(`/proc/${worker.pid}/status`)
    if (written > 0) {
      startedAt ??= performance.now()
      memory.push(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
    }
    if (written < items) endedAt = performance.now()
    await wait(50)
  }
  if ((await worker.ended).code !== 0 || startedAt === null) throw new Error(worker.stderr())
  const early = memory[Math.floor(memory.length / 4)] ?? 0
  return {
    perSecond: (1000 * items) / (endedAt - startedAt),
    early,
    late: memory.filter((found) => found > 0).at(-1) ?? 0,
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The same originals, by a producer that is idempotent and no more, in requests of about the same length as the worker. */
async function plain(bench: Bench, partition: number): Promise<number> {
  const verdicts: VerdictRecord[] = []
  await readTopic<VerdictRecord>({
    kafka: createKafka(bench.settings, 'bench'),
    registry: bench.registry,
    prefix: bench.settings.prefix,
    topic: 'gate.verdicts',
    partition,
    isWanted: () => true,
    onValue: (verdict) => void verdicts.push(verdict),
  })
  const held = bench.store('held')
  const producer = createKafka(bench.settings, 'bench').producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const startedAt = performance.now()
  for (let from = 0; from < verdicts.length; from += 10) {
    const originals = await Promise.all(
      verdicts.slice(from, from + 10).map(({ heldReference, input }) => readOriginal(held, heldReference ?? '', input)),
    )
    const messages = originals.flatMap((found) =>
      found === null ? [] : [{ key: found.key, value: found.value, headers: headersInOrder(found.headers), partition }],
    )
    await producer.send({ topic: bench.topic('crawl.items'), acks: -1, messages })
  }
  const seconds = (performance.now() - startedAt) / 1000
  await producer.disconnect()
  return verdicts.length / seconds
}

async function measureReplays(times: number, items: number): Promise<Replayed[]> {
  const scope = openScope('replay')
  try {
    const bench = await openBench(scope, { partitions: times })
    await bench.importList('stand-in', [])
    await withProgress(`${times * items} items are held`, () => hold(bench, items))
    const runs: Replayed[] = []
    for (let partition = 0; partition < times; partition++) {
      const replayed = await withProgress('replaying', () => replay(bench, partition, items))
      runs.push({ ...replayed, plainPerSecond: await plain(bench, partition) })
    }
    scope.passed = true
    return runs
  } finally {
    await scope.close()
  }
}

async function measureStats(times: number, verdicts: number): Promise<number[]> {
  const scope = openScope('stats')
  try {
    const bench = await openBench(scope, { partitions: 4 })
    const all = function* (): Generator<VerdictRecord> {
      for (let n = 0; n < verdicts; n++) yield heldVerdict(bench, n)
    }
    await withProgress(`${verdicts} verdicts are written`, () => produceVerdicts(bench, all()))
    const seconds: number[] = []
    for (let time = 0; time < times; time++) {
      const startedAt = performance.now()
      await bench.sluice(['quarantine', 'stats', '--json'])
      seconds.push((performance.now() - startedAt) / 1000)
    }
    scope.passed = true
    return seconds
  } finally {
    await scope.close()
  }
}

const options = {
  times: wholeNumber.default(5),
  items: wholeNumber.default(1000),
  verdicts: wholeNumber.default(400_000),
}
const { times, items, verdicts } = readOptions(USAGE, options)
await withStack(async () => {
  const runs = await measureReplays(times, items)
  const seconds = await measureStats(times, verdicts)
  const ratio = spread(runs.map(({ perSecond, plainPerSecond }) => perSecond / plainPerSecond))
  keep({ replayVsPlain: ratio, statsSeconds: spread(seconds) }, { replayRaw: { items, runs, verdicts, seconds } })
  const rows = [
    ['items replayed a second', inWords(spread(runs.map(({ perSecond }) => perSecond)), 0)],
    ['by a plain producer', inWords(spread(runs.map(({ plainPerSecond }) => plainPerSecond)), 0)],
    ['of that', inWords(ratio, 2)],
    ['mebibytes after a quarter', inWords(spread(runs.map(({ early }) => early)), 0)],
    ['mebibytes at the end', inWords(spread(runs.map(({ late }) => late)), 0)],
    [`seconds for stats over ${verdicts} verdicts`, inWords(spread(seconds), 1)],
  ]
  process.stdout.write(`${asTable(['replay', `${items} items, ${times} times`], rows)}\n`)
})
