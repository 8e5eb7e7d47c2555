import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'

/** Header of a hash list file, as `sluice lists import` reads it. */
const COLUMNS = ['id', 'md5', 'sha1', 'sha256', 'pdq', 'quality', 'classification']
const CLASSIFICATION = 'stand-in'
const LIMITS = { pixels: 50_000_000, frames: 1, seconds: 30 }

/**
 * Writes a hash list of harmless pictures that shall count as known; what is no picture is left out.
 * @returns how many there are
 */
export async function writeStandInList(
  file: string,
  pictures: AsyncIterable<Listed> | Iterable<Listed>,
): Promise<number> {
  const lines: string[] = []
  for await (const { id, bytes } of pictures) {
    const { fingerprint } = await inspectPayload(bytes, LIMITS)
    const first = fingerprint[0]
    if (first === undefined) continue
    const digests = ['md5', 'sha1', 'sha256'].map((name) => createHash(name).update(bytes).digest('hex'))
    lines.push([id, ...digests, first.value.toString('hex'), first.quality, CLASSIFICATION].join(','))
  }
  await writeFile(file, `${[COLUMNS.join(','), ...lines].join('\n')}\n`)
  return lines.length
}

export type Listed = { id: string; bytes: Uint8Array }
