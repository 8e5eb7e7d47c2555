import { hash } from 'node:crypto'
import { signDsse } from '../../services/domain/dsse.ts'
import { emptyEnvelope, origin, trainingView } from '../../services/domain/envelope.ts'
import { RECEIPT_TYPE, type Receipt, receiptBody, viewDigest } from '../../services/domain/receipt.ts'
import type { CleanItem, Envelope } from '../../services/domain/records.ts'
import type { SigningKey } from '../../services/platform/signing-key.ts'

/** Signs for an item as a gate would. @param changes to the receipt before it is signed */
export function signFor(
  key: SigningKey,
  { unsigned, envelope, bytes }: { unsigned: Omit<CleanItem, 'receipt'>; envelope: Envelope; bytes: Buffer },
  changes: Partial<Receipt> = {},
): { item: CleanItem; receipt: Receipt } {
  const { reference, size, mediaType } = unsigned.payload
  const receipt: Receipt = {
    version: 1,
    verdict: 'clean',
    input: unsigned.input,
    id: unsigned.id,
    payload: { md5: hash('md5', bytes), sha1: hash('sha1', bytes), sha256: reference, size, mediaType },
    envelope: { sha256: viewDigest(envelope) },
    training: { sha256: viewDigest(unsigned.training) },
    policyHash: hash('sha256', 'policy'),
    listVersions: [{ list: 'stand-in', version: '2026-11-28T00:00:00.000Z' }],
    engineVersion: '3',
    signedAt: Date.now(),
    keyId: key.id,
    ...changes,
  }
  return { item: { ...unsigned, receipt: signDsse(RECEIPT_TYPE, receiptBody(receipt), key) }, receipt }
}

/** What a gate would write of an item that it cleared. @param changes to the receipt before it is signed */
export function signedItem(
  key: SigningKey,
  { id, bytes, input }: { id: string; bytes: Buffer; input: CleanItem['input'] },
  changes: Partial<Receipt> = {},
): CleanItem {
  const envelope = { ...emptyEnvelope(), origin: origin({ caption: `a picture called ${id}` }) }
  const payload = { reference: hash('sha256', bytes), size: bytes.length, mediaType: 'image/png' }
  const unsigned = { input, id, payload, training: trainingView(envelope) }
  return signFor(key, { unsigned, envelope, bytes }, changes).item
}
