import { type ItemFault, itemFaults } from './reasons.ts'

/** Faults of the surroundings: the lane pauses, readiness goes off, and it tries again. Never a verdict. */
export const surroundings = {
  BROKER_UNREACHABLE: 'the Kafka cluster did not answer',
  TOPICS_MISSING: 'topics that the gate needs do not exist, or their partitions do not agree',
  REGISTRY_UNREACHABLE: 'the schema registry did not answer, or lacks our subjects',
  STORE_UNREACHABLE: 'a store could not be read or written',
  LISTS_INCOMPLETE: 'a hash list that policy requires has not been read to a complete version',
  LISTS_STALE: 'a hash list is older than policy allows',
  POSITION_JUMPED: 'the position of a lane moved without explanation; the lane halts and skips nothing',
  INTERNAL_FAULT: 'the gate met a fault of its own; the lane holds on to its item and tries again',
  TRANSACTION_FAILING: 'transactions of a lane fail one after the other',
  SCANNERS_UNAVAILABLE: 'scanner processes can not be started',
} as const
export type SurroundingsFault = keyof typeof surroundings

/** Wrong use: the command stops with exit code 2 and one sentence. */
export const usageErrors = {
  USAGE: 'the command was called with wrong words',
  CONFIG_INVALID: 'a setting is wrong',
  POLICY_INVALID: 'the policy file is wrong',
  LIST_INVALID: 'the hash list file is wrong',
  SIDECAR_INVALID: 'a sidecar file is wrong',
  INSTALL_MISSING: 'something that this command needs is not installed',
} as const
export type UsageError = keyof typeof usageErrors

export type ErrorCode = ItemFault | SurroundingsFault | UsageError
export type Fault = 'item' | 'surroundings' | 'usage'

/** Whose fault an error code is. The lane decides on this alone. */
export function faultOf(code: ErrorCode): Fault {
  if (Object.hasOwn(itemFaults, code)) return 'item'
  return Object.hasOwn(surroundings, code) ? 'surroundings' : 'usage'
}

/** The one error class: a code of the closed set, and a sentence for a person (what, where, what was expected, what to do). */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: ErrorCode

  /** @param detail never holds payload, URL, uploader or title; replaces the code's general sentence when given */
  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail ?? { ...itemFaults, ...surroundings, ...usageErrors }[code], options)
    this.code = code
  }

  get fault(): Fault {
    return faultOf(this.code)
  }
}
