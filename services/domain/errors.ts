import { type Explanation, type ItemFault, itemFaults } from './reasons.ts'

/** Faults of the surroundings: the gate or a lane waits, readiness goes off, and it tries again. Never a verdict. */
export const surroundings = {
  STARTING: {
    meaning: 'the gate, or the lane of a partition, is being set up',
    action: 'Wait a minute: this goes on by itself. If it lasts, look for `gate-waits` and `lane-waits` in the log.',
  },
  BROKER_UNREACHABLE: {
    meaning: 'the Kafka cluster did not answer',
    action:
      'Are the brokers up and reachable from here? Check SLUICE_BROKERS; `sluice stack status` for the local ones. Goes on by itself.',
  },
  TOPICS_MISSING: {
    meaning: 'topics that the gate needs do not exist, or their partitions do not agree',
    action:
      'Run `sluice topics apply`; where partitions do not agree, give every topic that is named as many as the door has.',
  },
  REGISTRY_UNREACHABLE: {
    meaning: 'the schema registry did not answer, or lacks our subjects',
    action:
      'Is the registry up? Check SLUICE_REGISTRY; when it lacks our subjects, run `sluice schemas register`, or `sluice schemas restore FILE` where it has had them before. Goes on by itself.',
  },
  SCHEMA_IDS_CHANGED: {
    meaning:
      'the schema registry has lost our schemas or given them other ids: what was written could not be read, or be read wrongly',
    action:
      "Restore the registry's storage. If it is gone for good, start it empty and run `sluice schemas restore FILE` with the last export, never `register` before it. Goes on by itself.",
  },
  STORE_UNREACHABLE: {
    meaning: 'a store could not be read or written',
    action:
      'Is the disk mounted, writable and not full (`df`)? In S3: is the server up, the bucket there, and has this principal the right that is named? Mend it, delete nothing. Goes on by itself.',
  },
  LISTS_INCOMPLETE: {
    meaning:
      'a hash list that policy requires has not been read to a complete version, or too little of it can be matched',
    action:
      'Run `sluice lists status`. A list that is missing or not complete there: `sluice lists import FILE --list NAME`, whole, or `sluice lists sync NAME`.',
  },
  LISTS_STALE: {
    meaning: 'a hash list is older than policy allows',
    action:
      'Fetch it from its source again: `sluice lists sync NAME`, or `sluice lists import FILE --list NAME`. Do not raise maxAgeHours to get going.',
  },
  EXCHANGE_UNREACHABLE: {
    meaning: 'a hash exchange did not answer, or asked to be left alone; its list stays as it is and grows old',
    action: 'Can this machine reach the exchange? `sluice lists sync NAME` goes on from where it stopped.',
  },
  EXCHANGE_UNREADABLE: {
    meaning: 'a hash exchange does not answer as its documentation says, or too much of it is corrupt',
    action: 'Sync again later. If it stays so, tell the exchange; until then its list stays as it is and grows old.',
  },
  LIST_FLOOD: {
    meaning:
      'an entry or a version of a hash list holds, or would hold, more items than policy allows without a person',
    action:
      'Is the entry wrong? `sluice lists shadow LIST/ENTRY`, or `sluice lists rollback LIST`: goes on by itself then. Is it right? Raise `flood` in the policy and restart the gates.',
  },
  LIST_SHRINKS: {
    meaning: 'a new version of a hash list would lack more entries than policy allows without a person',
    action:
      'Is it the file of this list? Has the source really withdrawn so many, or given them other ids? Run `sluice lists plan`. If so, import with `--accept-shrink`; if not, tell the source.',
  },
  POSITION_JUMPED: {
    meaning: 'the position of a lane moved without explanation; the lane halts and skips nothing',
    action:
      'Call the owner of the gate. Touch neither offsets nor topics before it is known which items have verdicts.',
  },
  BATCH_UNREADABLE: {
    meaning:
      'a record batch on a topic is damaged, or unpacks to far more than a batch may; the lane halts and skips nothing',
    action:
      'Keep a copy, find its writer. To go on without it: delete the records up to its end and set the committed offset there while no gate runs. `sluice topics apply` has brokers refuse such.',
  },
  INTERNAL_FAULT: {
    meaning: 'the gate met a fault of its own; the lane holds on to its item and tries again',
    action:
      'Look for `lane-waits` in the log, its `err` says where. Restart the gate once; if it comes back, call the owner of the gate.',
  },
  TRANSACTION_FAILING: {
    meaning: 'transactions of a lane fail one after the other',
    action:
      'Look for `transaction-failed` in the log. Have all brokers enough in-sync replicas and room on disk? Goes on by itself.',
  },
  SIGNING_KEY_UNUSABLE: {
    meaning: 'the key that receipts are signed with can not be read, or the keyring says that it does not count',
    action:
      'Run `sluice keys list` on the machine of the gate. Was the key revoked or retired? `sluice keys new`, hand the keyring to all readers, `sluice keys rotate`. Goes on by itself.',
  },
  SCANNERS_UNAVAILABLE: {
    meaning: 'scanner processes can not be started',
    action:
      'Is the machine out of memory or processes (`free`, `ulimit -u`)? Free some, or restart the gate with a smaller SLUICE_SCANNERS.',
  },
} as const satisfies Readonly<Record<string, Explanation>>
export type SurroundingsFault = keyof typeof surroundings

