import type { Kafka } from 'kafkajs'
import type { Envelope, EnvelopeRecord, VerdictRecord } from '../../services/domain/records.ts'
import { DOOR, prefixed, type Topic } from '../../services/domain/topics.ts'
import { withAdmin } from '../../services/platform/kafka/client.ts'
import { type FollowedRecord, followTopic } from '../../services/platform/kafka/follow-topic.ts'
import type { Registry } from '../../services/platform/registry.ts'

export type Verdict = Omit<VerdictRecord, 'fingerprint'>

/** What a run has left on its topics. */
export type Result = {
  /** offsets of the door topic */
  produced: number
  clean: number
  quarantine: number
  review: number
  verdicts: number
  envelopes: number
  /** reason code to number of verdicts that have it */
  reasons: Record<string, number>
  /** sha256 of a payload to outcome and reasons */
  outcomes: Map<string, { outcome: string; reasons: string[] }>
  /** a held item for people to look at, and what is known about it; null when none is held by a match */
  example: { verdict: Verdict; envelope: Envelope | null } | null
}

/** Reads the committed records of a run's topics. */
export async function readResult(kafka: Kafka, registry: Registry, prefix: string): Promise<Result> {
  const counts = { clean: 0, quarantine: 0, review: 0, verdicts: 0, envelopes: 0 }
  const reasons: Record<string, number> = {}
  const outcomes: Result['outcomes'] = new Map()
  let chosen: Verdict | null = null
  let envelope: Envelope | null = null

  async function read(topic: Topic, onRecord: (record: FollowedRecord) => Promise<void> | void): Promise<void> {
    const failed = Promise.withResolvers<never>()
    const follower = followTopic({ kafka, topic: prefixed(prefix, topic), onRecord, onTrouble: failed.reject })
    try {
      await Promise.race([follower.reachedEnd, failed.promise])
    } finally {
      await follower.stop()
    }
  }
  async function count(name: 'clean' | 'quarantine' | 'review'): Promise<void> {
    await read(`gate.${name}`, () => {
      counts[name]++
    })
  }
  async function readVerdicts(): Promise<void> {
    await read('gate.verdicts', async ({ value }) => {
      counts.verdicts++
      const { fingerprint: _, ...verdict } = (
        await registry.decode<VerdictRecord>('gate.verdicts', value ?? Buffer.alloc(0))
      ).value
      for (const reason of verdict.reasons) reasons[reason] = (reasons[reason] ?? 0) + 1
      if (verdict.sha256 !== null) outcomes.set(verdict.sha256, verdict)
      if (worthShowing(verdict) > worthShowing(chosen)) chosen = verdict
    })
  }

  const [produced] = await Promise.all([
    doorOffsets(kafka, prefix),
    count('clean'),
    count('quarantine'),
    count('review'),
    readVerdicts(),
  ])
  await read('gate.envelopes', async ({ value }) => {
    counts.envelopes++
    if (chosen === null || envelope !== null) return
    const record = (await registry.decode<EnvelopeRecord>('gate.envelopes', value ?? Buffer.alloc(0))).value
    const { partition, offset } = record.input
    if (partition === chosen.input.partition && offset === chosen.input.offset) envelope = record.envelope
  })
  const example = chosen === null ? null : { verdict: chosen, envelope }
  return { produced, ...counts, reasons, outcomes, example }
}

/** The more there is to say about a held item, the better it serves as an example. */
function worthShowing(verdict: Verdict | null): number {
  const match = verdict?.matches[0]
  if (!verdict || !match || verdict.outcome === 'clean') return 0
  const fromWeb = verdict.supplyKind === 'web-crawl' ? 2 : 0
  return 1 + fromWeb + (match.class === 'near' && match.transform !== 'identity' ? 4 : 0)
}

async function doorOffsets(kafka: Kafka, prefix: string): Promise<number> {
  const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(prefixed(prefix, DOOR)))
  return offsets.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
}
