import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../canonical-json.ts'
import { parseCheckedYaml } from '../checked-yaml.ts'
import { LIST_NAME } from '../hash-list.ts'
import { standings } from '../standing.ts'
import { type FactName, facts, ruleModes, supplyKinds } from './provenance.ts'
import { rightsSignals } from './rights.ts'

/** The standings for which policy sets what a match leads to. */
export const doubtedStandings = standings.filter((standing) => standing !== 'positive')
const positive = z.number().int().positive()
const quality = z.number().int().min(0).max(100)
const rule = z.enum(ruleModes)
const factNames = Object.keys(facts) as FactName[]
const rightsMode = z.enum(['off', 'shadow', 'enforce'])
const standingMode = z.enum(['enforce', 'review', 'shadow', 'off'])

/** The policy file's shape; `schemas/policy.schema.json` is written from it. Every key is required and unknown keys are errors. */
export const policySchema = z.strictObject({
  version: z.literal(1).describe('Version of this file format'),
  limits: z
    .strictObject({
      payloadBytes: positive.describe('Longest payload that is inspected, in bytes; a longer one is quarantined'),
      pixels: positive.describe('Most pixels of a picture or frame, width times height'),
      frames: positive.describe('Most frames of an animation that are hashed; beyond them the item is quarantined'),
      scanSeconds: z.number().positive().max(3600).describe('Longest inspection of one item, in seconds'),
    })
    .describe('Beyond these an item is held, never cleared'),
  pdq: z
    .strictObject({
      near: z
        .strictObject({
          distance: z.number().int().min(0).max(31).describe('Hamming distance in bits'),
          quality: quality.describe("Least quality of the item's hash"),
        })
        .describe('Searched for every frame, orientation and variant; a match is quarantined'),
      wide: z
        .strictObject({
          distance: z.number().int().min(0).max(47).describe('Hamming distance in bits; not below near.distance'),
          quality: quality.describe("Least quality of the item's hash"),
        })
        .describe('Searched for the picture as it stands only; a match goes to review'),
    })
    .refine((pdq) => pdq.wide.distance >= pdq.near.distance, {
      path: ['wide', 'distance'],
      message: 'expected a distance that is not below near.distance',
    })
    .describe('The two tiers of perceptual matching'),
  lists: z
    .record(
      z.string().regex(LIST_NAME),
      z.strictObject({
        mode: z.enum(['enforce', 'shadow']).describe('shadow: matches are recorded, without effect on the outcome'),
        maxAgeHours: z.number().positive().describe('The gate pauses when the list was last checked longer ago'),
        leastMatchable: z
          .number()
          .min(0)
          .max(1)
          .describe("The gate pauses when it can match fewer of the list's entries than this share, 0..1"),
      }),
    )
    .refine((lists) => Object.keys(lists).length > 0, 'expected at least one list')
    .describe(
      'The hash lists that the gate requires, by name; a list that is not named here is enforced, not required',
    ),
  standings: z
    .record(z.enum(doubtedStandings), standingMode)
    .describe(
      'What a match leads to where the entry is not simply positive: enforce (as if it were), review, shadow (marked) or off (as if it were not there)',
    ),
  provenance: z
    .strictObject({
      supplyKind: rule.describe('For an item whose supply kind is not told, or is none of the kinds'),
      kinds: z
        .record(z.enum(supplyKinds), z.partialRecord(z.enum(factNames), rule))
        .describe('For each supply kind the facts that are asked for'),
    })
    .describe(
      'What must be known of an item. enforce: what lacks it is quarantined; shadow: what would be is marked; count: it is counted',
    ),
  flood: z
    .strictObject({
      entryItems: positive.describe('Most items that one entry may hold'),
      versionItems: positive.describe('Most items that one version of a list may hold'),
      minutes: positive.describe('While the gate judges: within this time'),
    })
    .describe(
      'Beyond these, a new version is not made and recalls nothing until a person says so, and a version in force makes the gate wait',
    ),
  shrink: z
    .strictObject({
      share: z.number().min(0).max(1).describe("Largest share of a list's entries that a new version may lack, 0..1"),
    })
    .describe('Beyond this, a new version is not made until a person says so'),
  rights: z
    .record(z.enum(rightsSignals), rightsMode)
    .describe(
      'What follows from a signal by which an owner reserves rights: off, shadow (marked) or enforce (quarantined)',
    ),
})

/** What the gate is told to do: limits, distances, and the lists it must have. */
export type Policy = z.infer<typeof policySchema>
export type StandingMode = z.infer<typeof standingMode>
/** The two PDQ tiers of a policy; distances in bits, qualities 0..100. */
export type PdqTiers = Policy['pdq']

/**
 * Parses and checks a policy file.
 * @param text YAML
 * @param fileName only for messages
 * @returns the policy, and its hash: lower-case hex sha256 over the canonical JSON (keys sorted, no white space) of what was
 *   parsed, so that comments and layout do not change it
 * @throws {SluiceError} POLICY_INVALID naming file, line, field and what was expected
 */
export function parsePolicy(text: string, fileName: string): { policy: Policy; hash: string } {
  const policy = parseCheckedYaml(text, fileName, policySchema, 'POLICY_INVALID')
  return { policy, hash: sha256(canonicalJson(policy)) }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