/** What a reader is handed is not what a gate has cleared: it stops there. */
export const evidenceFaults = {
  RECEIPT_MISSING: 'there is no receipt: no gate has signed for this item',
  RECEIPT_INVALID: 'the receipt is damaged or forged: its signature is not of the key that it names',
  RECEIPT_MISMATCH: 'the receipt is for something else than what it stands on',
  KEY_UNKNOWN: 'the key that signed the receipt is not on the keyring',
  KEY_RETIRED: 'the receipt was signed when its key did not count: before it was made, or after it was retired',
  KEY_REVOKED: 'the key that signed the receipt was revoked, and nothing that it ever signed holds',
  PAYLOAD_TAMPERED: 'the bytes are not those that were checked',
} as const
export type EvidenceFault = keyof typeof evidenceFaults

/** Wrong use: the command stops with exit code 2 and one sentence. */
export const usageErrors = {
  USAGE: 'the command was called with wrong words',
  CONFIG_INVALID: 'a setting is wrong',
  POLICY_INVALID: 'the policy file is wrong',
  LIST_INVALID: 'the hash list file is wrong',
  VERSION_MISSING: 'there is no such version of the hash list, or it can not be had any more',
  PLAN_INVALID: 'the replay plan is wrong, was changed, or is for something else',
  RUN_UNKNOWN: 'there is no such replay',
  REPLAY_TAKEN_OVER: 'another replay worker is in charge by now',
  RECORDS_REMOVED: 'records that are asked for are gone',
  SIDECAR_INVALID: 'a sidecar file is wrong',
  ACCESS_DENIED: 'the brokers do not let this principal do that',
  INSTALL_MISSING: 'something that this command needs is not installed',
} as const
export type UsageError = keyof typeof usageErrors

export type ErrorCode = ItemFault | SurroundingsFault | EvidenceFault | UsageError
export type Fault = 'item' | 'surroundings' | 'evidence' | 'usage'

/** Whether something that came from elsewhere is one of our codes. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return (
    typeof code === 'string' &&
    [itemFaults, surroundings, evidenceFaults, usageErrors].some((codes) => Object.hasOwn(codes, code))
  )
}

/** Whose fault an error code is. The lane decides on this alone. */
export function faultOf(code: ErrorCode): Fault {
  if (Object.hasOwn(itemFaults, code)) return 'item'
  if (Object.hasOwn(surroundings, code)) return 'surroundings'
  return Object.hasOwn(evidenceFaults, code) ? 'evidence' : 'usage'
}

function meaningOf(code: ErrorCode): string {
  const found = { ...itemFaults, ...surroundings, ...evidenceFaults, ...usageErrors }[code]
  return typeof found === 'string' ? found : found.meaning
}

/** The one error class: a code of the closed set, and a sentence for a person (what, where, what was expected, what to do). */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: ErrorCode

  /** @param detail never holds payload, URL, uploader or title; replaces the code's general sentence when given */
  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail ?? meaningOf(code), options)
    this.code = code
  }

  get fault(): Fault {
    return faultOf(this.code)
  }
}
