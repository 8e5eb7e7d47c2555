import { SluiceError } from '../domain/errors.ts'
import { isInspected } from '../domain/media-types.ts'
import { sniffMediaType } from '../platform/sniff-media-type.ts'
import { visible } from '../platform/visible.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Collected } from './door-message.ts'
import type { Found, Importer } from './importer.ts'
import type { Publisher } from './producer.ts'

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
/** Where an import stands is written down about this often, in ms: what was published since is published again after a crash. */
const CHECKPOINT_EVERY_MS = 1000

export function noCounts(): ImportCounts {
  return { published: 0, bytes: 0, inline: 0, byReference: 0, leftOut: {}, bad: 0, badList: [] }
}

/** The import of some sources: which importer, what was named, with which values of its own options. */
export type Import = {
  importer: Importer
  sources: readonly string[]
  options: Readonly<Record<string, unknown>>
  /** also what the gate can not inspect yet */
  all: boolean
}

/**
 * Publishes what an importer finds. Where a former run was cut off, its checkpoint says how far everything was written, and this
 * one goes on from there: what was under way then is published again, with the same ids, and nothing is left out.
 * @param counts told on the way, for progress
 * @throws {SluiceError} of the surroundings, or USAGE for the sources; the checkpoint stays
 */
export async function publishAll(
  what: Import,
  publisher: Publisher,
  checkpoint: Checkpoint,
  counts: ImportCounts,
): Promise<void> {
  let savedAt = performance.now()
  for await (const part of what.importer.parts(what.sources, what.options)) {
    const before = checkpoint.foundIn(part)
    if (before === 'all') continue
    let found = 0
    for await (const one of part.read()) {
      found++
      if (found <= before) continue
      await take(one, what.all, counts, async (collected) => {
        const { carriage } = await publisher.publish(collected)
        if (carriage === 'inline') counts.inline++
        else counts.byReference++
      })
      if (performance.now() - savedAt < CHECKPOINT_EVERY_MS) continue
      await publisher.flush()
      await checkpoint.save(part, found, counts)
      savedAt = performance.now()
    }
    await publisher.flush()
    await checkpoint.save(part, 'all', counts)
    savedAt = performance.now()
  }
  await checkpoint.remove()
}

/** Counts what was found, and hands on what is to be published. */
export async function take(
  found: Found,
  all: boolean,
  counts: ImportCounts,
  publish: (collected: Collected) => Promise<void> | void,
): Promise<void> {
  if (found.kind === 'bad') return countBad(counts, { file: found.file, field: found.field, expected: found.expected })
  if (found.kind === 'left-out') return countLeftOut(counts, found.reason)
  const { collected } = found
  const mediaType = await sniffMediaType(collected.payload)
  if (!all && !isInspected(mediaType)) return countLeftOut(counts, `media type ${mediaType ?? 'unknown'}`)
  try {
    await publish(collected)
  } catch (error) {
    if (!(error instanceof SluiceError) || error.fault !== 'item') throw error
    return countBad(counts, { file: collected.envelope.item?.id ?? '', field: '', expected: error.message })
  }
  counts.published++
  counts.bytes += collected.payload.length
}

function countLeftOut(counts: ImportCounts, reason: string): void {
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
