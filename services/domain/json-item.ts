import { z } from 'zod'
import type { CloudEvent } from './cloud-event.ts'
import { crawlItemJson, unknownFields } from './envelope-json.ts'
import { type Parsed, parseJson, undecodable } from './json-text.ts'
import type { CrawlItem } from './records.ts'

/** An item, and the fields of its message that we do not know: dotted path to JSON text. */
export type JsonItem = { value: CrawlItem; unknownFields: Record<string, string> }

/** CloudEvents' JSON format; whatever else stands there is the crawler's own. */
const event = z.object({
  specversion: z.string(),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string().optional(),
  time: z.string().optional(),
  data: z.unknown(),
})

/**
 * An item whose message is JSON, see `schemas/crawl-item.schema.json`.
 * @throws {SluiceError} MESSAGE_UNDECODABLE, naming the field and what was expected there
 */
export function decodeJson(bytes: Uint8Array): JsonItem {
  return itemOf(parseJson(bytes))
}

/**
 * An item within an event, in CloudEvents' structured mode.
 * @throws {SluiceError} MESSAGE_UNDECODABLE, naming the field and what was expected there
 */
export function decodeJsonEvent(bytes: Uint8Array): JsonItem & { event: CloudEvent } {
  const { value, exact } = parseJson(bytes)
  const { data, subject, ...known } = checked(event, value)
  const subjects = subject === undefined ? [] : [subject]
  return {
    ...itemOf({ value: data, exact: Reflect.get(Object(exact), 'data') }),
    event: { time: undefined, ...known, subjects },
  }
}

function itemOf({ value, exact }: Parsed): JsonItem {
  const { envelope, inline } = checked(crawlItemJson, value)
  return {
    value: { envelope, inline: inline === null ? null : fromBase64(inline) },
    unknownFields: unknownFields(crawlItemJson, exact),
  }
}

function checked<Schema extends z.ZodType>(schema: Schema, json: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const path = issue?.path ?? []
  // Names in the map of further fields are the crawler's own words.
  const known = path.includes('extra') ? path.slice(0, path.indexOf('extra') + 1) : path
  const expected = issue?.code === 'unrecognized_keys' ? 'there is a field that does not belong there' : issue?.message
  throw undecodable(`${known.join('.') || 'the whole'}: ${expected?.replace(/^Invalid input: /, '')}`)
}

function fromBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  // The decoder leaves out whatever is none.
  if (bytes.toString('base64') !== text) throw undecodable('inline: expected base64 with padding')
  return bytes
}
