import { setImmediate as immediate } from 'node:timers/promises'
import pLimit from 'p-limit'
import { capEnvelope } from '../domain/cap-envelope.ts'
import { fetchedDigests } from '../domain/fetched-digests.ts'
import { type Judgement, judge } from '../domain/judge/judge.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { strongest } from '../domain/match/match-index.ts'
import type { ItemFault } from '../domain/reasons.ts'
import type { ListVersion, Match, Signal } from '../domain/records.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Registry } from '../platform/registry.ts'
import type { Store } from '../platform/stores/store.ts'
import { type DoorItem, type DoorRecord, readItem } from './door.ts'
import type { Scanners } from './inspect/scanners.ts'
import type { ListsInForce } from './known-lists.ts'
import { type Payload, resolvePayload } from './payload.ts'

/** A door record with everything that was found out about it. */
export type Examined = {
  record: DoorRecord
  item: DoorItem
  payload: Payload | null
  mediaType: string | null
  fingerprint: Signal[]
  listVersions: ListVersion[]
  judgement: Judgement
}

const SIGNALS_AT_ONCE = 50
/** What a chunk's results may come to in memory, in bytes, before no more of its items are begun. */
const RESULT_BYTES = 32_000_000

/**
 * From door records to verdicts, in their order. Results may be large (an animation has many signals a frame): where they are, only
 * the first ones of the records are examined, at least one, and the caller comes again with the others. Nothing more is begun once
 * the signal is given.
 */
export type Examine = <Result extends { bytes: number }>(
  records: readonly DoorRecord[],
  lists: ListsInForce,
  signal: AbortSignal,
  then: (examined: Examined) => Promise<Result>,
) => Promise<Result[]>

/**
 * Makes the function that examines a chunk: read, resolve, inspect, match, judge, and hand each item on while its bytes are at hand.
 * @param concurrency items whose payloads may be in memory at once, over all lanes
 */
export function createExamine(parts: {
  registry: Registry
  /** where a payload by reference is looked up, in this order */
  payloads: readonly Pick<Store, 'read'>[]
  scanners: Scanners
  policy: Policy
  metrics: Metrics
  concurrency: number
}): Examine {
  const { registry, payloads, scanners, policy, metrics } = parts
  const limit = pLimit(parts.concurrency)

  /** @param take told the length of the payload as soon as it is in memory */
  async function examineOne(record: DoorRecord, lists: ListsInForce, take: (bytes: number) => void): Promise<Examined> {
    const read = await readItem(registry, record)
    const { envelope, cut } = capEnvelope(read.envelope)
    const item = { ...read, envelope }
    const faults: ItemFault[] = cut ? [...item.faults, 'ENVELOPE_TOO_LONG'] : [...item.faults]
    let payload: Payload | null = null
    if (item.readable) {
      const resolved = await timed('resolve', () => resolvePayload(item, payloads, policy.limits.payloadBytes))
      payload = resolved.payload
      take(payload?.bytes.length ?? 0)
      faults.push(...resolved.faults)
    }
    const fingerprint: Signal[] = [...(payload?.signals ?? [])]
    let mediaType: string | null = null
    if (payload !== null && payload.bytes.length > 0) {
      const { bytes } = payload
      const { pixels, frames, scanSeconds } = policy.limits
      const inspection = await timed('inspect', () => scanners.inspect(bytes, { pixels, frames, seconds: scanSeconds }))
      mediaType = inspection.mediaType
      fingerprint.push(...inspection.fingerprint)
      faults.push(...inspection.faults)
    }
    const matches = await timed('match', () => matchInSlices([...fingerprint, ...fetchedDigests(envelope)], lists))
    const judgement = judge({ faults, matches, envelope: item.readable ? item.envelope : null, policy })
    return { record, item, payload, mediaType, fingerprint, listVersions: lists.versions, judgement }
  }

  /** A fingerprint may have thousands of signals: the thread that also answers the group must not be held up by them. */
  async function matchInSlices(signals: readonly Signal[], { index }: ListsInForce): Promise<Match[]> {
    const found: Match[] = []
    for (let from = 0; from < signals.length; from += SIGNALS_AT_ONCE) {
      if (from > 0) await immediate()
      found.push(...index.match(signals.slice(from, from + SIGNALS_AT_ONCE), policy.pdq))
    }
    return strongest(found)
  }

  async function timed<Result>(stage: string, work: () => Promise<Result>): Promise<Result> {
    const end = metrics.stage.startTimer({ stage })
    try {
      return await work()
    } finally {
      end()
    }
  }

  return async (records, lists, signal, then) => {
    const failed = new AbortController()
    const given = AbortSignal.any([signal, failed.signal])
    let bytes = 0
    const results = records.map((record) =>
      limit(async () => {
        given.throwIfAborted()
        if (bytes > RESULT_BYTES) return null
        try {
          let taken = 0
          const examined = await examineOne(record, lists, (length) => {
            taken = length
            bytes += length
          })
          const result = await then(examined)
          bytes += result.bytes - taken
          return result
        } catch (error) {
          // The chunk will be tried again as a whole: what is still queued need not be examined now.
          failed.abort()
          throw error
        }
      }),
    )
    // They are begun in their order, so those that were not are the last ones.
    return (await Promise.all(results)).filter((result) => result !== null)
  }
}
