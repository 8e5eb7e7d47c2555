import type { Principal } from '../../domain/principals.ts'
import { DOOR, heldTopics, type Topic, topics } from '../../domain/topics.ts'

/** What the gate decides, and nobody else. */
export const gateTopics = [
  'gate.clean',
  ...heldTopics,
  'gate.verdicts',
  'gate.envelopes',
] as const satisfies readonly Topic[]

type Bounds = {
  read: readonly Topic[]
  write: readonly Topic[]
  /** whether groups and transactional ids of its own make sense */
  groups: boolean
  transactions: boolean
}

const notOfTheGate = topics.filter((topic) => !gateTopics.some((each) => each === topic))
const open = topics.filter((topic) => ![...heldTopics, 'gate.envelopes', DOOR].includes(topic))

/** Whoever is not told of below: reads what it likes, writes what is not the gate's. */
const usual: Bounds = { read: topics, write: notOfTheGate, groups: true, transactions: false }

/**
 * The most that a principal can be allowed, whatever the access file says: the promises that the whole rests on. A careless line in the file is
 * refused, not applied.
 */
const most: Partial<Record<Principal, Bounds>> = {
  crawler: { read: [], write: [DOOR], groups: false, transactions: false },
  gate: { read: topics, write: gateTopics, groups: true, transactions: true },
  replay: { ...usual, write: [DOOR, 'replay.runs', 'replay.audit'], transactions: true },
  trainer: { read: ['gate.clean', 'gate.recalls'], write: [], groups: true, transactions: false },
  'on-call': { ...usual, read: open, write: ['replay.runs'] },
}

/** The most that can be allowed to a principal. */
export function mostOf(principal: Principal): Bounds {
  return most[principal] ?? usual
}
