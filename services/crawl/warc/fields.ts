import { isUtf8 } from 'node:buffer'
import type { HttpHeader } from '../../domain/records.ts'

/** A named field of a WARC record's head, of an HTTP head, or of a block of `application/warc-fields`; the name in lower case. */
export type Field = HttpHeader

/** Bytes of a head as text: UTF-8, or where they are none, ISO 8859-1. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}

/** The fields of a head's lines, in order; a line that goes on one before is added to it, a line that is no field is passed over. */
export function parseFields(lines: readonly string[]): Field[] {
  const fields: Field[] = []
  for (const line of lines) {
    const last = fields.at(-1)
    if (/^[ \t]/.test(line) && last !== undefined) {
      last.value = `${last.value} ${line.trim()}`
      continue
    }
    const colon = line.indexOf(':')
    if (colon > 0) fields.push({ name: line.slice(0, colon).trim().toLowerCase(), value: line.slice(colon + 1).trim() })
  }
  return fields
}

/** The lines of a text, however they end. */
export function linesOf(text: string): string[] {
  return text.split(/\r?\n/)
}

/** All values of a field, in order. */
export function fieldsOf(fields: readonly Field[], name: string): string[] {
  return fields.filter((field) => field.name === name).map(({ value }) => value)
}

/** The first value of a field; null where there is none, or an empty one. */
export function fieldOf(fields: readonly Field[], name: string): string | null {
  return fields.find((field) => field.name === name)?.value || null
}
