import type { Envelope, MissingFact } from '../records.ts'

/** How items are supplied. A kind that is not named here never counts as complete. */
export const supplyKinds = ['web-crawl', 'licensed', 'purchased', 'partner', 'synthetic'] as const
export type SupplyKind = (typeof supplyKinds)[number]

/** What an investigator, or whoever answers for the training data, may need to know of an item. */
export const facts = {
  placeFound: {
    meaning: 'where it was found: the URL that was fetched, or of the page that showed it',
    fields: ['acquisition.finalUrl', 'acquisition.requestedUrl', 'origin.pageUrl'],
    holds: ({ acquisition, origin }) =>
      [acquisition?.finalUrl, acquisition?.requestedUrl, origin?.pageUrl].some((url) => isUrl(url)),
  },
  fetchedAt: {
    meaning: 'when it was fetched',
    fields: ['acquisition.fetchedAt'],
    holds: ({ acquisition }) => isTime(acquisition?.fetchedAt),
  },
  remoteAddress: {
    meaning: 'the IP address that served it',
    fields: ['acquisition.remoteAddress'],
    holds: ({ acquisition }) => isTold(acquisition?.remoteAddress),
  },
  uploader: {
    meaning: 'who uploaded it: id, handle or profile',
    fields: ['origin.uploaderId', 'origin.uploaderHandle', 'origin.uploaderProfileUrl'],
    holds: ({ origin }) => [origin?.uploaderId, origin?.uploaderHandle, origin?.uploaderProfileUrl].some(isTold),
  },
  lastSeen: {
    meaning: 'whether it was still reachable, and when that was seen',
    fields: ['liveness.lastSeenAt', 'liveness.status'],
    holds: ({ liveness }) => isTime(liveness?.lastSeenAt) && isTold(liveness?.status),
  },
  supplier: {
    meaning: 'who supplied it',
    fields: ['supply.supplier'],
    holds: ({ supply }) => isTold(supply?.supplier),
  },
  contract: {
    meaning: 'under which contract it was supplied',
    fields: ['supply.contract'],
    holds: ({ supply }) => isTold(supply?.contract),
  },
  dataset: {
    meaning: 'which dataset it came in',
    fields: ['supply.dataset'],
    holds: ({ supply }) => isTold(supply?.dataset),
  },
  generator: {
    meaning: 'what generated it',
    fields: ['synthetic.generator'],
    holds: ({ synthetic }) => isTold(synthetic?.generator),
  },
  licence: {
    meaning: 'under which licence it may be used',
    fields: ['rights.licence'],
    holds: ({ rights }) => isTold(rights?.licence),
  },
} as const satisfies Readonly<Record<string, Fact>>
export type FactName = keyof typeof facts

type Fact = {
  meaning: string
  /** the fields of the envelope, any of which tells it (all of them for `lastSeen`) */
  fields: readonly string[]
  holds: (envelope: Envelope) => boolean
}

/** The name under which an item without supply kind, or with one that is not known, is told. */
export const SUPPLY_KIND = 'supplyKind'

/** What becomes of an item that lacks a fact: it is held; it is marked as what would be held; it is counted. */
export const ruleModes = ['enforce', 'shadow', 'count'] as const
export type RuleMode = (typeof ruleModes)[number]

/** What policy asks to be known of an item. */
export type ProvenanceRules = {
  /** for items whose supply kind is not told or not known */
  supplyKind: RuleMode
  kinds: Readonly<Record<SupplyKind, Readonly<Partial<Record<FactName, RuleMode>>>>>
}

/** A fact that an envelope lacks, with the rule that asks for it. */
type Lack = { fact: string; mode: RuleMode }

const factNames = (Object.keys(facts) as FactName[]).sort()

/** The facts that policy asks for and the envelope lacks, in alphabetical order. */
export function lacks(envelope: Envelope, rules: ProvenanceRules): Lack[] {
  const kind = envelope.supply?.kind
  const known = supplyKinds.find((name) => name === kind)
  if (known === undefined) return [{ fact: SUPPLY_KIND, mode: rules.supplyKind }]
  return factNames.flatMap((fact) => {
    const mode = rules.kinds[known][fact]
    return mode === undefined || facts[fact].holds(envelope) ? [] : [{ fact, mode }]
  })
}

/** As verdicts and held items tell it. */
export function missingFacts(lacking: readonly Lack[]): MissingFact[] {
  return lacking.map(({ fact, mode }) => ({ fact, enforced: mode === 'enforce' }))
}

/** Whether an investigator could act on a hit: where it was found, who uploaded or supplied it, and whether it was still there. */
export function isActionable(envelope: Envelope): boolean {
  const { placeFound, uploader, supplier, lastSeen } = facts
  return (
    placeFound.holds(envelope) &&
    (uploader.holds(envelope) || supplier.holds(envelope)) &&
    (lastSeen.holds(envelope) || facts.fetchedAt.holds(envelope))
  )
}

/** What shows nothing: space, and what is not seen where it is printed. */
const shown = /[^\p{White_Space}\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u

function isTold(text: string | null | undefined): boolean {
  return typeof text === 'string' && shown.test(text)
}

/** Schemes of URLs that lead nowhere: they hold what they name, or mean something only where they were seen. */
const leadNowhere = new Set(['data:', 'blob:', 'javascript:', 'about:'])

function isUrl(text: string | null | undefined): boolean {
  const url = typeof text === 'string' ? URL.parse(text) : null
  return url !== null && !leadNowhere.has(url.protocol) && url.href !== url.protocol
}

function isTime(time: number | null | undefined): boolean {
  return typeof time === 'number' && time > 0
}
