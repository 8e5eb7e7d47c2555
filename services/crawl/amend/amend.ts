import { coordinatesText, isNamed, type NamedCoordinates } from '../../domain/coordinates.ts'
import { referring } from '../../domain/envelope.ts'
import { SluiceError } from '../../domain/errors.ts'
import { type Finding, findings, type Reason } from '../../domain/reasons.ts'
import type { Amendment, Coordinates, Envelope, EnvelopeRecord, VerdictRecord } from '../../domain/records.ts'
import { DOOR, prefixed } from '../../domain/topics.ts'
import { createKafka } from '../../platform/kafka/client.ts'
import { readTopic } from '../../platform/kafka/read-topic.ts'
import { createRegistry } from '../../platform/registry.ts'
import type { Settings } from '../../platform/settings.ts'
import { type Bad, countBad, type ImportCounts } from '../import-counts.ts'
import { createProducer, type Publisher } from '../producer.ts'
import { SidecarError } from '../sidecar.ts'
import { placeOf } from '../tables/manifest.ts'
import { amended } from './amended.ts'
import { type Answer, type BadRow, readManifest } from './answers.ts'

/** A manifest is kept in memory, about a kilobyte a row. */
const MOST_ROWS = 1_000_000

/** What amending did; `bad` and `badList` as an import has them. */
export type AmendCounts = Pick<ImportCounts, 'bad' | 'badList'> & {
  rows: number
  /** published anew */
  amended: number
  /** told all of it already */
  unchanged: number
}

export type AmendWords = {
  /** path of the file */
  manifest: string
  /** where the facts came from */
  source: string
  /** who adds them */
  addedBy: string
}

/** A row with the newest of its item's messages, as far as has been read. */
type Target = {
  answer: Answer
  newest: Newest | null
  /** of the payload of the message that the row names by its coordinates; null where it names an item */
  named: string | null
  /** sha256 of the first payload that was seen under the item's id, and whether there were others */
  first: string | null
  hasOthers: boolean
}
type Newest = Pick<VerdictRecord, 'input' | 'inputTimestamp' | 'sha256' | 'reasons'>

/**
 * Publishes items once more with facts that were missing: each as a new message of the same id, which refers to the payload that the gate has seen
 * and is judged like any other. Reads gate.verdicts for each item's newest message, and gate.envelopes for what it told. Only what was judged is
 * known: called again before that, it publishes the same again; after it, nothing.
 * @param counts told on the way, for progress
 * @param now milliseconds since the epoch
 * @throws {SluiceError} USAGE for the manifest; ACCESS_DENIED and the faults of the surroundings
 */
export async function amend(settings: Settings, words: AmendWords, counts: AmendCounts, now: number): Promise<void> {
  const targets = createTargets(prefixed(settings.prefix, DOOR), (row, field, expected) =>
    countBad(counts, { file: placeOf(words.manifest, row), field, expected }),
  )
  for await (const row of readManifest(words.manifest)) {
    counts.rows += 1
    if (counts.rows > MOST_ROWS)
      throw new SluiceError('USAGE', `${words.manifest} has more than ${MOST_ROWS} rows: cut it into several`)
    targets.add(row)
  }
  const registry = createRegistry(settings)
  const { prefix } = settings
  await readTopic<VerdictRecord>({
    kafka: createKafka(settings, 'sluice-amend'),
    registry,
    prefix,
    topic: 'gate.verdicts',
    isWanted: ({ partition, key }) => targets.has(key) || targets.mayBeNamedIn(partition),
    onValue: (verdict, { key }) => targets.see(verdict, key),
  })
  targets.closeSearch()
  if (targets.size() === 0) return

  const publisher = await createProducer({ ...settings, stores: null }, { source: '/sluice/crawl/amend' })
  try {
    await readTopic<EnvelopeRecord>({
      kafka: createKafka(settings, 'sluice-amend'),
      registry,
      prefix,
      topic: 'gate.envelopes',
      isWanted: ({ key }) => targets.has(key),
      async onValue({ input, envelope }) {
        const target = targets.take(input, envelope)
        if (target === null) return
        const { source, addedBy } = words
        const amendment = { source, addedBy, addedAt: now, original: coordinatesText(input) }
        await publishAmended(envelope, target, amendment, publisher, counts, targets.reject)
      },
    })
    await publisher.flush()
  } finally {
    await publisher.close()
  }
  targets.closeAll()
}

async function publishAmended(
  envelope: Envelope,
  { answer, sha256 }: { answer: Answer; sha256: string },
  amendment: Omit<Amendment, 'fields'>,
  publisher: Publisher,
  counts: AmendCounts,
  reject: (answer: Answer, field: string, expected: string) => void,
): Promise<void> {
  try {
    const found = amended(envelope, answer.fields, amendment)
    if (found === null) {
      counts.unchanged += 1
      return
    }
    await publisher.publishReferring({ ...found, payload: referring(envelope.payload, sha256) })
    counts.amended += 1
  } catch (error) {
    if (error instanceof SidecarError) reject(answer, error.field, error.expected)
    else if (error instanceof SluiceError && error.fault === 'item') reject(answer, '', error.message)
    else throw error
  }
}

/**
 * The rows of a manifest, by the items that they are about.
 * @param door full name of the door topic
 * @param bad told of every row that can't be used
 */
