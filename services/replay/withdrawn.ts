import { isRecalled } from '../domain/recall.ts'
import type { Match, RecallRecord, VerdictRecord } from '../domain/records.ts'
import type { Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import type { FollowedRecord } from '../platform/kafka/follow-topic.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

const RECALLS = 'gate.recalls' satisfies Topic

/** What recalls were withdrawn. */
export type Withdrawn = {
  isEmpty: boolean
  /**
   * What had recalled a cleared item, where that was withdrawn after it was cleared: what was cleared since has come back already.
   * @param record of the verdict; brokers write the time of it and of a recall, by clocks that are seconds apart at most
   */
  find(verdict: Pick<VerdictRecord, 'sha256'>, record: Pick<FollowedRecord, 'timestamp'>): { matches: Match[] } | null
}

/** What an item was held for: reasons; of one that was cleared, that its recall was withdrawn. */
export function heldFor({ outcome, reasons }: Pick<VerdictRecord, 'outcome' | 'reasons'>): readonly string[] {
  return outcome === 'clean' ? ['(recall, withdrawn)'] : reasons
}

/** Reads gate.recalls. @throws {SluiceError} as `readTopic` */
export async function readWithdrawn(settings: Settings, registry: Registry): Promise<Withdrawn> {
  const found = new Map<string, { matches: Match[]; withdrawnAt: number }>()
  await readTopic<RecallRecord>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: RECALLS,
    isWanted({ key, value }) {
      // The last word on a payload counts.
      if (key !== null) found.delete(key.toString('utf8'))
      return value !== null
    },
    onValue(recall, { timestamp }) {
      if (!isRecalled(recall)) found.set(recall.sha256, { matches: recall.matches, withdrawnAt: timestamp })
    },
  })
  return {
    isEmpty: found.size === 0,
    find({ sha256 }, { timestamp }) {
      const recall = found.get(sha256 ?? '')
      return recall === undefined || timestamp >= recall.withdrawnAt ? null : { matches: recall.matches }
    },
  }
}
