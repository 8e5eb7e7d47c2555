import { randomUUID } from 'node:crypto'
import { ownEventHeaders } from '../domain/cloud-event.ts'
import { coordinatesText } from '../domain/coordinates.ts'
import { isItemId, referring } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import type { Coordinates, EnvelopeRecord, HeldOriginal } from '../domain/records.ts'
import { DOOR, prefixed, type Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { withPartitionReader } from '../platform/kafka/partition-reader.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import type { Decoded, Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/*
 * Of what it clears, the gate keeps no original. Where that is to go through the gate again, after a recall that was withdrawn, its message is made
 * anew, from all that was known of it: its envelope, and a reference to its payload, which the recall has put into the held store.
 */

const ENVELOPES = 'gate.envelopes' satisfies Topic

/**
 * Where on gate.envelopes the envelopes of items of a partition stand.
 * @param wanted offsets on the door
 * @returns door offset to offset there
 * @throws {SluiceError} as `readTopic`; the reason of `signal`
 */
export async function findEnvelopes(
  settings: Settings,
  registry: Registry,
  partition: number,
  wanted: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  const enough = new AbortController()
  await readTopic<Pick<EnvelopeRecord, 'input'>>({
    kafka: createKafka(settings, 'sluice-replay'),
    registry,
    prefix: settings.prefix,
    topic: ENVELOPES,
    partition,
    signal,
    enough: enough.signal,
    decode: registry.fieldsDecoder<EnvelopeRecord, 'input'>(ENVELOPES, ['input']),
    isWanted: () => true,
    onValue({ input }, { offset }) {
      if (wanted.has(input.offset)) found.set(input.offset, offset)
      if (found.size === wanted.size) enough.abort()
    },
  })
  return found
}

/**
 * The message of a cleared item, made anew.
 * @param sha256 of its payload
 * @param at where its envelope stands on gate.envelopes
 * @returns null where that is not there any more
 * @throws {SluiceError} BROKER_UNREACHABLE, REGISTRY_UNREACHABLE; MESSAGE_UNDECODABLE where it tells more than is known here
 */
export async function clearedMessage(
  settings: Settings,
  registry: Registry,
  input: Coordinates,
  { sha256, at }: { sha256: string; at: number },
): Promise<Pick<HeldOriginal, 'key' | 'value' | 'headers'> | null> {
  const value = await valueAt(settings, input.partition, at)
  const decoded = value === null ? null : await envelopeIn(registry, value)
  if (decoded === null) return null
  const { value: record, unknownFields } = decoded
  if (Object.keys(unknownFields).length > 0) {
    const sentence = `the envelope of ${coordinatesText(input)} has fields that this worker does not know`
    throw new SluiceError('MESSAGE_UNDECODABLE', `${sentence}: run a worker of the same version as the gates`)
  }
  const { input: its, envelope } = record
  const itemId = envelope.item?.id ?? ''
  if (coordinatesText(its) !== coordinatesText(input) || !isItemId(itemId)) return null
  const item = { envelope: { ...envelope, payload: referring(envelope.payload, sha256) }, inline: null }
  const headers = ownEventHeaders({ id: randomUUID(), source: '/sluice/replay', itemId, time: Date.now() })
  return {
    key: Buffer.from(itemId),
    value: await registry.encode(DOOR, item),
    headers: Object.entries(headers).map(([name, text]) => ({ name, value: Buffer.from(text) })),
  }
}

/** @returns null for what is no envelope @throws {SluiceError} REGISTRY_UNREACHABLE */
async function envelopeIn(registry: Registry, value: Buffer): Promise<Decoded<EnvelopeRecord> | null> {
  try {
    return await registry.decode<EnvelopeRecord>(ENVELOPES, value)
  } catch (error) {
    if (error instanceof SluiceError && error.fault === 'item') return null
    throw error
  }
}

/** @returns null where there is nothing any more @throws {SluiceError} BROKER_UNREACHABLE */
async function valueAt(settings: Settings, partition: number, offset: number): Promise<Buffer | null> {
  const topic = prefixed(settings.prefix, ENVELOPES)
  try {
    const kafka = createKafka(settings, 'sluice-replay')
    return (await withPartitionReader(kafka, (reader) => reader.at(topic, partition, offset)))?.value ?? null
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'KafkaJSOffsetOutOfRange') return null
    throw new SluiceError('BROKER_UNREACHABLE', `${topic} could not be read`, { cause })
  }
}
