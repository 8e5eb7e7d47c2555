import { SidecarError } from '../sidecar.ts'

/** A row of somebody's table: column to value, as the table's format tells it. */
export type Row = ReadonlyMap<string, unknown>

/** Deeper than this no value of a table is nested. */
const DEEPEST = 64
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A text, or a number that JSON does not have and Python writes. A text that nothing ends is one too: else the end is looked for from each quote in it. */
const textOrNoNumber = /"[^"\\]*(?:\\.[^"\\]*)*"?|NaN|-?Infinity/gs

/**
 * A row that is written as a JSON object. Whole numbers keep all their digits, as bigint where a number would not; NaN and Infinity, which Python
 * writes, are taken for the texts.
 * @throws {SidecarError}
 */
export function rowFromJson(json: string): Row {
  const known = json.replace(textOrNoNumber, (found) => (found.startsWith('"') ? found : `"${found}"`))
  let value: unknown
  try {
    value = JSON.parse(known, (_name, inner: unknown, context?: { source?: string }) => {
      const source = context?.source ?? ''
      return typeof inner === 'number' && !Number.isSafeInteger(inner) && /^-?\d+$/.test(source)
        ? BigInt(source)
        : inner
    })
  } catch (cause) {
    throw new SidecarError('', 'expected JSON', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SidecarError('', 'expected a JSON object')
  return new Map<string, unknown>(Object.entries(value))
}

/**
 * A value of a table as JSON text, nothing lost: whole numbers with all their digits, times as ISO 8601, numbers that JSON lacks as text, bytes as
 * text where they are, else as {"base64": ...}.
 * @throws {SidecarError} when it is nested deeper than any reader should have to bear
 */
export function jsonText(value: unknown, depth = 0): string {
  if (depth > DEEPEST) throw new SidecarError('', `expected values that are nested at most ${DEEPEST} deep`)
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`
  if (typeof value !== 'object') return JSON.stringify(value)
  if (value instanceof Date) return JSON.stringify(Number.isNaN(value.getTime()) ? 'invalid time' : value.toISOString())
  if (value instanceof Uint8Array) {
    const text = textOf(value)
    return JSON.stringify(text ?? { base64: Buffer.from(value).toString('base64') })
  }
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const parts = Array.from(value as ArrayLike<unknown>, (inner) => jsonText(inner, depth + 1))
    return `[${parts.join(',')}]`
  }
  const members = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}:${jsonText(inner, depth + 1)}`)
  return `{${members.join(',')}}`
}

/** The text that bytes are in UTF-8; null when they are none. */
export function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}
