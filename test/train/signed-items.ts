import { hash } from 'node:crypto'
import { signDsse } from '../../services/domain/dsse.ts'
import { emptyEnvelope, trainingView } from '../../services/domain/envelope.ts'
import { RECEIPT_TYPE, type Receipt, receiptBody, viewDigest } from '../../services/domain/receipt.ts'
import type { CleanItem } from '../../services/domain/records.ts'
import type { SigningKey } from '../../services/platform/signing-key.ts'

/** What a gate would write of an item that it cleared. @param changes to the receipt before it is signed */
export async function signedItem(
  key: SigningKey,
  { id, bytes, input }: { id: string; bytes: Buffer; input: CleanItem['input'] },
  changes: Partial<Receipt> = {},
): Promise<CleanItem> {
  const sha256 = hash('sha256', bytes)
  const payload = { reference: sha256, size: bytes.length, mediaType: 'image/png' }
  const training = {
    ...trainingView(emptyEnvelope()),
    caption: `a picture called ${id}`,
    collectedAt: 1_700_000_000_000,
  }
  const body = receiptBody({
    version: 1,
    verdict: 'clean',
    input,
    id,
    payload: {
      md5: hash('md5', bytes),
      sha1: hash('sha1', bytes),
      sha256,
      size: bytes.length,
      mediaType: payload.mediaType,
    },
    envelope: { sha256: viewDigest(emptyEnvelope()) },
    training: { sha256: viewDigest(training) },
    policyHash: hash('sha256', 'policy'),
    listVersions: [{ list: 'stand-in', version: '2026-11-28' }],
    engineVersion: '3',
    signedAt: Date.now(),
    keyId: key.id,
    ...changes,
  })
  return { input, id, payload, training, receipt: await signDsse(RECEIPT_TYPE, body, key) }
}
