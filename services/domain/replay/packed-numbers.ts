import { deflateRawSync, inflateRawSync } from 'node:zlib'

/** Unpacked; as much as twice what a run may have of one partition needs. */
const MOST_BYTES = 16 * 1024 * 1024

/**
 * Whole numbers in as little room as they take in a record: their differences as JSON, deflated. Runs of neighbours are nearly nothing.
 * @param numbers safe integers, none below 0, in any order
 * @throws {RangeError} for others, whose differences may be beyond what a number can say
 */
export function packNumbers(numbers: readonly number[]): Buffer {
  if (!numbers.every(isOffset)) throw new RangeError('only whole numbers from 0 on can be packed')
  return deflateRawSync(JSON.stringify(numbers.map((number, at) => number - (numbers[at - 1] ?? 0))))
}

/** @throws {RangeError} for bytes that {@link packNumbers} does not make */
export function unpackNumbers(bytes: Uint8Array): number[] {
  const numbers: number[] = []
  let last = 0
  for (const difference of parsed(bytes)) {
    last += typeof difference === 'number' ? difference : Number.NaN
    if (!isOffset(last)) throw new RangeError('packed numbers hold what is no whole number from 0 on')
    numbers.push(last)
  }
  return numbers
}

/** Each greater than the one before: none is there twice. */
export function isAscending(numbers: readonly number[]): boolean {
  return numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0))
}

function isOffset(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 0
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
