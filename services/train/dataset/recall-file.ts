import { createReadStream } from 'node:fs'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { isRecalled } from '../../domain/recall.ts'
import type { RecallRecord } from '../../domain/records.ts'
import { timeText } from '../../domain/time-text.ts'
import { prefixed, type Topic } from '../../domain/topics.ts'
import { codeOf } from '../../platform/error-code.ts'
import { createKafka } from '../../platform/kafka/client.ts'
import { readTopic } from '../../platform/kafka/read-topic.ts'
import { topicBounds } from '../../platform/kafka/topic-bounds.ts'
import { readLines } from '../../platform/read-lines.ts'
import { createRegistry } from '../../platform/registry.ts'
import type { Settings } from '../../platform/settings.ts'

const RECALLS = 'gate.recalls' satisfies Topic
const LONGEST_LINE = 65_536

const whole = z.int().nonnegative()
const headSchema = z.strictObject({
  version: z.literal(1),
  cluster: z.string(),
  topic: z.string(),
  /** by partition: the first offset that was not read */
  ends: z.array(z.strictObject({ partition: whole, offset: whole })),
  readAt: whole,
  /** lines that follow */
  recalls: whole,
})
const recallSchema = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  state: z.string(),
  recalledAt: z.int(),
  partition: whole,
  offset: whole,
})

/** Up to where recalls are known. */
export type RecallsHead = z.infer<typeof headSchema>
/** The last word on some bytes. @property partition and offset on gate.recalls */
export type KnownRecall = z.infer<typeof recallSchema>
/** All that is known of recalls, by sha256; withdrawn ones too. */
export type KnownRecalls = { head: RecallsHead; recalls: ReadonlyMap<string, KnownRecall> }

/** The recall that is in effect for these bytes; null where there is none. */
export function recallOf({ recalls }: KnownRecalls, sha256: string): KnownRecall | null {
  const found = recalls.get(sha256)
  return found !== undefined && isRecalled(found) ? found : null
}

/**
 * Why these recalls can not tell what was recalled of some items: they are of another cluster or prefix, or older than the newest of them.
 * @param from where the items were: a topic of the same cluster and prefix as their recalls. `name` is what it is called without the prefix
 * @param signedUntil when the newest item was signed, milliseconds since the epoch; null where there is none
 * @returns both sides, and what to do; null where they can
 */
export function whyUnrelated(
  { cluster, topic, readAt }: RecallsHead,
  from: { cluster: string; topic: string; name: Topic },
  signedUntil: number | null,
): string | null {
  // By the names' ends: nobody who verifies knows the prefix.
  const expected = from.topic.endsWith(from.name) ? prefixed(from.topic.slice(0, -from.name.length), RECALLS) : null
  if (cluster !== from.cluster || topic !== expected) {
    return `the recalls are of ${topic} on cluster ${cluster}, the items of ${from.topic} on cluster ${from.cluster}: expected the recalls of that cluster and prefix, as \`sluice train recalls\` prints them there`
  }
  if (signedUntil === null || readAt >= signedUntil) return null
  return `the recalls of ${topic} on cluster ${cluster} were read at ${timeText(readAt)}, the newest item was signed at ${timeText(signedUntil)}: expected recalls that are no older, read them again by \`sluice train recalls\` where the clock is right`
}

/**
 * Reads what is on gate.recalls now.
 * @throws {SluiceError} as `readTopic`
 */
export async function readRecalls(settings: Settings, now: number): Promise<KnownRecalls> {
  const topic = prefixed(settings.prefix, RECALLS)
  const { cluster, bounds } = await topicBounds(createKafka(settings, 'sluice-train-recalls'), topic)
  const ends = bounds.map(({ partition, high }) => ({ partition, offset: high }))
  const recalls = new Map<string, KnownRecall>()
  await readTopic<RecallRecord>({
    kafka: createKafka(settings, 'sluice-train-recalls'),
    registry: createRegistry(settings),
    prefix: settings.prefix,
    topic: RECALLS,
    to: new Map(ends.map(({ partition, offset }) => [partition, offset])),
    isWanted({ key, value }) {
      if (value === null) recalls.delete(key?.toString('utf8') ?? '')
      return value !== null
    },
    onValue({ sha256, state, recalledAt }, { partition, offset }) {
      recalls.set(sha256, { sha256, state, recalledAt, partition, offset })
    },
  })
  return { head: { version: 1, cluster, topic, ends, readAt: now, recalls: recalls.size }, recalls }
}

/** As JSON lines, the head first, for {@link readRecallFile}. */
export function* recallLines({ head, recalls }: KnownRecalls): Generator<string> {
  yield `${JSON.stringify(head)}\n`
  for (const recall of recalls.values()) yield `${JSON.stringify(recall)}\n`
}

/**
 * Reads what `sluice train recalls` has printed.
 * @throws {SluiceError} CONFIG_INVALID, naming file and line
 */
export async function readRecallFile(file: string): Promise<KnownRecalls> {
  const recalls = new Map<string, KnownRecall>()
  let head: RecallsHead | null = null
  let lines = 0
  try {
    for await (const { bytes, number } of readLines(createReadStream(file), LONGEST_LINE)) {
      const wrong = (cause: unknown) => {
        const sentence = `${file}, line ${number}: expected what \`sluice train recalls\` prints`
        return new SluiceError('CONFIG_INVALID', sentence, { cause })
      }
      try {
        const line: unknown = JSON.parse(bytes.toString('utf8'))
        if (head === null) head = headSchema.parse(line)
        else {
          const recall = recallSchema.parse(line)
          recalls.set(recall.sha256, recall)
          lines += 1
        }
      } catch (cause) {
        throw wrong(cause)
      }
    }
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    const why = codeOf(cause) ?? (cause instanceof Error ? cause.message : '')
    throw new SluiceError('CONFIG_INVALID', `${file} can't be read as recalls (${why})`, { cause })
  }
  if (head === null || lines !== head.recalls || recalls.size !== lines) {
    const sentence = `${file} is not whole: expected ${head?.recalls ?? 'a head and its'} recalls, found ${lines}; print it anew by \`sluice train recalls\``
    throw new SluiceError('CONFIG_INVALID', sentence)
  }
  return { head, recalls }
}
