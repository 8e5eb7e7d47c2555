import { setTimeout as wait } from 'node:timers/promises'
import type { KafkaMessage } from 'kafkajs'
import { z } from 'zod'
import { createKafka } from '../../services/platform/kafka/client.ts'
import type { GateProcess } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'
import { crawlItem, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

/** Who takes over: the same gate, started again as a supervisor would, or another one that is there already. */
export type Successor = 'restart' | 'standby'
export type Ending = 'SIGTERM' | 'SIGKILL'

/** Milliseconds from the signal to the first verdict that a successor has committed: in the first partition, and in the last. */
export type GapTimes = { first: number; last: number }

const LOAD_EVERY_MS = 200
const batchContext = z.object({ producerId: z.string(), producerEpoch: z.number() })

/**
 * Ends a gate under steady load (5 items a second in each partition) and measures how long nothing is judged, again and again.
 * The readings of several calls follow each other on one bench, which must have its lists.
 */
export async function measureGaps(
  bench: Bench,
  successor: Successor,
  ending: Ending,
  times: number,
): Promise<GapTimes[]> {
  const stopping = new AbortController()
  const verdicts = await watchVerdicts(bench)
  const load = keepLoading(bench, stopping.signal)
  // Its failure ends the measuring: see below.
  load.catch(() => undefined)
  const gates = new Set<GateProcess>()
  const start = (): GateProcess => {
    const gate = bench.startGate()
    gates.add(gate)
    return gate
  }
  try {
    let serving = start()
    const gaps: GapTimes[] = []
    while (gaps.length < times) {
      const standby = successor === 'standby' ? start() : null
      await Promise.all([...gates].map((gate) => gate.untilReady()))
      const before = await Promise.race([verdicts.writers(), failureOf(load)])
      const began = performance.now()
      serving.kill(ending)
      const gone = serving.ended.then(() => gates.delete(serving))
      if (standby === null) await gone
      const next = standby ?? start()
      const at = await verdicts.otherThan(before)
      await gone
      gaps.push({ first: Math.min(...at) - began, last: Math.max(...at) - began })
      serving = next
    }
    return gaps
  } finally {
    stopping.abort()
    await load
    await verdicts.stop()
    for (const gate of gates) gate.kill('SIGKILL')
    await Promise.all([...gates].map((gate) => gate.ended))
  }
}

/** Never resolves; rejects when the work does. */
async function failureOf(work: Promise<void>): Promise<never> {
  await work
  return await new Promise(() => undefined)
}

/** Reads the verdicts as they are committed and tells who wrote them: a lane that is built anew has another producer epoch. */
async function watchVerdicts(bench: Bench) {
  /** by partition, the last writer, and when its first and its latest verdict came */
  const seen = new Map<number, { writer: string; since: number; latest: number }>()
  const consumer = createKafka(bench.settings, 'bench').consumer({
    groupId: `${bench.group}-bench`,
    maxWaitTimeInMs: 20,
  })
  await consumer.connect()
  await consumer.subscribe({ topic: bench.topic('gate.verdicts'), fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: bench.partitions,
    eachBatch({ batch }) {
      const last = batch.messages.at(-1)
      const before = seen.get(batch.partition)
      const now = performance.now()
      if (last !== undefined) {
        const writer = writerOf(last)
        seen.set(batch.partition, { writer, since: writer === before?.writer ? before.since : now, latest: now })
      }
      return Promise.resolve()
    },
  })
  const all = (holds: (partition: number, last: { writer: string; latest: number }) => boolean): boolean =>
    seen.size === bench.partitions && [...seen].every(([partition, last]) => holds(partition, last))
  return {
    /** Waits until a verdict has come in every partition. @returns who wrote the last of each */
    async writers(): Promise<Map<number, string>> {
      const now = performance.now()
      await waitFor('all partitions are judged', () => all((_, { latest }) => latest > now), { everyMs: 5 })
      return new Map([...seen].map(([partition, { writer }]) => [partition, writer]))
    },
    /** Waits until every partition has verdicts of another writer than this. @returns when the first of each came */
    async otherThan(before: ReadonlyMap<number, string>): Promise<number[]> {
      const isNew = (): boolean => all((partition, { writer }) => before.get(partition) !== writer)
      await waitFor('all partitions are judged by a successor', isNew, { everyMs: 5 })
      return [...seen.values()].map(({ since }) => since)
    },
    stop: () => consumer.disconnect(),
  }
}

function writerOf(message: KafkaMessage): string {
  const { producerId, producerEpoch } = batchContext.parse(Reflect.get(message, 'batchContext'))
  return `${producerId}/${producerEpoch}`
}

async function keepLoading(bench: Bench, signal: AbortSignal): Promise<void> {
  const run = performance.now()
  const pictures = await Promise.all(Array.from({ length: 50 }, (_, index) => tinyPicture(index)))
  for (let round = 0; !signal.aborted; round++) {
    const messages = Array.from({ length: bench.partitions }, async (_, partition) => {
      const id = `load-${run}-${round}-${partition}`
      const inline = pictures[(round + partition) % pictures.length] ?? Buffer.alloc(0)
      return { key: id, partition, value: await bench.registry.encode('crawl.items', crawlItem(id, { inline })) }
    })
    await bench.produce('crawl.items', await Promise.all(messages))
    await wait(LOAD_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}
