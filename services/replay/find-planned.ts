import type { VerdictRecord } from '../domain/records.ts'
import type { RunPart } from '../domain/replay/replay-runs.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { findEnvelopes } from './cleared-message.ts'

const DIGEST_BYTES = 32

/**
 * Where a planned item's message is had from. `held`: as it came, under this name in the held store. `cleared`: its payload is there under this name,
 * and its envelope stands at this offset of gate.envelopes.
 */
export type PlannedItem = { held: string } | { cleared: string; at: number }

/** The planned items of a partition that have a verdict. */
export type PlannedItems = {
  /** null where its verdict is gone, or does not tell */
  find(offset: number): PlannedItem | null
}

/**
 * Looks up the verdicts of a part of a run, and of what was cleared the envelopes too. Keeps 32 bytes and a place or two an item.
 * @throws {SluiceError} as `readTopic`; the reason of `signal`
 */
export async function findPlanned(
  settings: Settings,
  registry: Registry,
  { partition, sequence, request }: RunPart,
  signal: AbortSignal,
): Promise<PlannedItems> {
  const places = new Map(sequence.map((offset, at) => [offset, at]))
  const digests = Buffer.alloc(sequence.length * DIGEST_BYTES)
  const held = new Uint8Array(sequence.length)
  const cleared = new Set<number>()
  await readTopic<VerdictRecord>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: 'gate.verdicts',
    partition,
    signal,
    from: new Map([[partition, request.verdictsFrom]]),
    to: new Map([[partition, request.verdictsTo]]),
    isWanted: () => true,
    onValue({ input, outcome, heldReference, sha256 }) {
      const at = places.get(input.offset)
      const digest = outcome === 'clean' ? sha256 : heldReference
      if (at === undefined || digest === null) return
      digests.write(digest, at * DIGEST_BYTES, 'hex')
      held[at] = outcome === 'clean' ? 0 : 1
      if (outcome === 'clean') cleared.add(input.offset)
    },
  })
  const envelopes = cleared.size === 0 ? null : await findEnvelopes(settings, registry, partition, cleared, signal)
  return {
    find(offset) {
      const place = places.get(offset)
      if (place === undefined) return null
      const digest = digests.toString('hex', place * DIGEST_BYTES, (place + 1) * DIGEST_BYTES)
      if (held[place] === 1) return { held: digest }
      const at = envelopes?.get(offset)
      return at === undefined ? null : { cleared: digest, at }
    },
  }
}
