const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d]
const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c]
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d])
/** A record with very many opinions. */
const LONGEST_RECORD = 1_048_576
/** All that is not a record. */
const LONGEST_REST = 65_536

/**
 * The records of one JSON document, a list of objects or an object whose field `data` is such a list, each as its text, without ever having more
 * than one of them in memory.
 * @throws {SyntaxError} where it is no such document, or not whole
 */
export async function* jsonRecords(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  /** brackets that are open; records are the objects directly in the list at `listDepth` */
  let [depth, listDepth] = [0, 0]
  let [inString, isEscaped] = [false, false]
  let expected: 'record' | 'record or end' | 'separator' = 'record or end'
  let record: Buffer[] | null = null
  let recordBytes = 0
  let rest = ''

  for await (const chunk of chunks) {
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0
      const isBetween = record === null && listDepth > 0 && depth === listDepth
      if (inString) {
        if (isEscaped) isEscaped = false
        else if (byte === BACKSLASH) isEscaped = true
        else if (byte === QUOTE) inString = false
      } else if (isBetween) {
        if (byte === OPEN && expected !== 'separator') {
          ;[record, recordBytes, from] = [[], 0, at]
          depth += 1
        } else if (byte === COMMA && expected === 'separator') expected = 'record'
        else if (byte === CLOSE_LIST && expected !== 'record') {
          depth -= 1
          listDepth = -1
          rest += ']'
        } else if (!SPACE.has(byte)) throw new SyntaxError('expected a list of objects')
        continue
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN || byte === OPEN_LIST) {
        depth += 1
        const isRecords = byte === OPEN_LIST && (depth === 1 || (depth === 2 && /^\s*\{.*"data"\s*:\s*$/s.test(rest)))
        if (listDepth === 0 && isRecords) listDepth = depth
      } else if (byte === CLOSE || byte === CLOSE_LIST) depth -= 1
      if (record === null) {
        rest += String.fromCharCode(byte)
        if (rest.length > LONGEST_REST)
          throw new SyntaxError('expected a list of objects, or an object whose data it is')
      } else if (depth === listDepth) {
        record.push(chunk.subarray(from, at + 1))
        yield Buffer.concat(record).toString('utf8')
        record = null
        expected = 'separator'
      }
    }
    if (record === null) continue
    record.push(chunk.subarray(from))
    recordBytes += chunk.length - from
    if (recordBytes > LONGEST_RECORD) throw new SyntaxError(`expected records of at most ${LONGEST_RECORD} bytes`)
  }
  const document: unknown = JSON.parse(rest)
  if (listDepth !== -1 || document === null)
    throw new SyntaxError('expected a list of objects, or an object whose data it is')
}
