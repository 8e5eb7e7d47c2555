import { coordinatesText } from '../domain/coordinates.ts'
import { evidenceFaults } from '../domain/errors.ts'
import { type FactName, facts, isActionable } from '../domain/judge/provenance.ts'
import { type Explanation, reasons } from '../domain/reasons.ts'
import { isRecalled } from '../domain/recall.ts'
import type { CleanPayload, Envelope, Match } from '../domain/records.ts'
import { timeText } from '../domain/time-text.ts'
import type { EnvelopeState, Passage, ReceiptStanding } from './find-passages.ts'
import { masked } from './masks.ts'

/** How complete what is known of an item is. */
export type Completeness = { known: FactName[]; unknown: FactName[]; actionable: boolean }

/** Where an item's bytes are: references into stores, null where nothing of it lies there. */
export type Whereabouts = {
  store: 'clean' | 'held'
  /** sha256 of the payload; null where there were no bytes to look at */
  payload: string | null
  /** sha256 of the original record */
  original: string | null
}

/** A passage as it is told to people, or printed as JSON; texts that lead to content or people are masked unless they were asked for. */
export type ToldPassage = Pick<Passage, 'verdict' | 'key' | 'recall'> & {
  reasons: Array<{ code: string } & Explanation>
  /** the envelope, its texts masked or not */
  envelope: unknown
  envelopeState: EnvelopeState
  completeness: Completeness | null
  bytes: Whereabouts
  /** as gate.clean tells it; null where it was not cleared or that can't be read */
  clean: (CleanPayload & { receipt: ReceiptStanding | null }) | null
}

const unknownReason: Explanation = {
  meaning: 'a reason that this version of sluice does not know',
  action: 'Look it up with the version that judged it.',
}

/** @param reveal whether texts that lead to content or to people are shown as they are */
export function toldPassage(
  { key, verdict, envelope, envelopeState, clean, receipt, recall }: Passage,
  reveal: boolean,
): ToldPassage {
  return {
    key,
    verdict,
    reasons: verdict.reasons.map((code) => ({ code, ...explanationOf(code) })),
    envelope: reveal ? envelope : masked(envelope),
    envelopeState,
    completeness: envelope === null ? null : completenessOf(envelope),
    bytes: {
      store: verdict.outcome === 'clean' && !isSetAside(verdict, recall) ? 'clean' : 'held',
      payload: clean?.payload.reference ?? verdict.sha256,
      original: verdict.heldReference,
    },
    recall,
    clean: clean === null ? null : { ...clean.payload, receipt },
  }
}

/** Withdrawn, it does not come back by itself: only what was cleared after that lies in the clean store. */
function isSetAside({ judgedAt }: Passage['verdict'], recall: Passage['recall']): boolean {
  return recall !== null && (isRecalled(recall) || judgedAt < recall.recalledAt)
}

function explanationOf(code: string): Explanation {
  return new Map<string, Explanation>(Object.entries(reasons)).get(code) ?? unknownReason
}

function completenessOf(envelope: Envelope): Completeness {
  const names = Object.keys(facts) as FactName[]
  return {
    known: names.filter((fact) => facts[fact].holds(envelope)),
    unknown: names.filter((fact) => !facts[fact].holds(envelope)),
    actionable: isActionable(envelope),
  }
}

/** A line of a section: what it is, and its text as it came, which is not yet fit for a terminal. */
export type Row = readonly [label: string, text: string]
export type Section = { title: string; rows: Row[] }

/** Which fields of the envelope stand in which section, under which name, in this order; what is not here is told at the end. */
const envelopeSections: ReadonlyArray<
  readonly [title: string, ...fields: Array<readonly [label: string, path: string]>]
