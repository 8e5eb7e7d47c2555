import { hash } from 'node:crypto'
import { isItemId } from '../domain/envelope.ts'
import { type EvidenceFault, evidenceFaults, SluiceError } from '../domain/errors.ts'
import { createKeyLookup, type Keyring } from '../domain/keyring.ts'
import { createReceiptCheck, mismatch, type Receipt, type ReceiptFault } from '../domain/receipt.ts'
import type { CleanItem } from '../domain/records.ts'

/** What is claimed to have been cleared: a record of the clean topic, or an item of an exported dataset. */
export type Claim = {
  /** how a person finds it, e.g. `gate.clean/3/14` */
  place: string
  /** null where the place gives it none */
  key: string | null
  item: CleanItem
}

export type Prove = {
  /**
   * That a gate has signed for exactly this item.
   * @throws {SluiceError} RECEIPT_*, KEY_*, naming the item
   */
  claim(claim: Claim): Promise<Receipt>
  /**
   * That these are the bytes that were checked.
   * @throws {SluiceError} PAYLOAD_TAMPERED, naming the item
   */
  bytes(claim: Claim, receipt: Receipt, bytes: Uint8Array): void
}

/** Makes what proves that something was cleared, by the keys that a reader trusts. */
export function createProve(keyring: Keyring): Prove {
  const checkReceipt = createReceiptCheck(createKeyLookup(keyring))
  return {
    async claim(claim) {
      const { item, key } = claim
      const receipt = await checkReceipt(item.receipt)
      if (typeof receipt === 'string') throw refusal(receipt, claim)
      const wrong = mismatch(receipt, item) ?? (key !== null && key !== item.id ? 'key' : null)
      if (wrong !== null) throw refusal('RECEIPT_MISMATCH', claim, `its ${wrong} is not what was signed`)
      return receipt
    },
    bytes(claim, { payload }, bytes) {
      if (bytes.length === payload.size && hash('sha256', bytes) === payload.sha256) return
      throw refusal('PAYLOAD_TAMPERED', claim)
    },
  }
}

/** Whoever wrote it may have put anything where its id belongs. */
function refusal(code: EvidenceFault | ReceiptFault, { place, item }: Claim, detail?: string): SluiceError {
  const name = isItemId(item.id) ? `item ${item.id}` : 'an item without a proper id'
  const told = detail === undefined ? evidenceFaults[code] : `${evidenceFaults[code]}: ${detail}`
  return new SluiceError(code, `${name} at ${place} is not handed out: ${told}`)
}
