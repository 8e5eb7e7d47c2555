import { hash } from 'node:crypto'
import { ENGINE_VERSION } from '../../services/domain/engine.ts'
import { orientations } from '../../services/domain/pdq.ts'
import type { Match, Signal, VerdictRecord } from '../../services/domain/records.ts'
import { exactMatch } from '../domain/exact-match.ts'
import type { Bench } from '../integration/harness.ts'

const AT_ONCE = 2000
export const FIRST_JUDGED = Date.UTC(2026, 0, 1)

/** A picture near an entry of a list, which holds it. */
export function nearMatch(list: string, entry: string, more: Partial<Match> = {}): Match {
  const near = { listVersion: `${list}-v1`, signal: 'pdq', distance: 4, quality: 100, class: 'near' } as const
  return exactMatch(list, entry, { ...near, ...more })
}

/** As a picture has it: three digests, and a hash for each orientation, derived and sampled. */
function fingerprintOf(n: number): Signal[] {
  const digests = (['md5', 'sha1', 'sha256'] as const).map((signal): Signal => {
    return { signal, version: 1, value: hash(signal, `${n}`, 'buffer'), quality: null, frame: 0, transform: 'identity' }
  })
  const noise = hash('sha256', `hash ${n}`, 'buffer')
  const hashes = ['', 'turned+'].flatMap((way) =>
    orientations.map((orientation): Signal => {
      return { signal: 'pdq', version: 1, value: noise, quality: 100, frame: 0, transform: `${way}${orientation}` }
    }),
  )
  return [...digests, ...hashes]
}

/** The verdict of the nth item, spread over the partitions; held, unless `more` says that it is clean. */
export function heldVerdict(bench: Bench, n: number, more: Partial<VerdictRecord> = {}): VerdictRecord {
  const place = { partition: n % bench.partitions, offset: Math.floor(n / bench.partitions) }
  return {
    input: { cluster: 'vFj4w1vWQ2uC8oT0x5pQng', topic: bench.topic('crawl.items'), ...place },
    inputTimestamp: FIRST_JUDGED + n,
    itemId: `folder-${hash('md5', `${n}`)}`,
    judgedAt: FIRST_JUDGED + 1000 * n,
    outcome: 'quarantine',
    reasons: ['PAYLOAD_MISSING'],
    matches: [],
    missing: ['lastSeen', 'remoteAddress', 'uploader'].map((fact) => ({ fact, enforced: false })),
    policyHash: '0'.repeat(64),
    listVersions: [{ list: 'stand-in', version: 'stand-in-v1' }],
    engineVersion: ENGINE_VERSION,
    mediaType: 'image/jpeg',
    size: 100_000 + n,
    sha256: hash('sha256', `${n}`),
    supplyKind: 'web-crawl',
    supplier: null,
    dataset: null,
    attempt: 0,
    fingerprint: fingerprintOf(n),
    heldReference: hash('sha256', `held ${n}`),
    replay: null,
    ...more,
  }
}

/** Puts verdicts onto gate.verdicts, as the gate keys and places them. */
export async function produceVerdicts(bench: Bench, verdicts: Iterable<VerdictRecord>): Promise<void> {
  let messages: Parameters<Bench['produce']>[1][number][] = []
  for (const verdict of verdicts) {
    const { topic, cluster, partition, offset } = verdict.input
    const key = verdict.itemId ?? `${cluster}/${topic}/${partition}/${offset}`
    messages.push({ key, partition, value: await bench.registry.encode('gate.verdicts', verdict) })
    if (messages.length < AT_ONCE) continue
    await bench.produce('gate.verdicts', messages)
    messages = []
  }
  await bench.produce('gate.verdicts', messages)
}
