import { deflateRawSync, inflateRawSync } from 'node:zlib'

/** Unpacked; some millions of offsets. */
const MOST_BYTES = 64 * 1024 * 1024

/**
 * Whole numbers in as little room as they take in a record: their differences as JSON, deflated. Runs of neighbours are nearly nothing.
 * @param numbers safe integers, in any order
 */
export function packNumbers(numbers: readonly number[]): Buffer {
  return deflateRawSync(JSON.stringify(numbers.map((number, at) => number - (numbers[at - 1] ?? 0))))
}

/** @throws {RangeError} for bytes that {@link packNumbers} does not make */
export function unpackNumbers(bytes: Uint8Array): number[] {
  const numbers: number[] = []
  let last = 0
  for (const difference of parsed(bytes)) {
    last += typeof difference === 'number' ? difference : Number.NaN
    if (!Number.isSafeInteger(last)) throw new RangeError('packed numbers hold what is no whole number')
    numbers.push(last)
  }
  return numbers
}

function parsed(bytes: Uint8Array): unknown[] {
  try {
    const found: unknown = JSON.parse(inflateRawSync(bytes, { maxOutputLength: MOST_BYTES }).toString())
    if (Array.isArray(found)) return found
  } catch (cause) {
    throw new RangeError('packed numbers can not be unpacked', { cause })
  }
  throw new RangeError('packed numbers are no list')
}
