import { hash } from 'node:crypto'
import type { CleanItem } from '../domain/records.ts'

/** What makes two records the same item: 32 bytes for item id and sha256. */
export function nameOf({ id, payload }: { id: string; payload: Pick<CleanItem['payload'], 'reference'> }): Buffer {
  return hash('sha256', `${id}\n${payload.reference}`, 'buffer')
}
