import { hash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../canonical-json.ts'
import { SluiceError } from '../errors.ts'
import { isAscending, packNumbers, unpackNumbers } from './packed-numbers.ts'
import { isWho, LONGEST_WHY } from './replay-headers.ts'

const count = z.number().int().nonnegative()
/** More going first would be no canary. */
export const MOST_CANARY = 1000
/** Of an item; a number that no item comes to. */
export const MOST_ATTEMPTS = 1000
const digest = z.string().regex(/^[0-9a-f]{64}$/)

const planned = z.strictObject({
  version: z.literal(1),
  /** which door, of which cluster */
  cluster: z.string().min(1),
  topic: z.string().min(1),
  plannedAt: count,
  plannedBy: z.string().refine(isWho),
  why: z.string().min(1).max(LONGEST_WHY),
  /** by what the items were chosen, as it was said */
  filter: z.record(z.string(), z.unknown()),
  /** items that were replayed so often already were left out */
  attempts: count.max(MOST_ATTEMPTS),
  /** what the dry run stood on */
  policyHash: digest,
  listVersions: z.array(z.strictObject({ list: z.string(), version: z.string() })),
  /** ascending */
  partitions: z
    .array(
      z.strictObject({
        partition: count,
        items: count,
        /** ascending offsets on the door: packed, in base64 */
        offsets: z.base64(),
        /** of these, those that are certain to be held again, likewise */
        foreseen: z.base64(),
        /** their verdicts stand here on gate.verdicts: the first one's offset, and one beyond the last one's */
        verdictsFrom: count,
        verdictsTo: count,
        /** what is replayed first, and the outcome that the dry run foretold */
        canary: z.array(z.strictObject({ offset: count, expected: z.string().nullable() })).max(MOST_CANARY),
      }),
    )
    .min(1),
})

/** What is to be replayed. @property id sha256 of all the rest as canonical JSON */
export type ReplayPlan = Planned & { id: string }
export type Planned = z.infer<typeof planned>
export type PlannedPartition = Planned['partitions'][number]

export function planOf(content: Planned): ReplayPlan {
  return { ...content, id: idOf(content) }
}

/**
 * Reads a plan from its text.
 * @param file its name, for the sentence
 * @throws {SluiceError} PLAN_INVALID where it is none, or was changed
 */
export function parsePlan(text: string, file: string): ReplayPlan {
  const { id, ...content } = objectIn(text, file)
  const found = planned.safeParse(content)
  if (!found.success) {
    const [issue] = found.error.issues
    const where = issue === undefined || issue.path.length === 0 ? '' : `, field ${issue.path.join(' > ')}`
    throw new SluiceError('PLAN_INVALID', `${file}${where}: expected a plan as \`sluice replay plan\` writes it`)
  }
  const { partitions } = found.data
  const isWhole =
    isAscending(partitions.map(({ partition }) => partition)) &&
    partitions.every(({ items, offsets, foreseen, canary }) => {
      const numbers = offsetsIn(offsets)
      const among = new Set(numbers)
      return (
        numbers?.length === items &&
        isAscending(numbers) &&
        offsetsIn(foreseen)?.every((offset) => among.has(offset)) === true &&
        isAscending(canary.map(({ offset }) => offset)) &&
        canary.every(({ offset }) => among.has(offset))
      )
    })
  if (id !== idOf(found.data) || !isWhole) {
    throw new SluiceError('PLAN_INVALID', `${file} was changed after it was made: plan anew, \`sluice replay plan\``)
  }
  return planOf(found.data)
}

/** Ascending offsets for a plan. */
export function offsetsFor(numbers: readonly number[]): string {
  return packNumbers(numbers).toString('base64')
}

function offsetsIn(offsets: string): number[] | null {
  try {
    return unpackNumbers(Buffer.from(offsets, 'base64'))
  } catch {
    return null
  }
}

function idOf(content: Planned): string {
  return hash('sha256', canonicalJson(content))
}

function objectIn(text: string, file: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text))
  } catch (cause) {
    throw new SluiceError('PLAN_INVALID', `${file} is no plan: expected a file that \`sluice replay plan\` wrote`, {
      cause,
    })
  }
}
