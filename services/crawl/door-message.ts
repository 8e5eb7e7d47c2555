import { createHash, randomUUID } from 'node:crypto'
import { ownEventHeaders } from '../domain/cloud-event.ts'
import { isItemId } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import type { CrawlItem, Envelope, PayloadGroup } from '../domain/records.ts'
import { DOOR } from '../domain/topics.ts'
import type { Registry } from '../platform/registry.ts'
import { isReference, type Store } from '../platform/stores/store.ts'

/** Something collected: what is known about it, and its bytes. */
export type Collected = { envelope: Envelope; payload: Uint8Array }
/** How a payload travels: in the message, or as a reference into the intake store. */
export type Carriage = 'inline' | 'reference'
export type DoorMessage = { key: string; value: Buffer; headers: Record<string, string> }

/** Where door messages come from and go to. */
export type DoorMessageParts = {
  registry: Registry
  /** null: no payload can travel by reference */
  intake: Store | null
  /** longest payload that travels in the message, bytes */
  inlineBytes: number
  /** longest batch of messages that the topic takes, bytes */
  topicLimit: number
  /** `ce_source`: names the crawler, as a URI reference */
  source: string
}

/**
 * The id under which a collected thing enters.
 * @throws {SluiceError} ITEM_ID_INVALID
 */
export function itemIdOf({ envelope }: Pick<Collected, 'envelope'>): string {
  const id = envelope.item?.id
  if (id === undefined || !isItemId(id)) throw new SluiceError('ITEM_ID_INVALID')
  return id
}

export function carriageOf({ payload }: Collected, inlineBytes: number): Carriage {
  return payload.length <= inlineBytes ? 'inline' : 'reference'
}

/**
 * The door topic's message for something collected; a payload that is too long to travel inside is in the intake store,
 * durably, when this resolves. Size and sha256 are filled in where the crawler claimed none; a claim is passed on as it is,
 * for the gate to check.
 * @throws {SluiceError} ITEM_ID_INVALID, MESSAGE_UNDECODABLE for a field of another type than its own, PAYLOAD_TOO_LARGE, STORE_UNREACHABLE,
 * REGISTRY_UNREACHABLE
 */
export async function doorMessage(
  collected: Collected,
  parts: DoorMessageParts,
): Promise<{ message: DoorMessage; bytes: number }> {
  const { intake, inlineBytes } = parts
  const { envelope, payload } = collected
  // Before anything is written.
  const key = itemIdOf(collected)
  const sha256 = createHash('sha256').update(payload).digest('hex')
  const inline = carriageOf(collected, inlineBytes) === 'inline'
  if (!inline && intake === null) {
    const sentence = `the payload of item ${key} has ${payload.length} bytes, ${inlineBytes} travel in a message, and there is no intake store`
    throw new SluiceError(
      'PAYLOAD_TOO_LARGE',
      `${sentence}: name the folder of the gate's stores, or raise inlineBytes`,
    )
  }
  const claimed = envelope.payload
  const described: PayloadGroup = {
    reference: inline ? null : sha256,
    size: claimed?.size ?? payload.length,
    md5: claimed?.md5 ?? null,
    sha1: claimed?.sha1 ?? null,
    sha256: claimed?.sha256 ?? sha256,
  }
  const item: CrawlItem = {
    envelope: { ...envelope, payload: described },
    inline: inline ? Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength) : null,
  }
  assertFits(item, parts)
  if (!inline) await intake?.write(sha256, payload)
  return await messageOf(item, parts)
}

/**
 * The door topic's message for an item whose payload lies in a store already, under the reference that its envelope names.
 * @throws {SluiceError} ITEM_ID_INVALID, REFERENCE_INVALID, MESSAGE_UNDECODABLE for a field of another type than its own, PAYLOAD_TOO_LARGE for a long
 * envelope, REGISTRY_UNREACHABLE
 */
export async function referringMessage(
  envelope: Envelope,
  parts: DoorMessageParts,
): Promise<{ message: DoorMessage; bytes: number }> {
  if (!isReference(envelope.payload?.reference ?? '')) throw new SluiceError('REFERENCE_INVALID')
  const item: CrawlItem = { envelope, inline: null }
  assertFits(item, parts)
  return await messageOf(item, parts)
}

/** What the library says of such a field shows its value, and crawlers in JavaScript give what they like. */
function assertFits(item: CrawlItem, { registry }: DoorMessageParts): void {
  const field = registry.misfit(DOOR, item)
  if (field === null) return
  const sentence = `item ${itemIdOf(item)} has a value of another type in ${field}`
  throw new SluiceError('MESSAGE_UNDECODABLE', `${sentence}: give what schemas/crawl-item.avsc says of it`)
}

async function messageOf(
  item: CrawlItem,
  { registry, topicLimit, source }: DoorMessageParts,
): Promise<{ message: DoorMessage; bytes: number }> {
  const key = itemIdOf(item)
  const headers = ownEventHeaders({ id: randomUUID(), source, itemId: key, time: Date.now() })
  const message = { key, value: await registry.encode(DOOR, item), headers }
  const bytes = sizeInTopic(message)
  if (bytes > topicLimit) {
    const advice = item.inline
      ? 'lower SLUICE_INLINE_BYTES, so that the payload travels by reference'
      : 'shorten the envelope'
    throw new SluiceError(
      'PAYLOAD_TOO_LARGE',
      `the message of item ${key} has ${bytes} bytes and ${DOOR} takes ${topicLimit}: ${advice}`,
    )
  }
  return { message, bytes }
}

const BATCH_HEADER_BYTES = 61
const LONGEST_VARINT = 5

/** Bytes of a message in a batch of its own, at most: what the topic's limit is about. */
function sizeInTopic({ key, value, headers }: DoorMessage): number {
  const headerBytes = Object.entries(headers).reduce(
    (sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text) + 2 * LONGEST_VARINT,
    0,
  )
  return BATCH_HEADER_BYTES + 7 * LONGEST_VARINT + Buffer.byteLength(key) + value.length + headerBytes
}
