/** Where an item may go, mildest first. */
export const outcomes = ['clean', 'review', 'quarantine'] as const
export type Outcome = (typeof outcomes)[number]

/** What a code means, and what on-call does about it: a short sentence each, for somebody who was just woken up. */
export type Explanation = { meaning: string; action: string }

/** Faults of an item: it can't be judged, so it is quarantined with this reason. Each is also an error code. */
export const itemFaults = {
  VALUE_MISSING: {
    meaning: 'the message has no value',
    action:
      'Nothing tonight. When many come: find their crawler by the coordinates on gate.verdicts; it publishes empty messages.',
  },
  MESSAGE_UNDECODABLE: {
    meaning:
      'the value is neither Avro in the Confluent wire format nor, by its content type, JSON, or does not fit its schema',
    action:
      "Nothing tonight. When many come: the producer does not write the door's schema; `sluice crawl` does, and services/crawl/README.md says how.",
  },
  SCHEMA_FOREIGN: {
    meaning: "the value's schema id is not one of the door topic's subject",
    action:
      'Nothing tonight. When many come: the producer registered its schema under another subject; it must use the one of the door topic.',
  },
  KEY_MISSING: {
    meaning: 'the message has no key; the key must be the item id',
    action: 'Nothing tonight. When many come: the producer must set the message key to the item id.',
  },
  KEY_MISMATCH: {
    meaning: 'the message key is not the item id of its envelope',
    action: 'Nothing tonight. When many come: the producer must use one id as message key and in the envelope.',
  },
  SUBJECT_MISMATCH: {
    meaning: 'the message says that it is about another item (CloudEvents subject) than its envelope does',
    action: 'Nothing tonight. When many come: the producer must use the item id as `ce_subject`, or leave that out.',
  },
  ITEM_ID_INVALID: {
    meaning: 'the envelope has no item id, or one that is not [A-Za-z0-9._-]{1,64}',
    action:
      'Nothing tonight. When many come: the producer must derive ids of that form, for example by hashing its own.',
  },
  ENVELOPE_TOO_LONG: {
    meaning:
      'a text of the envelope has more than 65536 characters, or a list more than 1000 entries; it is cut where it is shown, and whole in the held store',
    action: 'Nothing tonight. When many come from one crawler: it takes whole pages for captions or titles.',
  },
  PAYLOAD_MISSING: {
    meaning: 'there is no payload: neither inline nor under the reference in one of the stores',
    action:
      'Is the intake store mounted and whole? If it is: the crawler sent a reference before it had written the object, or nothing at all.',
  },
  PAYLOAD_AMBIGUOUS: {
    meaning: 'the item has both an inline payload and a reference',
    action: 'Nothing tonight. When many come: the producer must send the bytes or a reference, not both.',
  },
  PAYLOAD_EMPTY: {
    meaning: 'the payload has no bytes',
    action: 'Nothing tonight. When many come: the crawler stores failed downloads; it should not send them.',
  },
  PAYLOAD_TOO_LARGE: {
    meaning: 'the payload is longer than policy allows',
    action: 'Nothing tonight. To take such items, raise limits.payloadBytes in the policy file and restart the gates.',
  },
  REFERENCE_INVALID: {
    meaning: 'the payload reference is not 64 lower-case hex digits',
    action: 'Nothing tonight. When many come: the producer must refer to objects by their sha256 in lower-case hex.',
  },
  DIGEST_MISMATCH: {
    meaning: 'a digest that was claimed for the payload is not the digest of the bytes',
    action:
      'When several come: look for a disk or proxy that changes bytes, or somebody who replaces objects in the intake store.',
  },
  SIZE_MISMATCH: {
    meaning: 'the size that was claimed for the payload is not the size of the bytes',
    action: 'When several come: downloads are cut short, or objects in the intake store were replaced.',
  },
  MEDIA_UNSUPPORTED: {
    meaning: 'the bytes are no media type that the engine can inspect',
    action: 'Nothing tonight: the item stays held until the engine can inspect that type.',
  },
  MEDIA_UNDECODABLE: {
    meaning: 'the bytes look like a supported type, but nothing of them could be decoded',
    action:
      'Nothing tonight. When many come from one crawler: it damages what it fetches, or stores error pages as pictures.',
  },
  MEDIA_INCOMPLETE: {
    meaning:
      'only a part could be looked at (cut short, damaged, or with more in it than the engine shows); what was seen is hashed, never cleared',
    action:
      'Nothing tonight. When many come from one crawler: its downloads are cut short, or it collects drawings with text or scripts, which are never cleared.',
  },
  DIMENSIONS_OVER_LIMIT: {
    meaning: 'the picture has more pixels than policy allows',
    action: 'Nothing tonight. To take such items, raise limits.pixels in the policy file and restart the gates.',
  },
  FRAMES_OVER_LIMIT: {
    meaning: 'the animation has more frames than policy allows; the first ones are hashed, never cleared',
    action: 'Nothing tonight. To take such items, raise limits.frames in the policy file and restart the gates.',
  },
  SCANNER_CRASHED: {
    meaning: 'the item killed its scanner process twice',
    action:
      'Do not open the item. When several come from one source: somebody may be trying the decoders; stop that crawl and tell security.',
  },
  SCANNER_TIMEOUT: {
    meaning: 'the item was not inspected within the time limit, twice',
    action:
      'When many come: is the machine overloaded, or limits.scanSeconds of the policy too short? Else treat them like SCANNER_CRASHED.',
  },
} as const satisfies Readonly<Record<string, Explanation>>
export type ItemFault = keyof typeof itemFaults

