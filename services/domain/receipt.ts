import { hash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from './canonical-json.ts'
import { isSignedBy, parseDsse } from './dsse.ts'
import type { EvidenceFault } from './errors.ts'
import type { createKeyLookup, KeyFault } from './keyring.ts'
import type { CleanItem, Envelope, TrainingView } from './records.ts'

/** The type of a receipt's body in its DSSE envelope. */
export const RECEIPT_TYPE = 'application/vnd.sluice.receipt.v1+json'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const receiptSchema = z.strictObject({
  version: z.literal(1),
  verdict: z.literal('clean'),
  input: z.strictObject({ cluster: z.string(), topic: z.string(), partition: z.int(), offset: z.int() }),
  id: z.string(),
  payload: z.strictObject({
    md5: z.string().regex(/^[0-9a-f]{32}$/),
    sha1: z.string().regex(/^[0-9a-f]{40}$/),
    sha256,
    size: z.int().nonnegative(),
    mediaType: z.string(),
  }),
  envelope: z.strictObject({ sha256 }),
  training: z.strictObject({ sha256 }),
  policyHash: sha256,
  listVersions: z.array(z.strictObject({ list: z.string(), version: z.string() })),
  engineVersion: z.string(),
  signedAt: z.int().nonnegative(),
  keyId: z.string(),
})

/**
 * What the gate signs of an item that it clears.
 * @property input coordinates on the door
 * @property payload all exact digests of the bytes that were checked, and their length
 * @property envelope sha256 over the canonical JSON of the whole envelope, as it lies on gate.envelopes
 * @property training sha256 over the canonical JSON of its training view
 * @property signedAt milliseconds since the epoch, by the gate's clock
 */
export type Receipt = z.infer<typeof receiptSchema>

/** Why a receipt proves nothing for the item that it stands on. */
export type ReceiptFault = KeyFault | Extract<EvidenceFault, `RECEIPT_${string}`>

/** The text that is signed. */
export function receiptBody(receipt: Receipt): string {
  return canonicalJson(receipt)
}

/** The digest that stands for an envelope or a training view on a receipt: sha256 over its canonical JSON, lower-case hex. */
export function viewDigest(view: Envelope | TrainingView): string {
  return hash('sha256', canonicalJson(view))
}

/** Makes the function that checks a receipt's text by itself: that it is one, and signed by a key that counts. */
export function createReceiptCheck(keyFor: ReturnType<typeof createKeyLookup>) {
  return async function checkReceipt(text: string | null): Promise<Receipt | ReceiptFault> {
    if (text === null) return 'RECEIPT_MISSING'
    const signed = parseDsse(text)
    if (signed === null || signed.payloadType !== RECEIPT_TYPE) return 'RECEIPT_INVALID'
    const receipt = receiptOf(signed.body.toString('utf8'))
    if (receipt === null || receipt.keyId !== signed.keyId) return 'RECEIPT_INVALID'
    const key = keyFor(receipt.keyId, receipt.signedAt)
    if (typeof key === 'string') return key
    return (await isSignedBy(signed, key)) ? receipt : 'RECEIPT_INVALID'
  }
}

/** The first thing in which a cleared item is not what its receipt says; null where it is all that. */
export function mismatch(receipt: Receipt, item: Omit<CleanItem, 'receipt'>): string | null {
  const { input, id, payload } = item
  const told = [
    ['cluster', receipt.input.cluster, input.cluster],
    ['topic', receipt.input.topic, input.topic],
    ['partition', receipt.input.partition, input.partition],
    ['offset', receipt.input.offset, input.offset],
    ['item id', receipt.id, id],
    ['payload', receipt.payload.sha256, payload.reference],
    ['size', receipt.payload.size, payload.size],
    ['media type', receipt.payload.mediaType, payload.mediaType],
    ['training view', receipt.training.sha256, viewDigest(item.training)],
  ] as const
  return told.find(([, signed, found]) => signed !== found)?.[0] ?? null
}

function receiptOf(text: string): Receipt | null {
  try {
    const parsed = receiptSchema.safeParse(JSON.parse(text))
    // Written in another way it would be another text for the same receipt.
    return parsed.success && receiptBody(parsed.data) === text ? parsed.data : null
  } catch {
    return null
  }
}
