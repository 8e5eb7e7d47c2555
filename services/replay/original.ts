import { hash } from 'node:crypto'
import avro from 'avsc'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import type { Coordinates, HeldOriginal } from '../domain/records.ts'
import type { Store } from '../platform/stores/store.ts'

/** A message of the door with its headers, and what a container adds to it, is far shorter. */
const LONGEST = 64 * 1024 * 1024

const bytes = z.instanceof(Buffer)
const original: z.ZodType<HeldOriginal> = z.object({
  input: z.object({ cluster: z.string(), topic: z.string(), partition: z.number(), offset: z.number() }),
  timestamp: z.number(),
  key: bytes.nullable(),
  value: bytes.nullable(),
  headers: z.array(z.object({ name: z.string(), value: bytes.nullable() })),
})

/**
 * A held message as it came through the door, to the byte.
 * @param reference of its verdict
 * @returns null where the held store has it no more, or it is not what the gate has put there
 * @throws {SluiceError} STORE_UNREACHABLE
 */
export async function readOriginal(store: Store, reference: string, input: Coordinates): Promise<HeldOriginal | null> {
  const container = await store.read(reference, LONGEST).catch((error: unknown) => {
    if (error instanceof SluiceError && error.fault === 'item') return null
    throw error
  })
  if (container === null || hash('sha256', container) !== reference) return null
  const found = await firstIn(container)
  return found !== null && areEqual(found.input, input) ? found : null
}

/** The first object of an Avro container; null where it holds none of ours. */
async function firstIn(container: Buffer): Promise<HeldOriginal | null> {
  // It carries the schema that it was written by, which may be an older one.
  const decoder = new avro.streams.BlockDecoder()
  decoder.end(container)
  try {
    for await (const value of decoder) return original.parse(value)
    return null
  } catch {
    return null
  }
}

function areEqual(one: Coordinates, other: Coordinates): boolean {
  return (
    one.cluster === other.cluster &&
    one.topic === other.topic &&
    one.partition === other.partition &&
    one.offset === other.offset
  )
}
