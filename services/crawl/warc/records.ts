import { type Field, fieldOf, fieldsOf, parseFields, textOf } from './fields.ts'
import { openUnpacked, type Place, RECORD_END, RECORD_START, type Unpacked } from './unpacked.ts'

/** A record as it stands in a WARC 1.0 or 1.1. */
export type WarcRecord = {
  kind: 'record'
  place: Place
  /** WARC-Type, lower case */
  type: string
  fields: Field[]
  /** null: not wanted, or longer than was wanted */
  block: Buffer | null
  /** Content-Length */
  length: number
}
/** Something that is no whole record: where it begins, which field is wrong (empty: all of it), and what was expected. */
export type Unreadable = { kind: 'unreadable'; place: Place; field: string; expected: string }

/** Fields that stand twice only where a head was cut and the next one follows at once. */
const once = ['WARC-Type', 'WARC-Record-ID', 'WARC-Date', 'Content-Length']
const LONGEST_HEAD = 65_536
const notARecord = 'expected a record, beginning with WARC/1.0 or WARC/1.1'
const CR = 13
const LF = 10
/** A block's memory is asked for little by little: its length is only a claim. */
const FIRST_BLOCK_BYTES = 1_048_576

/**
 * The records of a WARC, plain or gzip, in order. What is damaged is told where it begins, and reading goes on at the next place where a record does.
 * @param longest bytes of a block that are wanted of a type of record; a longer block is passed over
 * @throws {Error} of the system, when the file can't be read
 */
export async function* readRecords(
  path: string,
  longest: (type: string) => number,
): AsyncGenerator<WarcRecord | Unreadable> {
  const bytes = await openUnpacked(path)
  try {
    if (bytes.size === 0) yield unreadable({ offset: 0, within: 0 }, 'expected WARC records, and the file is empty')
    for (;;) {
      await passLineEnds(bytes)
      const found = await readNext(bytes, longest)
      if (found === null) return
      yield found
      if (found.kind === 'unreadable' && !(await bytes.findRecord())) return
    }
  } finally {
    await bytes.close()
  }
}

function unreadable(place: Place, expected: string, field = ''): Unreadable {
  return { kind: 'unreadable', place, field, expected }
}

async function passLineEnds(bytes: Unpacked): Promise<void> {
  while (await bytes.more()) {
    const rest = bytes.rest()
    const count = rest.findIndex((byte) => byte !== CR && byte !== LF)
    bytes.take(count < 0 ? rest.length : count)
    if (count >= 0) return
  }
}

async function readNext(bytes: Unpacked, longest: (type: string) => number): Promise<WarcRecord | Unreadable | null> {
  if (!(await bytes.more())) {
    const damage = bytes.damage()
    return damage === null ? null : unreadable({ offset: damage.offset, within: 0 }, damage.expected)
  }
  const place = bytes.place()
  if (!(await bytes.startsWith(RECORD_START))) return unreadable(place, notARecord)
  const lines = await readHead(bytes)
  if (typeof lines === 'string') return unreadable(place, lines)
  if (!/^WARC\/1\.\d$/.test(lines[0] ?? '')) return unreadable(place, notARecord)
  const fields = parseFields(lines.slice(1))
  const repeated = once.find((name) => fieldsOf(fields, name.toLowerCase()).length > 1)
  if (repeated !== undefined)
    return unreadable(place, 'expected the field once: another record may begin in this head', repeated)
  const type = fieldOf(fields, 'warc-type')?.toLowerCase()
  if (type === undefined) return unreadable(place, 'expected a type of record', 'WARC-Type')
  const claimed = fieldOf(fields, 'content-length') ?? ''
  if (!/^\d{1,15}$/.test(claimed)) return unreadable(place, "expected the block's length in bytes", 'Content-Length')
  const length = Number(claimed)
  const wrongLength = `expected a block of ${length} bytes, then two line ends and the next record or the end`
  // Before anything is read: what follows a wrong length is not lost.
  if (!(await bytes.endsRecord(length))) return unreadable(place, wrongLength, 'Content-Length')
  const wanted = length <= longest(type)
  const block = wanted ? await readBlock(bytes, length) : null
  const passed = wanted ? block !== null : await passBlock(bytes, length)
  if (!passed)
    return unreadable(place, bytes.damage()?.expected ?? wrongLength, bytes.damage() === null ? 'Content-Length' : '')
  const end = await readEnd(bytes)
  if (end === 'damage') return unreadable(place, bytes.damage()?.expected ?? wrongLength)
  return end === 'wrong'
    ? unreadable(place, wrongLength, 'Content-Length')
    : { kind: 'record', place, type, fields, block, length }
}

