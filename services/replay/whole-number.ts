import { InvalidArgumentError } from 'commander'

/** Reads a word of the command line. */
export function wholeNumber(text: string): number {
  const found = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(found)) throw new InvalidArgumentError('expected a whole number')
  return found
}
