import { visible } from '../platform/visible.ts'
import type { Found } from './importer.ts'

export type Bad = Omit<Extract<Found, { kind: 'bad' }>, 'kind'>

/** What an import did, over all the runs that it took. */
export type ImportCounts = {
  published: number
  bytes: number
  inline: number
  byReference: number
  /** what is no item, and in order, by reason */
  leftOut: Record<string, number>
  /** how many could not be published for what they are */
  bad: number
  /** the first of them */
  badList: Bad[]
}

/** As many bad inputs are told one by one; the others are counted. */
const LONGEST_BAD_LIST = 10_000

export function noCounts(): ImportCounts {
  return { published: 0, bytes: 0, inline: 0, byReference: 0, leftOut: {}, bad: 0, badList: [] }
}

/** By its reason. */
export function countLeftOut(counts: ImportCounts, reason: string): void {
  counts.leftOut[reason] = (counts.leftOut[reason] ?? 0) + 1
}

/** The first of them are told one by one. */
export function countBad(counts: Pick<ImportCounts, 'bad' | 'badList'>, bad: Bad): void {
  counts.bad++
  if (counts.badList.length < LONGEST_BAD_LIST) counts.badList.push(bad)
}

/** What could not be published, a line each, for a terminal. */
export function badLines({ bad, badList }: Pick<ImportCounts, 'bad' | 'badList'>): string[] {
  const lines = badList.map(({ file, field, expected }) =>
    visible(`bad: ${file}${field === '' ? '' : `, field ${field}`}: ${expected}`),
  )
  return bad > badList.length ? [...lines, `and ${bad - badList.length} more`] : lines
}
