import { z } from 'zod'
import { type ForeignCluster, loginOf, run } from './foreign.ts'

const figure = z.number().int()

/** Everything that can be wrong with outcomes, each a figure of its own. */
const faultFigures = {
  /** items with two outcomes, and records of a topic about an item that has one there already */
  duplicates: figure,
  /** items without outcome, verdict or envelope */
  losses: figure,
  /** records about an earlier item than the one before them in their partition */
  orderFaults: figure,
  /** records about no item of their partition */
  strays: figure,
  /** items whose outcome, verdict and envelope do not say the same under one key */
  disagreements: figure,
  missingObjects: figure,
  /** objects with another sha256 than their name */
  wrongObjects: figure,
  /** partitions of the door whose end is not what the group has committed */
  behind: figure,
}
const faults = z.object(faultFigures)
export type OutcomeFaults = z.infer<typeof faults>

const outcomeCount = z.object({
  ...faultFigures,
  items: figure,
  /** different objects that outcomes refer to */
  objects: figure,
  /** items by outcome */
  outcomes: z.record(z.string(), figure),
  /** items by `<door key up to its first dash> <outcome> <reasons>` */
  fates: z.record(z.string(), figure),
  /** the first faults, in words */
  examples: z.array(z.string()),
})
/** What a gate's door, outputs and stores hold, counted. */
export type OutcomeCount = z.infer<typeof outcomeCount>

/**
 * Counts what became of every record of the door, with librdkafka at read_committed; for numbers of items that this process could not hold.
 * @param gate where it reads and writes
 * @throws {Error} when a partition can't be read to its end in time, e.g. because a transaction is still open
 */
export async function countOutcomes(
  gate: ForeignCluster & { registry: string; prefix: string; stores: string },
): Promise<OutcomeCount> {
  const words = [
    `--brokers=${gate.brokers.join(',')}`,
    `--registry=${gate.registry}`,
    `--prefix=${gate.prefix}`,
    `--stores=${gate.stores}`,
  ]
  const lines = await run('count-outcomes.py', words, '', loginOf(gate))
  return outcomeCount.parse(JSON.parse(lines.join('')))
}

/** The figures of a count that should all be 0. */
export function faultsOf(count: OutcomeCount): OutcomeFaults {
  return faults.parse(count)
}

export const noFaults: OutcomeFaults = {
  duplicates: 0,
  losses: 0,
  orderFaults: 0,
  strays: 0,
  disagreements: 0,
  missingObjects: 0,
  wrongObjects: 0,
  behind: 0,
}
