import { SluiceError } from './errors.ts'

/** Deeper than any envelope; what is deeper only keeps whoever walks over it busy. */
const DEEPEST = 16
/** Many times those of any envelope; a message that is full of them costs a hundred times its length. */
const MOST_VALUES = 10_000
const utf8 = new TextDecoder('utf-8', { fatal: true })

// What the language has, and its types do not know yet.
declare global {
  interface JSON {
    parse(text: string, revive: (name: string, value: unknown, context: { source?: string }) => unknown): unknown
    rawJSON(text: string): unknown
  }
}

/** A JSON value, and the same where numbers that would lose digits are kept as they stand when it is written again. */
export type Parsed = { value: unknown; exact: unknown }

/**
 * JSON from a stranger, if it has one meaning only: each name stands once in its object, and none is one that the language
 * gives a meaning to.
 * @throws {SluiceError} MESSAGE_UNDECODABLE
 */
export function parseJson(bytes: Uint8Array): Parsed {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    throw undecodable('expected UTF-8', cause)
  }
  assertPlain(text)
  try {
    return { value: JSON.parse(text), exact: JSON.parse(text, exactNumber) }
  } catch (cause) {
    throw undecodable('expected JSON', cause)
  }
}

/** For `JSON.parse`: numbers that would lose digits are kept as they stand, for `JSON.stringify`. */
export function exactNumber(_: string, value: unknown, { source }: { source?: string }): unknown {
  const isExact = typeof value !== 'number' || Number.isSafeInteger(value) || String(value) === source
  return isExact || source === undefined ? value : JSON.rawJSON(source)
}

/** @param expected holds nothing that came from outside */
export function undecodable(expected: string, cause?: unknown): SluiceError {
  return new SluiceError('MESSAGE_UNDECODABLE', `the message is not the JSON of an item: ${expected}`, { cause })
}

/** Walks over brackets, commas and strings, and leaves all else to the parser: what it would refuse may pass here. */
function assertPlain(text: string): void {
  const mark = /[{}[\],"]/g
  /** the names of each object that is open; null for a list */
  const open: (Set<string> | null)[] = []
  let values = 0
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    if (found[0] === '"') {
      const end = endOfString(text, found.index)
      mark.lastIndex = end
      const names = open.at(-1)
      if (names && isName(text, end)) addName(names, text.slice(found.index, end))
    } else if (found[0] === '{' || found[0] === '[') {
      open.push(found[0] === '{' ? new Set() : null)
      if (open.length > DEEPEST) throw undecodable(`expected at most ${DEEPEST} brackets in each other`)
      values++
    } else if (found[0] === ',') values++
    else open.pop()
    if (values > MOST_VALUES) throw undecodable(`expected at most ${MOST_VALUES} values`)
  }
}

/** @param start of its first quotation mark @returns behind its last one */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text[at - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return at + 1
  }
  throw undecodable('expected JSON')
}

function isName(text: string, end: number): boolean {
  const behind = /[\t\n\r ]*:/y
  behind.lastIndex = end
  return behind.test(text)
}

function addName(names: Set<string>, quoted: string): void {
  const name = unquoted(quoted)
  if (names.has(name)) throw undecodable('expected each name of an object once')
  if (name === '__proto__') throw undecodable('expected no name __proto__')
  names.add(name)
}

function unquoted(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1)
  try {
    return String(JSON.parse(quoted))
  } catch (cause) {
    throw undecodable('expected JSON', cause)
  }
}
