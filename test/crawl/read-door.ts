import { DOOR } from '../../services/domain/topics.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { type FollowedRecord, followTopic } from '../../services/platform/kafka/follow-topic.ts'
import type { Bench } from '../integration/harness.ts'

/** Every record on the door of a bench, as far as it goes now. */
export async function readDoor({ settings, topic }: Bench): Promise<FollowedRecord[]> {
  const records: FollowedRecord[] = []
  const follower = followTopic({
    kafka: createKafka(settings, 'read-door'),
    topic: topic(DOOR),
    onRecord: (record) => {
      records.push(record)
    },
  })
  await follower.reachedEnd
  await follower.stop()
  return records
}