function createTargets(
  door: string,
  bad: (row: Pick<Answer, 'at' | 'line'>, field: Bad['field'], expected: Bad['expected']) => void,
) {
  const byId = new Map<string, Target>()
  /** rows that name coordinates, by partition and offset, until that message is seen */
  const named = new Map<string, Answer>()
  const namedIn = new Set<number>()

  function reject(row: Pick<Answer, 'at' | 'line'>, field: string, expected: string): void {
    bad(row, field, expected)
  }

  function put(id: string, answer: Answer, payload: string | null = null): void {
    const before = byId.get(id)
    if (before === undefined) byId.set(id, { answer, newest: null, named: payload, first: null, hasOthers: false })
    else reject(answer, '', `expected one row for an item; row ${before.answer.at} is about the same one`)
  }

  function name(answer: Answer, { topic, partition, offset }: NamedCoordinates): void {
    const place = `${partition}/${offset}`
    const before = named.get(place)
    if (topic !== door) reject(answer, 'coordinates', `expected coordinates of the door topic ${door}`)
    else if (before !== undefined) reject(answer, '', `expected one row for an item; row ${before.at} names the same`)
    else {
      named.set(place, answer)
      namedIn.add(partition)
    }
  }

  return {
    reject,
    size: () => byId.size,
    has: (key: Buffer | null) => key !== null && byId.has(key.toString('utf8')),
    mayBeNamedIn: (partition: number) => namedIn.has(partition),

    add(row: Answer | BadRow): void {
      if (!('item' in row)) reject(row, row.field, row.expected)
      else if ('id' in row.item) put(row.item.id, row)
      else name(row, row.item.coordinates)
    },

    /** Takes note of a verdict. */
    see({ input, inputTimestamp, itemId, sha256, reasons }: VerdictRecord, key: Buffer | null): void {
      const isUndisputed = itemId !== null && key?.toString('utf8') === itemId
      const place = `${input.partition}/${input.offset}`
      const answer = named.get(place)
      if (answer !== undefined && 'coordinates' in answer.item && isNamed(input, answer.item.coordinates)) {
        named.delete(place)
        if (isUndisputed) put(itemId, answer, sha256)
        else reject(answer, '', 'expected a message with an item id of its own; publish it anew')
      }
      const target = isUndisputed ? byId.get(itemId) : undefined
      if (target === undefined) return
      if (sha256 !== null) {
        target.first ??= sha256
        if (target.first !== sha256) target.hasOthers = true
      }
      if (isNewer({ input, inputTimestamp }, target.newest)) target.newest = { input, inputTimestamp, sha256, reasons }
    },

    /** All verdicts were seen. */
    closeSearch(): void {
      for (const answer of named.values()) reject(answer, '', 'expected an item that the gate has judged')
      for (const [id, target] of byId) {
        const { answer, newest } = target
        const expected = refusalOf(newest) ?? otherBytes(target)
        if (expected === null) continue
        byId.delete(id)
        reject(answer, '', expected)
      }
    },

    /** @returns what is to be done with an envelope, once; null where it is not its item's newest */
    take(input: Coordinates, { item }: Envelope): { answer: Answer; sha256: string } | null {
      const { answer, newest } = byId.get(item?.id ?? '') ?? { answer: null, newest: null }
      if (answer === null || !newest?.sha256 || coordinatesText(newest.input) !== coordinatesText(input)) return null
      byId.delete(item?.id ?? '')
      return { answer, sha256: newest.sha256 }
    },

    /** All envelopes were seen. */
    closeAll(): void {
      for (const { answer } of byId.values()) reject(answer, '', 'expected an item whose envelope the gate has written')
    },
  }
}

/** What the gate finds again wherever the bytes come from, or does not mind. What was wrong with the message itself would be gone with the message. */
const foundAgain: ReadonlySet<string> = new Set<Reason>([
  ...(Object.keys(findings) as Finding[]),
  'PAYLOAD_EMPTY',
  'DIGEST_MISMATCH',
  'SIZE_MISMATCH',
  'MEDIA_UNSUPPORTED',
  'MEDIA_UNDECODABLE',
  'MEDIA_INCOMPLETE',
  'DIMENSIONS_OVER_LIMIT',
  'FRAMES_OVER_LIMIT',
  'SCANNER_CRASHED',
  'SCANNER_TIMEOUT',
])

/** @returns what was expected of an item that can't be amended; null for one that can */
function refusalOf(newest: Newest | null): string | null {
  if (newest === null) return 'expected an item that the gate has judged'
  if (newest.sha256 === null) return 'expected an item whose bytes the gate has seen; publish it anew'
  const other = newest.reasons.find((reason) => !foundAgain.has(reason))
  return other === undefined ? null : `expected an item without ${other}, which is about its message; publish it anew`
}

/** Ids are crawlers' labels: what is told of some bytes is not told of others that came under the same one since. */
function otherBytes({ answer, newest, named, hasOthers }: Target): string | null {
  if ('id' in answer.item)
    return hasOthers
      ? 'expected an id under which the same bytes came each time; name the message by its coordinates'
      : null
  return newest?.sha256 === named
    ? null
    : 'expected a message whose item has not come with other bytes since; name the newest one'
}

/** In a partition the offset tells; between two, which a crawler may choose as it likes, the brokers' clock does. */
function isNewer(
  { input, inputTimestamp }: Pick<VerdictRecord, 'input' | 'inputTimestamp'>,
  than: Pick<VerdictRecord, 'input' | 'inputTimestamp'> | null,
): boolean {
  if (than === null) return true
  if (than.input.partition === input.partition) return input.offset > than.input.offset
  return inputTimestamp > than.inputTimestamp
}