/** @returns the lines of a head, or what was expected of it */
async function readHead(bytes: Unpacked): Promise<string[] | string> {
  const lines: string[] = []
  for (let left = LONGEST_HEAD; ; ) {
    if (lines.length > 0 && (await bytes.startsWith(RECORD_START)))
      return "expected the record's fields, and another record begins"
    const line = await readLine(bytes, left)
    if (line === null)
      return (
        bytes.damage()?.expected ?? `expected the record's fields, in ${LONGEST_HEAD} bytes at most, and an empty line`
      )
    if (line.length === 0) return lines
    left -= line.length
    lines.push(textOf(line))
  }
}

/** @returns a line without its end; null when it has none, or is too long */
async function readLine(bytes: Unpacked, longest: number): Promise<Buffer | null> {
  let line = Buffer.alloc(0)
  while (await bytes.more()) {
    const rest = bytes.rest()
    const end = rest.indexOf(LF)
    const part = end < 0 ? rest : rest.subarray(0, end)
    if (line.length + part.length > longest) return null
    line = Buffer.concat([line, part])
    bytes.take(end < 0 ? rest.length : end + 1)
    if (end >= 0) return line.at(-1) === CR ? line.subarray(0, -1) : line
  }
  return null
}

/** @returns null when there is less */
async function readBlock(bytes: Unpacked, length: number): Promise<Buffer | null> {
  let block = Buffer.allocUnsafeSlow(Math.min(length, FIRST_BLOCK_BYTES))
  let filled = 0
  const whole = await eachOf(bytes, length, (part) => {
    if (filled + part.length > block.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(length, Math.max(2 * block.length, filled + part.length)))
      block.copy(grown, 0, 0, filled)
      block = grown
    }
    filled += part.copy(block, filled)
  })
  return whole ? block : null
}

function passBlock(bytes: Unpacked, length: number): Promise<boolean> {
  return eachOf(bytes, length, () => {})
}

/** Takes so many bytes. @returns false when there are fewer before the file ends, damage begins or a gzip member begins another record */
async function eachOf(bytes: Unpacked, length: number, take: (part: Buffer) => void): Promise<boolean> {
  for (let left = length; left > 0; ) {
    if (!(await bytes.more()) || (bytes.atMember() && (await bytes.startsWith(RECORD_START)))) return false
    const part = bytes.rest().subarray(0, left)
    take(part)
    bytes.take(part.length)
    left -= part.length
  }
  return true
}

/**
 * Reads what must stand behind a block; where that is the end of a gzip member, also whether the member agrees with its checksum.
 * @returns `damage`: of the member in which the record ends
 */
async function readEnd(bytes: Unpacked): Promise<'right' | 'wrong' | 'damage'> {
  if (!(await bytes.startsWith(RECORD_END))) return bytes.damage() === null ? 'wrong' : 'damage'
  const { offset } = bytes.place()
  bytes.take(RECORD_END.length)
  await passLineEnds(bytes)
  if (await bytes.more()) return bytes.atMember() || (await bytes.startsWith(RECORD_START)) ? 'right' : 'wrong'
  return bytes.damage()?.offset === offset ? 'damage' : 'right'
}
