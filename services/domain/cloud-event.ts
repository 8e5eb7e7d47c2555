import type { HeldOriginal } from './records.ts'

/** What a crawler says of its message as an event, as far as it is used. */
export type CloudEvent = {
  type: string | undefined
  source: string | undefined
  id: string | undefined
  time: string | undefined
  /** all that the message gives; more than one only where a header is repeated */
  subjects: string[]
}

/** Our own producer's type: such an event tells nothing that the envelope does not. */
const OWN_TYPE = 'sluice.crawl.item.v1'
/** In UTF-16 code units; longer ones are no names. */
const LONGEST_ATTRIBUTE = 256
/** In bytes: no media type is longer. */
const LONGEST_TYPE = 256

/** The event that a message's headers tell of: CloudEvents' Kafka binding, binary mode. Each is optional. */
export function eventOf(headers: HeldOriginal['headers']): CloudEvent {
  return {
    type: first(headers, 'ce_type'),
    source: first(headers, 'ce_source'),
    id: first(headers, 'ce_id'),
    time: first(headers, 'ce_time'),
    subjects: headers.filter(({ name }) => name === 'ce_subject').map(({ value }) => value?.toString() ?? ''),
  }
}

/**
 * What is kept of an event, so that an item can be found again in its crawler's own records: `cloudevents.source`, `.id` and
 * `.time`, each where it is given and no longer than 256 characters.
 */
export function traceOf({ type, source, id, time }: CloudEvent): Record<string, string> {
  if (type === OWN_TYPE) return {}
  const kept: Record<string, string> = {}
  for (const [name, text] of Object.entries({ source, id, time })) {
    if (text !== undefined && text !== '' && text.length <= LONGEST_ATTRIBUTE) kept[`cloudevents.${name}`] = text
  }
  return kept
}

/** The headers of a message of our own: CloudEvents' Kafka binding, binary mode. @param time milliseconds since the epoch */
export function ownEventHeaders(event: { id: string; source: string; itemId: string; time: number }) {
  return {
    ce_specversion: '1.0',
    ce_id: event.id,
    ce_source: event.source,
    ce_type: OWN_TYPE,
    ce_subject: event.itemId,
    ce_time: new Date(event.time).toISOString(),
    'content-type': 'application/avro',
  }
}

/** How a message's value is written, by its header `content-type`; whatever is not one of these types of JSON is Avro. */
export function formOf(headers: HeldOriginal['headers']): 'avro' | 'json' | 'json-event' {
  const named = headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value
  if (!named || named.length > LONGEST_TYPE) return 'avro'
  const type = named.toString().split(';')[0]?.trim().toLowerCase()
  if (type === 'application/json') return 'json'
  return type === 'application/cloudevents+json' ? 'json-event' : 'avro'
}

function first(headers: HeldOriginal['headers'], wanted: string): string | undefined {
  return headers.find(({ name }) => name === wanted)?.value?.toString()
}