/** Whether a reason says that an item could not be judged. */
export function isItemFault(reason: string): reason is ItemFault {
  return Object.hasOwn(itemFaults, reason)
}

/** What matching found, and what policy found in the envelope. */
export const findings = {
  KNOWN_EXACT: {
    meaning: 'a digest of the payload, or of the bytes as its crawler says it fetched them, is on an enforced list',
    action:
      'Do not open the item. The verdict names list and entry, the envelope where it was found: hand both to those who report.',
  },
  KNOWN_NEAR: {
    meaning: 'a perceptual hash is within the near distance of an entry of an enforced list, at sufficient quality',
    action:
      'Do not open the item. Hand it to review with its verdict; when many come at once, look at the list that was imported last.',
  },
  KNOWN_WIDE: {
    meaning: 'the picture as it stands is within the wide distance of an entry of an enforced list',
    action: 'Leave it to review: a person looks. When many come at once, look at the list that was imported last.',
  },
  KNOWN_DOUBTED: {
    meaning: 'there is a match on an entry that its list does not wholly stand for; the match tells its standing',
    action: 'Leave it to review: a person looks. When many come at once, look at the list that was imported last.',
  },
  KNOWN_SHADOW: {
    meaning: 'there is a match on a list, or an entry, that policy runs in shadow; it has no effect on the outcome',
    action: 'Nothing tonight: such a list is on trial. Its owner decides whether policy shall enforce it.',
  },
  PROVENANCE_INCOMPLETE: {
    meaning: 'facts about where the item comes from, which policy requires, are missing; the verdict names them',
    action:
      'Nothing tonight. Ask its supplier: `sluice provenance report --supplier NAME --rows` lists the gaps to send; `sluice crawl amend` brings the answer.',
  },
  PROVENANCE_SHADOW: {
    meaning: 'facts about where the item comes from are missing, by a rule that policy runs in shadow; no effect',
    action: 'Nothing tonight: such a rule is on trial.',
  },
  RIGHTS_RESERVED: {
    meaning:
      'its owner reserved the right to train on it (robots or text-and-data-mining signals), and policy heeds that',
    action: 'Nothing tonight. When many come from one crawl: the crawler should heed such signals itself.',
  },
  RIGHTS_SHADOW: {
    meaning: 'its owner reserved the right to train on it; policy runs that rule in shadow; no effect',
    action: 'Nothing tonight: such a rule is on trial.',
  },
} as const satisfies Readonly<Record<string, Explanation>>
export type Finding = keyof typeof findings

export type Reason = ItemFault | Finding

/** Every reason code, explained: the closed set that verdicts, metrics and docs draw from. */
export const reasons: Readonly<Record<Reason, Explanation>> = { ...itemFaults, ...findings }
