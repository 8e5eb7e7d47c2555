import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import type { HeldCount } from '../domain/flood.ts'
import type { PlacedVersion } from '../domain/list-news.ts'
import type { Match, RecallRecord } from '../domain/records.ts'
import { writeDurably } from '../platform/write-durably.ts'

/** By partition. */
export type Positions = ReadonlyMap<number, number>
/** A version of a list, as far as it matters here: equal digests, equal entries. */
export type ComparedVersion = Omit<PlacedVersion, 'offset'>

/** Whether a version, of whatever name, is among those: one with the same entries, of which the same are in shadow. */
export function hasVersion(versions: readonly ComparedVersion[], wanted: ComparedVersion): boolean {
  const contentOf = ({ digest, shadowed }: ComparedVersion) => ({ digest, shadowed })
  return versions.some((one) => one.list === wanted.list && isDeepStrictEqual(contentOf(one), contentOf(wanted)))
}

/** Something that was cleared and that a list holds now; by the first of its items. */
export type Hit = Pick<RecallRecord, 'sha256' | 'input' | 'matches'> & {
  /** of the item on the door; milliseconds since the epoch */
  inputTimestamp: number
}

/** Who let more be recalled than policy allows, and why. */
export type Acceptance = { by: string; reason: string }

/** How far everything ever cleared has been compared. */
export type Places = {
  /** next offsets on gate.verdicts */
  verdicts: Positions
  /** of the verdicts before these, the greatest offset on the door */
  door: Positions
  /** next offsets on gate.envelopes */
  envelopes: Positions
}

/** A comparison with certain versions that is under way, or waits for a person. */
export type SavedPass = Places & {
  versions: ComparedVersion[]
  /** by list, the offset on gate.hash-entries behind which its entries are compared */
  after: ReadonlyMap<string, number>
  hits: Hit[]
  counts: HeldCount[]
  /** lists that hold more than policy allows: what they hold is only counted */
  flooded: string[]
  /** null while nobody has accepted a flood of these versions */
  accepted: Acceptance | null
}

/** What survives the process. */
export type Progress = Places & {
  /** what is before the places has been compared with these */
  versions: ComparedVersion[]
  pass: SavedPass | null
}

export type ProgressFile = {
  /** @returns null where there is none of this cluster, or it is damaged */
  read(): Promise<Progress | null>
  write(progress: Progress): Promise<void>
}

const after = z.array(z.tuple([z.string(), z.number()])).transform((pairs) => new Map(pairs))
const positions = z.array(z.tuple([z.number(), z.number()])).transform((pairs) => new Map(pairs))
const coordinates = z.object({ cluster: z.string(), topic: z.string(), partition: z.number(), offset: z.number() })
const match: z.ZodType<Match> = z.object({
  list: z.string(),
  listVersion: z.string(),
  entry: z.string(),
  signal: z.string(),
  distance: z.number(),
  quality: z.number().nullable(),
  frame: z.number(),
  transform: z.string(),
  class: z.string(),
  enforced: z.boolean(),
  classification: z.string().nullable(),
  standing: z.string(),
})
const hit = z.object({ sha256: z.string(), input: coordinates, matches: z.array(match), inputTimestamp: z.number() })
const count = z.object({
  list: z.string(),
  version: z.string(),
  items: z.number(),
  entries: z.record(z.string(), z.number()),
})
const accepted = z.object({ by: z.string(), reason: z.string() }).nullable()
const versions = z.array(
  z.object({ list: z.string(), version: z.string(), digest: z.string(), shadowed: z.array(z.string()) }),
)
const places = { verdicts: positions, door: positions, envelopes: positions }
const content = z.object({
  cluster: z.string(),
  ...places,
  versions,
  pass: z
    .object({
      ...places,
      versions,
      after,
      hits: z.array(hit),
      counts: z.array(count),
      flooded: z.array(z.string()),
      accepted,
    })
    .nullable(),
})

/**
 * How far recall is, in a file of its own. It is no more than that: without it everything is compared again, and comes to the same. So it needs no
 * topic, and nobody but recall ever reads it.
 * @param cluster id: of another cluster, nothing in it counts
 */
export function openProgress(folder: string, prefix: string, cluster: string): ProgressFile {
  const path = join(folder, `${prefix}progress.json`)
  return {
    async read() {
      const text = await readFile(path, 'utf8').catch(() => null)
      const known = text === null ? null : parse(text)
      return known?.cluster === cluster ? known : null
    },
    async write(progress) {
      await writeDurably(
        path,
        JSON.stringify({ cluster, ...progress }, (_, value) => (value instanceof Map ? [...value] : value)),
      )
    },
  }
}

function parse(text: string): z.infer<typeof content> | null {
  try {
    return content.parse(JSON.parse(text))
  } catch {
    return null
  }
}
