import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { readLines } from '../../platform/read-lines.ts'
import { writeDurably } from '../../platform/write-durably.ts'

/** Beside the dataset: what was taken out of it, and why. */
export const REDACTIONS_FILE = 'redacted.jsonl'
const LONGEST_LINE = 4096

const redactionSchema = z.strictObject({
  key: z.string().regex(/^[0-9a-f]{32}$/),
  shard: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  recall: z.strictObject({
    cluster: z.string(),
    topic: z.string(),
    partition: z.int(),
    offset: z.int(),
    state: z.string(),
    recalledAt: z.int(),
  }),
})
/** An item that was taken out. @property recall the record that took it back */
export type Redaction = z.infer<typeof redactionSchema>

export const redactedSchema = z.strictObject({
  items: z.int().nonnegative(),
  sha256: z.string().nullable(),
  size: z.int(),
})
/** What a dataset has of such a file. @property sha256 of the file; null where nothing was ever taken out */
export type Redacted = z.infer<typeof redactedSchema>

/**
 * Reads what was taken out so far.
 * @throws {Error} where a line is none, or the file can't be read
 */
export async function readRedactions(file: string, onRedaction: (redaction: Redaction) => void): Promise<Redacted> {
  if (!existsSync(file)) return { items: 0, sha256: null, size: 0 }
  const whole = createHash('sha256')
  let [items, size] = [0, 0]
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const part of createReadStream(file)) {
      whole.update(part)
      size += part.length
      yield part
    }
  }
  for await (const { bytes } of readLines(hashed(), LONGEST_LINE)) {
    onRedaction(redactionSchema.parse(JSON.parse(bytes.toString('utf8'))))
    items += 1
  }
  return { items, sha256: whole.digest('hex'), size }
}

/** Writes all of them, durably. */
export async function writeRedactions(folder: string, redactions: readonly Redaction[]): Promise<void> {
  await writeDurably(join(folder, REDACTIONS_FILE), redactions.map((one) => `${JSON.stringify(one)}\n`).join(''))
}
