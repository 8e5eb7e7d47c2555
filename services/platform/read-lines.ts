const LINE_FEED = 0x0a

/** One line of a file: its bytes without the line feed, its number from 1, where the next one begins, and whether a line feed ended it. */
export type Line = { bytes: Buffer; number: number; end: number; isEnded: boolean }

/**
 * The lines of a stream of bytes, one after the other; what is behind the last line feed, if anything, is one too.
 * @param longest bytes
 * @throws {RangeError} for a line that is longer, with its number
 */
export async function* readLines(chunks: AsyncIterable<Buffer>, longest: number): AsyncGenerator<Line> {
  let [rest, number, end]: [Buffer[], number, number] = [[], 1, 0]
  let pending = 0
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; ) {
      const at = chunk.indexOf(LINE_FEED, from)
      const part = chunk.subarray(from, at < 0 ? chunk.length : at)
      from += part.length + 1
      rest.push(part)
      pending += part.length
      if (pending > longest) throw new RangeError(`line ${number}: expected at most ${longest} bytes`)
      if (at < 0) break
      end += pending + 1
      yield { bytes: Buffer.concat(rest), number, end, isEnded: true }
      ;[rest, pending] = [[], 0]
      number += 1
    }
  }
  if (pending > 0) yield { bytes: Buffer.concat(rest), number, end: end + pending, isEnded: false }
}
