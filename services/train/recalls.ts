import { SluiceError } from '../domain/errors.ts'
import { isRecalled } from '../domain/recall.ts'
import type { RecallRecord } from '../domain/records.ts'
import { prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { type FollowedRecord, followTopic } from '../platform/kafka/follow-topic.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

const RECALLS = 'gate.recalls' satisfies Topic
/** For as long as this nobody may have said whether something was recalled. */
const SILENCE_MS = 60_000

export type Recalls = {
  /**
   * Whether these bytes have been recalled, as far as is known by now.
   * @throws {SluiceError} BROKER_UNREACHABLE when the topic could not be followed for a minute; MESSAGE_UNDECODABLE
   */
  has(sha256: string): boolean
  /** How many there are. */
  count(): number
  /** Whether these bytes have been recalled, asked anew: what lies on the topic at this moment counts. */
  ask(sha256: string): Promise<boolean>
  stop(): Promise<void>
}

/**
 * Knows what was recalled: everything that is on the topic when it resolves, and what comes after it within moments.
 * @throws {SluiceError} TOPICS_MISSING, BROKER_UNREACHABLE, ACCESS_DENIED, REGISTRY_UNREACHABLE; MESSAGE_UNDECODABLE
 */
export async function followRecalls(settings: Settings, registry: Registry): Promise<Recalls> {
  const recalled = new Set<string>()
  let failure: SluiceError | null = null

  async function take({ key, value, partition, offset }: FollowedRecord): Promise<void> {
    // Compacted away by somebody: it is told of no other bytes any more.
    if (value === null) return void recalled.delete(key?.toString('utf8') ?? '')
    try {
      note((await registry.decode<RecallRecord>(RECALLS, value)).value)
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.fault !== 'item') throw cause
      const sentence = `${prefixed(settings.prefix, RECALLS)}, partition ${partition}, offset ${offset}: expected a record as recall writes it`
      failure = new SluiceError('MESSAGE_UNDECODABLE', sentence, { cause })
    }
  }

  function note(recall: RecallRecord): void {
    if (isRecalled(recall)) recalled.add(recall.sha256)
    else recalled.delete(recall.sha256)
  }

  function readAll(onValue: (recall: RecallRecord) => void): Promise<void> {
    return readTopic<RecallRecord>({
      kafka: createKafka(settings, 'sluice-train-recalls'),
      registry,
      prefix: settings.prefix,
      topic: RECALLS,
      isWanted: () => true,
      onValue,
    })
  }

  // What can not be read at all is told at once; a follower would wait for it.
  await readAll(note)
  const follower = followTopic({
    kafka: createKafka(settings, 'sluice-train-recalls'),
    topic: prefixed(settings.prefix, RECALLS),
    onRecord: take,
    onTrouble(error) {
      if (error instanceof SluiceError && error.code === 'POSITION_JUMPED') failure = error
    },
  })

  return {
    has(sha256) {
      if (failure !== null) throw failure
      if (follower.silence() > SILENCE_MS) {
        const sentence = `no broker has said for ${SILENCE_MS / 1000} s what was recalled: nothing more is handed out without that`
        throw new SluiceError('BROKER_UNREACHABLE', sentence)
      }
      return recalled.has(sha256)
    },
    count: () => recalled.size,
    async ask(sha256) {
      let isIt = false
      await readAll((recall) => {
        if (recall.sha256 === sha256) isIt = isRecalled(recall)
      })
      return isIt
    },
    stop: () => follower.stop(),
  }
}