> = [
  ['item', ['claimed type', 'item.mediaTypeClaimed'], ['collected', 'item.collectedAt']],
  [
    'source',
    ['kind', 'supply.kind'],
    ['dataset', 'supply.dataset'],
    ['version', 'supply.version'],
    ['shard', 'supply.shard'],
    ['row', 'supply.row'],
    ['generator', 'synthetic.generator'],
    ['source type', 'synthetic.digitalSourceType'],
  ],
  ['supplier', ['name', 'supply.supplier'], ['contract', 'supply.contract']],
  [
    'fetch',
    ['requested', 'acquisition.requestedUrl'],
    ['redirect', 'acquisition.redirects'],
    ['final', 'acquisition.finalUrl'],
    ['status', 'acquisition.status'],
    ['address', 'acquisition.remoteAddress'],
    ['at', 'acquisition.fetchedAt'],
    ['crawler', 'acquisition.crawler'],
    ['run', 'acquisition.run'],
    ['WARC file', 'acquisition.warcFile'],
    ['WARC offset', 'acquisition.warcOffset'],
    ['WARC record', 'acquisition.warcRecordId'],
    ['cut short', 'acquisition.truncated'],
    ['md5', 'acquisition.fetchedMd5'],
    ['sha1', 'acquisition.fetchedSha1'],
    ['sha256', 'acquisition.fetchedSha256'],
  ],
  [
    'origin',
    ['page', 'origin.pageUrl'],
    ['title', 'origin.pageTitle'],
    ['caption', 'origin.caption'],
    ['platform', 'origin.platform'],
    ['uploader id', 'origin.uploaderId'],
    ['uploader', 'origin.uploaderHandle'],
    ['profile', 'origin.uploaderProfileUrl'],
    ['uploaded', 'origin.uploadedAtClaimed'],
  ],
  ['liveness', ['last seen', 'liveness.lastSeenAt'], ['status', 'liveness.status']],
  ['rights', ['licence', 'rights.licence'], ['robots', 'rights.robots'], ['opt-out', 'rights.tdmOptOut']],
]
/** Told elsewhere, or by a section of their own. */
const toldApart = ['item.id', 'acquisition.responseHeaders', 'amendments', 'extra']
const times = new Set([
  'item.collectedAt',
  'acquisition.fetchedAt',
  'origin.uploadedAtClaimed',
  'liveness.lastSeenAt',
  'addedAt',
])
const envelopeAbsence: Readonly<Record<Exclude<EnvelopeState, 'told'>, string>> = {
  denied: 'gate.envelopes may not be read by this principal: nothing is told of where it comes from',
  'left-out': 'too much to be told with the others: ask for this passage by its coordinates',
  absent: 'gate.envelopes has none for this passage',
}

/** The whole chain of a passage, from the door to where its bytes are. */
export function sectionsOf(told: ToldPassage): Section[] {
  const { verdict, key, envelope, envelopeState, completeness } = told
  const door: Section = {
    title: 'door',
    rows: [
      ['coordinates', coordinatesText(verdict.input)],
      ['at', timeText(verdict.inputTimestamp)],
      ['item id', verdict.itemId ?? 'none that is well-formed'],
      ...(verdict.itemId === null || key === verdict.itemId ? [] : ([['key', 'is not the item id']] as const)),
      ...(verdict.replay === null
        ? []
        : ([
            [
              'replay',
              `says that it is number ${verdict.attempt} of ${verdict.replay.origin}, by run ${verdict.replay.run} of ${verdict.replay.who}`,
            ],
          ] as const)),
    ],
  }
  const known =
    envelopeState === 'told'
      ? aboutEnvelope(envelope)
      : [{ title: 'envelope', rows: [['none', envelopeAbsence[envelopeState]] as const] }]
  return [
    door,
    ...known,
    ...(completeness === null ? [] : [aboutCompleteness(completeness)]),
    aboutVerdict(told),
    aboutRecall(told),
    aboutBytes(told),
  ].filter(({ rows }) => rows.length > 0)
}

function aboutEnvelope(envelope: unknown): Section[] {
  const leaves = leavesOf(envelope)
  const sections = envelopeSections.map(([title, ...fields]): Section => {
    return {
      title,
      rows: fields.flatMap(([label, path]) => {
        const found = leaves.filter((leaf) => leaf.path === path)
        return found.map(({ value }): Row => [label, textOf(path, value)])
      }),
    }
  })
  const named = new Set(envelopeSections.flatMap(([, ...fields]) => fields.map(([, path]) => path)))
  const others = leaves.filter(({ path }) => {
    return !named.has(path) && !toldApart.some((apart) => path === apart || path.startsWith(`${apart}.`))
  })
  return [
    ...sections,
    { title: 'headers', rows: listIn(envelope, 'acquisition', 'responseHeaders').map(headerRow) },
    {
      title: 'amendments',
      rows: listIn(envelope, 'amendments').flatMap((amendment): Row[] =>
        leavesOf(amendment).map(({ path, value }) => [path, textOf(path, value)]),
      ),
    },
    { title: 'extra', rows: leavesOf(at(envelope, 'extra')).map(({ path, value }): Row => [path, String(value)]) },
    { title: 'claims', rows: others.map(({ path, value }): Row => [path, textOf(path, value)]) },
  ]
}

function headerRow(header: unknown): Row {
  return [String(at(header, 'name')), String(at(header, 'value'))]
}

