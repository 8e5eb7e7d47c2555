import pLimit from 'p-limit'
import { SluiceError } from '../domain/errors.ts'
import { isRecalled } from '../domain/recall.ts'
import type { RecallRecord } from '../domain/records.ts'
import type { Store } from '../platform/stores/store.ts'
import type { WriteRecalls } from './recalls.ts'

const AT_ONCE = 8

/** What became of objects that were to be set aside. */
export type SetAsideCounts = {
  /** moved from clean to held */
  moved: number
  /** were in neither store */
  missing: number
  /** lay in clean under a name that is not theirs; they are in held under the one that is */
  damaged: number
}

/** @property record what is to be written; null where what stands on gate.recalls is right already */
export type Recall = { sha256: string; record: RecallRecord | null }

/**
 * Makes the function that recalls: copies the objects to held, writes the records, takes the objects out of clean, in this order. Killed after the
 * first step an object is in both stores and still cleared; after the second it is in both, and readers refuse it; it is never in neither. Done again it
 * comes to the same. What is withdrawn is only written: its object may be one that was cleared anew.
 * @throws {SluiceError} STORE_UNREACHABLE, BROKER_UNREACHABLE
 */
export function createSetAside(stores: { clean: Store; held: Store }, write: WriteRecalls) {
  const { clean, held } = stores
  const limit = pLimit(AT_ONCE)

  return async function setAside(recalls: readonly Recall[], counts: SetAsideCounts): Promise<void> {
    const inEffect = recalls.filter(({ record }) => record === null || isRecalled(record))
    const found: string[] = []
    await limit.map(inEffect, async ({ sha256 }) => {
      // Of any size: it has been through the gate.
      const name = await held.copy(clean, sha256, Number.MAX_SAFE_INTEGER).catch(nullWhenMissing)
      if (name === null) {
        counts.missing += (await held.has(sha256)) ? 0 : 1
        return
      }
      found.push(sha256)
      counts[name === sha256 ? 'moved' : 'damaged'] += 1
    })
    await write(recalls.flatMap(({ record }) => record ?? []))
    await limit.map(found, (sha256) => clean.remove(sha256))
  }
}

function nullWhenMissing(error: unknown): null {
  if (error instanceof SluiceError && error.code === 'PAYLOAD_MISSING') return null
  throw error
}
