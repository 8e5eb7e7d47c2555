import { z } from 'zod'
import type { Receipt } from '../../domain/receipt.ts'
import type { CleanItem } from '../../domain/records.ts'

const count = z.int().nonnegative()
const counted = z.array(z.strictObject({ value: z.string(), items: count }))
export const sumsSchema = z.strictObject({
  items: count,
  bytes: count,
  mediaTypes: counted,
  policyHashes: counted,
  engineVersions: counted,
  listVersions: counted,
  keyIds: counted,
  licences: counted,
  signedFrom: count.nullable(),
  signedUntil: count.nullable(),
})

/**
 * What is told of many items together.
 * @property bytes of their payloads
 * @property listVersions as `list@version`
 * @property licences as crawlers have told them; what is beyond the first {@link MOST_LICENCES} of a shard, or of all, is counted as `others`
 * @property signedFrom when the first receipt was signed, milliseconds since the epoch
 */
export type Sums = z.infer<typeof sumsSchema>

/** Anybody can make up licences. */
const MOST_LICENCES = 100

const named = ['mediaTypes', 'policyHashes', 'engineVersions', 'listVersions', 'keyIds', 'licences'] as const

/** Adds up items, or what is told of other ones, in the order in which they come. */
export function createSums(): { add(item: CleanItem, receipt: Receipt): void; addAll(sums: Sums): void; sums(): Sums } {
  const totals = { items: 0, bytes: 0 }
  const maps = Object.fromEntries(named.map((name) => [name, new Map<string, number>()]))
  let [signedFrom, signedUntil]: [number | null, number | null] = [null, null]

  function note(name: (typeof named)[number], value: string, items = 1): void {
    const map = maps[name]
    if (map === undefined) return
    const isOther = name === 'licences' && !map.has(value) && map.size >= MOST_LICENCES
    const key = isOther ? 'others' : value
    map.set(key, (map.get(key) ?? 0) + items)
  }

  function noteTime(from: number | null, until: number | null): void {
    if (from !== null) signedFrom = Math.min(signedFrom ?? from, from)
    if (until !== null) signedUntil = Math.max(signedUntil ?? until, until)
  }

  return {
    add({ payload, training }, receipt) {
      totals.items += 1
      totals.bytes += payload.size
      note('mediaTypes', payload.mediaType)
      note('policyHashes', receipt.policyHash)
      note('engineVersions', receipt.engineVersion)
      for (const { list, version } of receipt.listVersions) note('listVersions', `${list}@${version}`)
      note('keyIds', receipt.keyId)
      note('licences', training.licence ?? 'unknown')
      noteTime(receipt.signedAt, receipt.signedAt)
    },
    addAll(sums) {
      totals.items += sums.items
      totals.bytes += sums.bytes
      for (const name of named) for (const { value, items } of sums[name]) note(name, value, items)
      noteTime(sums.signedFrom, sums.signedUntil)
    },
    sums() {
      const of = (name: (typeof named)[number]) =>
        [...(maps[name] ?? [])].map(([value, items]) => ({ value, items })).sort((a, b) => (a.value < b.value ? -1 : 1))
      return {
        ...totals,
        mediaTypes: of('mediaTypes'),
        policyHashes: of('policyHashes'),
        engineVersions: of('engineVersions'),
        listVersions: of('listVersions'),
        keyIds: of('keyIds'),
        licences: of('licences'),
        signedFrom,
        signedUntil,
      }
    },
  }
}