function aboutCompleteness({ known, unknown, actionable }: Completeness): Section {
  return {
    title: 'completeness',
    rows: [
      ['known', known.join(', ') || 'nothing'],
      ['unknown', unknown.join(', ') || 'nothing'],
      ['actionable', actionable ? 'yes: where found, who, and when' : 'no: it lacks where found, who, or when'],
    ],
  }
}

function aboutVerdict({ verdict, reasons: why }: ToldPassage): Section {
  const { mediaType, size, sha256 } = verdict
  return {
    title: 'verdict',
    rows: [
      ['outcome', verdict.outcome],
      ['at', timeText(verdict.judgedAt)],
      ['bytes', size === null ? 'none to look at' : `${size} bytes, ${mediaType ?? 'of unknown media type'}`],
      ...(sha256 === null ? [] : ([['sha256', sha256]] as const)),
      ['hashes', String(verdict.signals)],
      ...why.map(({ code, meaning, action }): Row => ['reason', `${code}: ${meaning}. ${action}`]),
      ...verdict.matches.map((match): Row => ['match', matchText(match)]),
      ...verdict.missing.map(
        ({ fact, enforced }): Row => [
          'missing',
          `${fact}: ${meaningOf(fact)} (${enforced ? 'held for it' : 'counted'})`,
        ],
      ),
      ['policy', verdict.policyHash],
      ...verdict.listVersions.map(({ list, version }): Row => ['list', `${list}, version ${version}`]),
      ['engine', `version ${verdict.engineVersion}`],
    ],
  }
}

function aboutRecall({ recall }: ToldPassage): Section {
  if (recall === null) return { title: 'recall', rows: [] }
  const { state, recalledAt, acceptedBy, acceptedReason, matches } = recall
  return {
    title: 'recall',
    rows: [
      ['state', state],
      ['at', timeText(recalledAt)],
      ...matches.map((match): Row => ['match', matchText(match)]),
      ...(acceptedBy === null ? [] : ([['accepted', `by ${acceptedBy}: ${acceptedReason}`]] as const)),
    ],
  }
}

function matchText(match: Match): string {
  const { list, listVersion, entry, signal, distance, quality, frame, transform } = match
  const parts = [
    `${match.class} on ${list} (version ${listVersion}), entry ${entry}`,
    `${signal} at distance ${distance}`,
    ...(quality === null ? [] : [`quality ${quality}`]),
    `frame ${frame}, ${transform}`,
    ...(match.classification === null ? [] : [`classified ${match.classification}`]),
    ...(match.standing === 'positive' ? [] : [`entry ${match.standing}`]),
    match.enforced ? 'enforced' : 'in shadow',
  ]
  return parts.join('; ')
}

function meaningOf(fact: string): string {
  return new Map<string, { meaning: string }>(Object.entries(facts)).get(fact)?.meaning ?? 'how it was supplied'
}

function aboutBytes({ bytes, clean }: ToldPassage): Section {
  const where = `${bytes.store} store`
  return {
    title: 'bytes',
    rows: [
      ...(bytes.payload === null ? [] : ([['payload', `${where}, ${bytes.payload}`]] as const)),
      ...(bytes.original === null ? [] : ([['message', `${where}, ${bytes.original}`]] as const)),
      ...(clean === null ? [] : ([['receipt', receiptText(clean.receipt)]] as const)),
    ],
  }
}

function receiptText(receipt: ReceiptStanding | null): string {
  if (receipt === 'holds') return 'holds: a gate has signed for this item'
  if (receipt === 'unchecked' || receipt === null) return 'not checked: SLUICE_KEYRING names no file'
  return `does NOT hold: ${evidenceFaults[receipt]} (${receipt})`
}

type Leaf = { path: string; value: string | number | boolean }

/** Everything that is told in a value, by dotted path, in its order; a list's members all have the list's path. */
function leavesOf(value: unknown, path = ''): Leaf[] {
  if (Array.isArray(value)) return value.flatMap((one) => leavesOf(one, path))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([name, inner]) => leavesOf(inner, path === '' ? name : `${path}.${name}`))
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [{ path, value }] : []
}

function textOf(path: string, value: Leaf['value']): string {
  return typeof value === 'number' && times.has(path) ? timeText(value) : String(value)
}

function at(value: unknown, ...names: string[]): unknown {
  return names.reduce<unknown>((inner, name) => Reflect.get(Object(inner), name), value)
}

function listIn(value: unknown, ...names: string[]): unknown[] {
  const found = at(value, ...names)
  return Array.isArray(found) ? found : []
}
