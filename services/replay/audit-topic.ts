import type { Producer } from 'kafkajs'
import type { ReplayAuditRecord } from '../domain/records.ts'
import { countsOf, itemsOf, type Run, stateOf } from '../domain/replay/replay-runs.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

export const AUDIT = 'replay.audit' satisfies Topic

export type ReplayAudit = {
  /** Writes what a run calls for and what is not written yet: each once, also where a worker was killed in between. */
  settle(run: Run): Promise<void>
}

/**
 * The book in which every plan that was carried out, every run, order and end stands for ever.
 * @param producer idempotent, of nobody else's
 * @throws {SluiceError} as `readTopic`
 */
export async function openReplayAudit(
  settings: Settings,
  registry: Registry,
  producer: Producer,
): Promise<ReplayAudit> {
  const written = new Set<string>()
  await readReplayAudit(settings, registry, (record) => void written.add(nameOf(record)))
  return {
    async settle(run) {
      for (const record of calledFor(run)) {
        const name = nameOf(record)
        if (written.has(name)) continue
        const value = await registry.encode(AUDIT, record)
        const topic = prefixed(settings.prefix, AUDIT)
        await producer.send({ topic, acks: -1, messages: [{ key: run.id, value, partition: 0 }] })
        written.add(name)
      }
    },
  }
}

/** @throws {SluiceError} as `readTopic` */
export function readReplayAudit(
  settings: Settings,
  registry: Registry,
  onRecord: (record: ReplayAuditRecord) => void,
): Promise<void> {
  return readTopic<ReplayAuditRecord>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: AUDIT,
    isWanted: () => true,
    // What a callback happens to return is not to be waited for.
    onValue: (record) => void onRecord(record),
  })
}

function nameOf({ run, action, at }: ReplayAuditRecord): string {
  return `${run}/${action}/${at}`
}

function calledFor(run: Run): ReplayAuditRecord[] {
  const parts = [...run.parts.values()]
  const [first] = parts
  if (first === undefined) return []
  const { id, plan, order } = run
  const chosen = itemsOf(run)
  const replayed = countsOf(run).replayed ?? 0
  const { who, why, requestedAt, request } = first
  const records: ReplayAuditRecord[] = [
    { run: id, plan, action: 'plan', who: request.plannedBy, why, at: request.plannedAt, items: chosen },
    { run: id, plan, action: 'run', who, why, at: requestedAt, items: chosen },
  ]
  if (order !== null) {
    records.push({ run: id, plan, action: order.word, who: order.who, why: order.why, at: order.at, items: replayed })
  }
  const state = stateOf(run)
  if (state === 'waiting' || state === 'stopped' || state === 'done') {
    const last = parts.flatMap(({ progress }) => (progress?.state === state ? [progress] : []))
    // Its partitions say so one after the other, and only behind the last of them it is known how much was replayed. Where a worker was killed between two, an
    // order that came later is all that follows.
    const isCutOff = order !== null && last.every(({ heeded }) => heeded !== order.at)
    if (last.length < parts.length && !isCutOff) return records
    const at = Math.max(...last.map(({ updatedAt }) => updatedAt))
    const sentence = last.find((progress) => progress.why !== null)?.why ?? why
    const action = state === 'waiting' ? 'wait' : state === 'stopped' ? 'stopped' : 'done'
    records.push({ run: id, plan, action, who: 'replay-worker', why: sentence, at, items: replayed })
  }
  return records
}
