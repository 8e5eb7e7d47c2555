import { SluiceError } from '../domain/errors.ts'
import { isInspected } from '../domain/media-types.ts'
import { sniffMediaType } from '../platform/sniff-media-type.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Collected } from './door-message.ts'
import { countBad, countLeftOut, type ImportCounts } from './import-counts.ts'
import type { ImportProgress } from './import-progress.ts'
import type { Found, Import, Part } from './importer.ts'
import type { Publisher } from './producer.ts'

/** Items that are on their way to the producer at once, each perhaps into a store first, and their payloads' bytes; one larger one goes alone. */
const AT_ONCE = { items: 32, bytes: 8 * 1_048_576 }
/** Where an import stands is written down about this often, in ms: what was published since is published again after a crash. */
const CHECKPOINT_EVERY_MS = 1000

/**
 * Publishes what an importer finds. Where a former run was cut off, its checkpoint says how far everything was written, and this
 * one goes on from there: what was under way then is published again, with the same ids, and nothing is left out.
 * @param parts all that the sources have
 * @param counts and `progress`: told on the way
 * @throws {SluiceError} of the surroundings, or USAGE for the sources; the checkpoint stays
 */
export async function publishAll(
  what: Pick<Import, 'all'>,
  parts: readonly Part[],
  publisher: Publisher,
  checkpoint: Checkpoint,
  counts: ImportCounts,
  progress: ImportProgress,
): Promise<void> {
  const handing = createHanding(async (one: Found) => {
    await take(one, what.all, counts, async (collected) => {
      const { carriage, written } = await publisher.publish(collected)
      // Where it can't be written, flush says so.
      written.then(checkpoint.wrote, () => undefined)
      if (carriage === 'inline') counts.inline++
      else counts.byReference++
    })
  })
  const save = async (part: Part, found: number | 'all'): Promise<void> => {
    await handing.settled()
    await publisher.flush()
    await checkpoint.save(part, found, counts)
  }
  let savedAt = performance.now()
  /** @returns how many things were found */
  const publishPart = async (part: Part, done: number): Promise<number> => {
    let found = 0
    for await (const one of part.read()) {
      found += one.kind === 'bad' ? (one.standsFor ?? 1) : 1
      progress.saw(one)
      if (found <= done) continue
      await handing.put(one)
      if (performance.now() - savedAt < CHECKPOINT_EVERY_MS) continue
      await save(part, found)
      savedAt = performance.now()
    }
    return found
  }
  for (const part of parts) {
    progress.begin(part)
    const before = checkpoint.foundIn(part)
    if (before === 'all') {
      progress.end(part)
      continue
    }
    // A part that ends before what was done is not what it was, whatever its identity says: nobody knows what has been left out.
    if ((await publishPart(part, before)) < before) await publishPart(part, 0)
    await save(part, 'all')
    savedAt = performance.now()
    progress.end(part)
  }
  await checkpoint.remove()
}

/** Does some work for several found things at once: a durable write for one need not wait for another's. */
function createHanding(work: (found: Found) => Promise<void>) {
  const underWay = new Set<Promise<void>>()
  let bytes = 0
  return {
    /**
     * Resolves when there is room for more.
     * @throws what the work for an earlier one has thrown
     */
    async put(found: Found): Promise<void> {
      const weight = found.kind === 'item' ? found.collected.payload.length : 0
      while (underWay.size >= AT_ONCE.items || (underWay.size > 0 && bytes + weight > AT_ONCE.bytes))
        await Promise.race(underWay)
      bytes += weight
      const done = work(found).then(() => {
        bytes -= weight
        underWay.delete(done)
      })
      // It stays among the others, and comes out with the next look at them.
      done.catch(() => undefined)
      underWay.add(done)
    },
    async settled(): Promise<void> {
      await Promise.all(underWay)
    },
  }
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
