import type { Producer } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import type { RecallRecord } from '../domain/records.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

const RECALLS = 'gate.recalls' satisfies Topic
/** Well below what the topic takes at once. */
const REQUEST_BYTES = 500_000

/** Every recall there is, by sha256; one that was taken off the topic is none. */
export async function readRecalls(settings: Settings, registry: Registry): Promise<Map<string, RecallRecord>> {
  const recalls = new Map<string, RecallRecord>()
  await readTopic<RecallRecord>({
    kafka: createKafka(settings, 'sluice-recall'),
    registry,
    prefix: settings.prefix,
    topic: RECALLS,
    isWanted({ key, value }) {
      if (value === null && key !== null) recalls.delete(key.toString('utf8'))
      return true
    },
    onValue: (recall) => void recalls.set(recall.sha256, recall),
  })
  return recalls
}

/** Writes recalls; when it resolves, all replicas that must have them have them. @throws {SluiceError} BROKER_UNREACHABLE */
export type WriteRecalls = (recalls: readonly RecallRecord[]) => Promise<void>

export function createWriteRecalls(producer: Producer, registry: Registry, prefix: string): WriteRecalls {
  const topic = prefixed(prefix, RECALLS)

  async function send(messages: Array<{ key: string; value: Buffer; partition: number }>): Promise<void> {
    try {
      await producer.send({ topic, acks: -1, messages })
    } catch (cause) {
      throw new SluiceError('BROKER_UNREACHABLE', `${topic} could not be written; run it again`, { cause })
    }
  }

  return async (recalls) => {
    let messages: Parameters<typeof send>[0] = []
    let bytes = 0
    for (const recall of recalls) {
      const value = await registry.encode(RECALLS, recall)
      if (messages.length > 0 && bytes + value.length > REQUEST_BYTES) {
        await send(messages)
        messages = []
        bytes = 0
      }
      messages.push({ key: recall.sha256, value, partition: 0 })
      bytes += value.length
    }
    if (messages.length > 0) await send(messages)
  }
}
