import type { VerdictRecord } from '../domain/records.ts'
import type { RunPart } from '../domain/replay/replay-runs.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

const REFERENCE_BYTES = 32

/** The planned items of a partition that have a verdict: where their originals are. */
export type PlannedItems = {
  /** null where no verdict holds it: it was cleared, or its verdict is gone */
  reference(offset: number): string | null
}

/**
 * Looks up the verdicts of a part of a run. Keeps 32 bytes and a place an item.
 * @throws {SluiceError} as `readTopic`
 */
export async function findPlanned(
  settings: Settings,
  registry: Registry,
  { partition, sequence, request }: RunPart,
): Promise<PlannedItems> {
  const places = new Map(sequence.map((offset, at) => [offset, at]))
  const references = Buffer.alloc(sequence.length * REFERENCE_BYTES)
  const found = new Uint8Array(sequence.length)
  await readTopic<VerdictRecord>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: 'gate.verdicts',
    partition,
    from: new Map([[partition, request.verdictsFrom]]),
    to: new Map([[partition, request.verdictsTo]]),
    isWanted: () => true,
    onValue({ input, outcome, heldReference }) {
      const at = places.get(input.offset)
      if (at === undefined || outcome === 'clean' || heldReference === null) return
      references.write(heldReference, at * REFERENCE_BYTES, 'hex')
      found[at] = 1
    },
  })
  return {
    reference(offset) {
      const at = places.get(offset)
      if (at === undefined || found[at] !== 1) return null
      return references.toString('hex', at * REFERENCE_BYTES, (at + 1) * REFERENCE_BYTES)
    },
  }
}
