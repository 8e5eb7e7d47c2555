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
   * @throws {SluiceError} BROKER_UNREACHABLE when the topic could not be followed to its end for a minute; MESSAGE_UNDECODABLE
   */
  has(sha256: string): boolean
  /** Whether these bytes were ever recalled, asked anew where that is not known yet: a recall that was withdrawn since does not put them back into the clean store. */
  wasRecalled(sha256: string): Promise<boolean>
  stop(): Promise<void>
}

/**
 * Knows what was recalled: everything that is on the topic when it resolves, and what comes after it within moments.
 * @throws {SluiceError} TOPICS_MISSING, BROKER_UNREACHABLE, ACCESS_DENIED, REGISTRY_UNREACHABLE; MESSAGE_UNDECODABLE
 */
export async function followRecalls(settings: Settings, registry: Registry): Promise<Recalls> {
  /** by sha256, whether the last word on it is that it is recalled */
  const known = new Map<string, boolean>()
  let failure: SluiceError | null = null

  async function take({ key, value, partition, offset }: FollowedRecord): Promise<void> {
    if (value === null) return forget(key)
    try {
      note((await registry.decode<RecallRecord>(RECALLS, value)).value)
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.fault !== 'item') throw cause
      const sentence = `${prefixed(settings.prefix, RECALLS)}, partition ${partition}, offset ${offset}: expected a record as recall writes it`
      failure = new SluiceError('MESSAGE_UNDECODABLE', sentence, { cause })
    }
  }

  /** Taken off the topic by somebody: it is told of no bytes any more. */
  function forget(key: Buffer | null): void {
    const sha256 = key?.toString('utf8') ?? ''
    if (known.has(sha256)) known.set(sha256, false)
  }

  function note(recall: RecallRecord): void {
    known.set(recall.sha256, isRecalled(recall))
  }

  /** @returns where it ended, by partition */
  async function readAll(
    onRecall: (recall: RecallRecord) => void,
    onTakenOff: (key: Buffer | null) => void = () => undefined,
  ): Promise<Map<number, number>> {
    const end = new Map<number, number>()
    await readTopic<RecallRecord>({
      kafka: createKafka(settings, 'sluice-train-recalls'),
      registry,
      prefix: settings.prefix,
      topic: RECALLS,
      isWanted({ key, value, partition, offset }) {
        if (value !== null) return true
        onTakenOff(key)
        end.set(partition, offset + 1)
        return false
      },
      onValue(recall, { partition, offset }) {
        onRecall(recall)
        end.set(partition, offset + 1)
      },
    })
    return end
  }

  // What can not be read at all is told at once; a follower would wait for it.
  const from = await readAll(note, forget)
  const follower = followTopic({
    kafka: createKafka(settings, 'sluice-train-recalls'),
    topic: prefixed(settings.prefix, RECALLS),
    // Told all of it once more, it would for moments take back what was recalled, withdrawn and recalled again.
    from,
    onRecord: take,
    onTrouble(error) {
      if (error instanceof SluiceError && error.code === 'POSITION_JUMPED') failure = error
    },
  })

  return {
    has(sha256) {
      if (failure !== null) throw failure
      if (follower.behind() > SILENCE_MS) {
        const sentence = `for ${SILENCE_MS / 1000} s it could not be read to its end what was recalled: nothing more is handed out without that`
        throw new SluiceError('BROKER_UNREACHABLE', sentence)
      }
      return known.get(sha256) === true
    },
    async wasRecalled(sha256) {
      // With many withdrawn ones, the topic would be read again for each.
      if (known.has(sha256)) return true
      let isIt = false
      await readAll((recall) => {
        isIt ||= recall.sha256 === sha256
      })
      return isIt
    },
    stop: () => follower.stop(),
  }
}
