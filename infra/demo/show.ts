import { reasons as meanings } from '../../services/domain/reasons.ts'
import { asTable } from '../../services/platform/table.ts'
import type { CorpusItem } from './corpus.ts'
import type { Result } from './result.ts'

/** Items per topic and per reason, for people. */
export function itemTables({ produced, clean, quarantine, review, verdicts, envelopes, reasons }: Result): string {
  const topics = asTable(
    ['topic', 'items'],
    [
      ['crawl.items', produced],
      ['gate.clean', clean],
      ['gate.quarantine', quarantine],
      ['gate.review', review],
      ['gate.verdicts', verdicts],
      ['gate.envelopes', envelopes],
    ],
  )
  const known = new Map(Object.entries(meanings))
  const rows = Object.entries(reasons)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, items]) => [reason, items, known.get(reason)?.meaning ?? null])
  return `${topics}\n${asTable(['reason', 'items', 'meaning'], rows)}`
}

/** Why one item is held, and where it was found. */
export function explainOne({ example }: Result): string {
  if (example === null) return 'No item is held by a match with a list.'
  const { verdict, envelope } = example
  const { input, itemId, outcome, reasons, matches, listVersions } = verdict
  const match = matches[0]
  const version = listVersions.find(({ list }) => list === match?.list)?.version ?? 'unknown'
  const origin = envelope?.origin
  const supply = envelope?.supply
  const acquisition = envelope?.acquisition
  const rows: [string, string | null | undefined][] = [
    ['item', `${itemId} at ${input.topic}, partition ${input.partition}, offset ${input.offset}`],
    ['outcome', `${outcome}: ${reasons.join(', ')}`],
    ['list', match && `${match.list}, version ${version}`],
    ['entry', match && `${match.entry}${match.classification === null ? '' : ` (${match.classification})`}`],
    ['distance', match && `${match.distance} of 256 bits by ${match.signal}: ${match.class}`],
    ['transform', match && `${match.transform}, frame ${match.frame}`],
    ['quality', match && match.quality !== null ? `${match.quality} of 100` : null],
    ['found at', origin?.pageUrl ?? acquisition?.finalUrl ?? 'not told: the item came without a sidecar'],
    ['fetched from', acquisition?.finalUrl],
    ['fetched', time(acquisition?.fetchedAt)],
    [
      'uploaded by',
      origin && [origin.uploaderHandle, origin.uploaderProfileUrl].filter((word) => word !== null).join(', '),
    ],
    ['uploaded', time(origin?.uploadedAtClaimed)],
    [
      'supplied by',
      supply && [supply.kind, supply.supplier, supply.dataset].filter((word) => word !== null).join(', '),
    ],
    ['last seen', envelope?.liveness && `${envelope.liveness.status}, ${time(envelope.liveness.lastSeenAt)}`],
  ]
  const told = rows.filter(([, text]) => text)
  return [
    ...told.map(([name, text]) => `  ${name.padEnd(13)} ${text}`),
    '  Where it was found comes from gate.envelopes, and is shown here because this is a demo:',
    '  screens for on-call show item ids, coordinates, reasons and distances, never a URL, an uploader or a title.',
  ].join('\n')
}

function time(milliseconds: number | null | undefined): string | null {
  return milliseconds === null || milliseconds === undefined ? null : new Date(milliseconds).toISOString()
}

/** Share of cropped pictures that a perceptual hash has to find; it promises less for them than for the rest. */
const CROPS_FOUND = 0.9

/**
 * Holds the outcomes of the stand-in corpus against what they should be.
 * @returns lines for people: what is wrong, and which crops were not found although enough of them were
 */
export function compareWithExpected(
  result: Result,
  items: readonly CorpusItem[],
): { wrong: string[]; missedCrops: string[] } {
  const crops = items.filter(({ expected }) => expected === 'held')
  const missedCrops = unexpected(result, crops)
  const others = unexpected(
    result,
    items.filter(({ expected }) => expected !== 'held'),
  )
  const enough = missedCrops.length <= crops.length * (1 - CROPS_FOUND)
  return enough ? { wrong: others, missedCrops } : { wrong: [...others, ...missedCrops], missedCrops: [] }
}

function unexpected({ outcomes }: Result, items: readonly CorpusItem[]): string[] {
  return items.flatMap(({ path, sha256, expected, reason }) => {
    const found = outcomes.get(sha256)
    const right = expected === 'held' ? found !== undefined && found.outcome !== 'clean' : found?.outcome === expected
    if (right && (reason === null || found?.reasons.includes(reason))) return []
    return [
      `${path}: ${found?.outcome ?? 'no outcome'}, expected ${expected}${reason === null ? '' : ` with ${reason}`}`,
    ]
  })
}
