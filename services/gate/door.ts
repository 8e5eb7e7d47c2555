import type { KafkaMessage } from 'kafkajs'
import { type CloudEvent, eventOf, formOf, traceOf } from '../domain/cloud-event.ts'
import { emptyEnvelope, isItemId } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import { decodeJson, decodeJsonEvent } from '../domain/json-item.ts'
import type { ItemFault } from '../domain/reasons.ts'
import type { Coordinates, CrawlItem, Envelope, HeldOriginal } from '../domain/records.ts'
import { DOOR } from '../domain/topics.ts'
import { orderedHeaders } from '../platform/kafka/header-order.ts'
import type { Decoded, Registry } from '../platform/registry.ts'

/** A message as it came through the door, to the byte. */
export type DoorRecord = HeldOriginal

/** What a door record says: its envelope and payload as far as they could be read, and what is wrong with it. */
export type DoorItem = {
  /** false where the message could not be decoded: there is nothing but its faults */
  readable: boolean
  /** well-formed item id of the envelope; null where there is none */
  itemId: string | null
  envelope: Envelope
  inline: Buffer | null
  faults: ItemFault[]
}

/** Takes a message as the client library hands it out. */
export function doorRecord(input: Coordinates, message: KafkaMessage): DoorRecord {
  return {
    input,
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: orderedHeaders(message.headers ?? {}),
  }
}

/**
 * Reads a door record: Avro by its writer's schema, or JSON where its header `content-type` says so. Fields that we do not know go to
 * the envelope's `extra`, and what the crawler says of the message as an event, so that it can be traced.
 * @throws {SluiceError} REGISTRY_UNREACHABLE
 */
export async function readItem(registry: Pick<Registry, 'decode'>, record: DoorRecord): Promise<DoorItem> {
  const faults: ItemFault[] = record.key === null ? ['KEY_MISSING'] : []
  if (record.value === null) return unreadable([...faults, 'VALUE_MISSING'])
  try {
    const { value, unknownFields, event } = await decode(registry, record.value, record.headers)
    const claimedId = value.envelope.item?.id ?? null
    const itemId = claimedId !== null && isItemId(claimedId) ? claimedId : null
    if (itemId === null) faults.push('ITEM_ID_INVALID')
    else {
      if (record.key !== null && !record.key.equals(Buffer.from(itemId))) faults.push('KEY_MISMATCH')
      if (event.subjects.some((subject) => subject !== itemId)) faults.push('SUBJECT_MISMATCH')
    }
    const extra = { ...value.envelope.extra }
    for (const [path, text] of Object.entries(unknownFields)) extra[freeName(path, extra)] = text
    // What a replayed item has kept of its first event stays.
    return {
      readable: true,
      itemId,
      envelope: { ...value.envelope, extra: { ...traceOf(event), ...extra } },
      inline: value.inline,
      faults,
    }
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'MESSAGE_UNDECODABLE') return unreadable([...faults, error.code])
    if (error instanceof SluiceError && error.code === 'SCHEMA_FOREIGN') return unreadable([...faults, error.code])
    throw error
  }
}

/** @throws {SluiceError} MESSAGE_UNDECODABLE or SCHEMA_FOREIGN (the message's fault); REGISTRY_UNREACHABLE, SCHEMA_IDS_CHANGED */
async function decode(
  registry: Pick<Registry, 'decode'>,
  value: Buffer,
  headers: DoorRecord['headers'],
): Promise<Decoded<CrawlItem> & { event: CloudEvent }> {
  const form = formOf(headers)
  if (form === 'json-event') return decodeJsonEvent(value)
  const event = eventOf(headers)
  return { ...(form === 'json' ? decodeJson(value) : await registry.decode<CrawlItem>(DOOR, value)), event }
}

function unreadable(faults: ItemFault[]): DoorItem {
  return { readable: false, itemId: null, envelope: emptyEnvelope(), inline: null, faults }
}

/** The path without the wrapping record's name; a crawler's own entry of that name is not overwritten. */
function freeName(path: string, taken: Record<string, string>): string {
  let name = path.replace(/^envelope\./, '')
  while (Object.hasOwn(taken, name)) name += '_'
  return name
}
