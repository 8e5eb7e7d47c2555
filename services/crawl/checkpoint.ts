import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DATA_FOLDER, type Settings } from '../platform/settings.ts'
import { writeDurably } from '../platform/write-durably.ts'
import type { ImportCounts } from './import-counts.ts'
import type { Import, Part } from './importer.ts'
import type { Written } from './producer.ts'

const counts = z.object({
  published: z.number(),
  bytes: z.number(),
  inline: z.number(),
  byReference: z.number(),
  leftOut: z.record(z.string(), z.number()),
  bad: z.number(),
  badList: z.array(z.object({ file: z.string(), field: z.string(), expected: z.string() })),
}) satisfies z.ZodType<ImportCounts>
/** A part's identity, and how many of the things found in it are written or counted. */
const place = z.object({ identity: z.string(), found: z.union([z.number(), z.literal('all')]) })
const file = z.object({
  parts: z.record(z.string(), place),
  counts,
  /** by partition of the door: behind the last message that was written to it */
  written: z.record(z.string(), z.number()),
})

/** How far an import has come, in a file that outlives a crash. */
export type Checkpoint = {
  /** what the runs before this one did; null where there was none */
  before: ImportCounts | null
  /** The door topic ends before what the runs before this one have written to it: it is another one, and they count as none. */
  isLost: boolean
  /** How many of the things found in a part need not be published again. */
  foundIn(part: Part): number | 'all'
  /** Remembers, durably, that so many of the things found in the part are written or counted. */
  save(part: Part, found: number | 'all', counts: ImportCounts): Promise<void>
  /** Takes note of a message that is on the door. */
  wrote(place: Written): void
  /** The import is done: the next one begins at the beginning. */
  remove(): Promise<void>
}

/**
 * The checkpoint of an import: the same importer, sources and options into the same topic of the same cluster. A damaged one counts as
 * none: then everything is published again, with the same ids.
 * @param ends by partition of the door: behind its last message. A topic that was made anew has none of what a former import wrote
 */
export async function openCheckpoint(
  what: Import,
  settings: Settings,
  ends: ReadonlyMap<number, number>,
): Promise<Checkpoint> {
  const { importer, sources, options, all } = what
  const target = [settings.brokers, settings.prefix, settings.stores]
  const name = createHash('sha256').update(
    JSON.stringify([importer.name, sources, options, all, target, process.cwd()]),
  )
  const path = join(DATA_FOLDER, 'crawl', `${name.digest('hex').slice(0, 32)}.json`)
  const text = await readFile(path, 'utf8').catch(() => null)
  const known = text === null ? null : parse(text)
  const isLost = Object.entries(known?.written ?? {}).some(([at, behind]) => behind > (ends.get(Number(at)) ?? 0))
  const found = isLost ? null : known
  const written = new Map(Object.entries(found?.written ?? {}))
  const places = new Map(Object.entries(found?.parts ?? {}))
  return {
    before: found?.counts ?? null,
    isLost,
    wrote({ partition, offset }) {
      written.set(String(partition), Math.max(offset + 1, written.get(String(partition)) ?? 0))
    },
    foundIn({ name, identity }) {
      const known = places.get(name)
      return known !== undefined && known.identity === identity ? known.found : 0
    },
    async save({ name, identity }, found, counts) {
      if (identity === null) return
      places.set(name, { identity, found })
      await writeDurably(
        path,
        JSON.stringify({ parts: Object.fromEntries(places), counts, written: Object.fromEntries(written) }),
      )
    },
    remove: () => rm(path, { force: true }),
  }
}

function parse(text: string): z.infer<typeof file> | null {
  try {
    return file.parse(JSON.parse(text))
  } catch {
    return null
  }
}
