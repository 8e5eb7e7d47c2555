/** Where an item may go, mildest first. */
export const outcomes = ['clean', 'review', 'quarantine'] as const
export type Outcome = (typeof outcomes)[number]

/** Faults of an item: it can't be judged, so it is quarantined with this reason. Each is also an error code. */
export const itemFaults = {
  VALUE_MISSING: 'the message has no value',
  MESSAGE_UNDECODABLE: 'the value is not Avro in the Confluent wire format, or does not fit the schema that it names',
  SCHEMA_FOREIGN: "the value's schema id is not one of the door topic's subject",
  KEY_MISSING: 'the message has no key; the key must be the item id',
  KEY_MISMATCH: 'the message key is not the item id of its envelope',
  ITEM_ID_INVALID: 'the envelope has no item id, or one that is not [A-Za-z0-9._-]{1,64}',
  PAYLOAD_MISSING: 'there is no payload: neither inline nor under the reference in the intake store',
  PAYLOAD_AMBIGUOUS: 'the item has both an inline payload and a reference',
  PAYLOAD_EMPTY: 'the payload has no bytes',
  PAYLOAD_TOO_LARGE: 'the payload is longer than policy allows',
  REFERENCE_INVALID: 'the payload reference is not 64 lower-case hex digits',
  DIGEST_MISMATCH: 'a digest that was claimed for the payload is not the digest of the bytes',
  SIZE_MISMATCH: 'the size that was claimed for the payload is not the size of the bytes',
  MEDIA_UNSUPPORTED: 'the bytes are no media type that the engine can inspect',
  MEDIA_UNDECODABLE: 'the bytes look like a supported type, but nothing of them could be decoded',
  MEDIA_INCOMPLETE: 'only a part could be decoded (cut short or damaged); what was seen is hashed, never cleared',
  DIMENSIONS_OVER_LIMIT: 'the picture has more pixels than policy allows',
  FRAMES_OVER_LIMIT: 'the animation has more frames than policy allows; the first ones are hashed, never cleared',
  SCANNER_CRASHED: 'the item killed its scanner process twice',
  SCANNER_TIMEOUT: 'the item was not inspected within the time limit, twice',
} as const
export type ItemFault = keyof typeof itemFaults

/** What matching found, with the least outcome that it leads to unless policy says more. */
export const findings = {
  KNOWN_EXACT: 'a digest of the payload is on an enforced list',
  KNOWN_NEAR: 'a perceptual hash is within the near distance of an entry of an enforced list, at sufficient quality',
  KNOWN_WIDE: 'the picture as it stands is within the wide distance of an entry of an enforced list',
  KNOWN_SHADOW: 'there is a match on a list that policy runs in shadow; it has no effect on the outcome',
} as const
export type Finding = keyof typeof findings

export type Reason = ItemFault | Finding

/** Every reason code with its meaning: the closed set that verdicts, metrics and docs draw from. */
export const reasons: Readonly<Record<Reason, string>> = { ...itemFaults, ...findings }
