import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { orientations } from '../../services/domain/pdq.ts'
import type { Signal, VerdictRecord } from '../../services/domain/records.ts'
import { startSluice } from '../integration/gate-process.ts'
import type { Bench, ListRow } from '../integration/harness.ts'
import { objectsIn, payloadOf, recallRecords, sha256Of, verdictOf, versionNow } from '../recall/cleared.ts'
import { peakBytes } from './gate-cost.ts'

/** Items that a version finds: each near another one of its entries. */
export const PLANTED = 50
const MOST_BITS = 31
const LOOK_MS = 20
const AT_ONCE = 2000

/** What one version's new entries, held against everything cleared until then, have taken. */
export type StageFigures = { verdicts: number; seconds: number; verdictsPerSecond: number; peakMebibytes: number }

const report = z.object({ read: z.number(), entries: z.number(), recalled: z.number(), moved: z.number() })

/**
 * Fills gate.verdicts stage by stage with cleared items, and after each imports a version with new entries and recalls what it holds.
 * @param sizes verdicts that there are in all at the end of each stage, ascending
 * @param entries new ones of each version, at least {@link PLANTED}
 * @throws {AssertionError} where not exactly the planted ones are recalled
 */
export async function recallInStages(
  bench: Bench,
  sizes: readonly number[],
  entries: number,
  onCleared: (cleared: number) => void = () => undefined,
): Promise<StageFigures[]> {
  const planted = plantedIn(sizes)
  const rows: ListRow[] = rowsOf('first', entries)
  await bench.importList('stand-in', rows)
  const figures: StageFigures[] = []
  const recalled = new Set<string>()
  let cleared = 0
  for (const [stage, size] of sizes.entries()) {
    await clearUpTo(bench, cleared, size, planted, onCleared)
    cleared = size
    rows.push(...rowsOf(String(stage), entries))
    await bench.importList('stand-in', rows)
    const { found, seconds, peak } = await measure(bench)
    assert.deepEqual([found.read, found.entries, found.recalled, found.moved], [size, entries, PLANTED, PLANTED])
    for (const [n, plant] of planted) if (plant.stage === stage) recalled.add(sha256Of(n))
    const records = await recallRecords(bench)
    assert.deepEqual(records.map(({ sha256 }) => sha256).sort(), [...recalled].sort(), 'exactly the planted ones')
    assert.deepEqual(await objectsIn(bench, 'held'), [...recalled].sort())
    figures.push({ verdicts: size, seconds, verdictsPerSecond: size / seconds, peakMebibytes: peak / 2 ** 20 })
  }
  return figures
}

type Plant = { stage: number; entry: number }

/** By number of the item. */
function plantedIn(sizes: readonly number[]): Map<number, Plant> {
  const planted = new Map<number, Plant>()
  for (const [stage, size] of sizes.entries()) {
    for (let entry = 0; entry < PLANTED; entry++) {
      let n = Math.floor((size * (entry + 0.5)) / PLANTED)
      while (planted.has(n)) n -= 1
      planted.set(n, { stage, entry })
    }
  }
  return planted
}

function rowsOf(stage: string, entries: number): ListRow[] {
  return Array.from({ length: entries }, (_, n) => ({ id: `${stage}-${n}`, pdq: knownHash(stage, n) }))
}

function knownHash(stage: string, entry: number): string {
  return hash('sha256', `known ${stage} ${entry}`)
}

async function clearUpTo(
  bench: Bench,
  from: number,
  to: number,
  planted: ReadonlyMap<number, Plant>,
  onCleared: (cleared: number) => void,
): Promise<void> {
  const listVersions = [await versionNow(bench)]
  const missing = ['lastSeen', 'remoteAddress', 'uploader'].map((fact) => ({ fact, enforced: false }))
  for (let first = from; first < to; first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, to - first) }, (_, at) => first + at)
    const known = numbers.filter((n) => planted.has(n))
    await bench.store('clean').writeAll(known.map((n) => ({ sha256: sha256Of(n), bytes: payloadOf(n) })))
    const messages = numbers.map(async (n) => {
      const place = { partition: n % bench.partitions, offset: Math.floor(n / bench.partitions) }
      const verdict = verdictOf(bench, n, place, { listVersions, missing, supplyKind: 'web-crawl', dataset: 'a set' })
      const value = await bench.registry.encode('gate.verdicts', withFingerprint(verdict, n, planted.get(n)))
      return { key: verdict.itemId ?? '', partition: place.partition, value }
    })
    await bench.produce('gate.verdicts', await Promise.all(messages))
    onCleared(first + numbers.length)
  }
}

/** As a picture has it: three digests, and a hash for each orientation, derived and sampled. */
function withFingerprint(verdict: VerdictRecord, n: number, plant: Plant | undefined): VerdictRecord {
  const digests = (['md5', 'sha1', 'sha256'] as const).map((signal): Signal => {
    const value = signal === 'sha256' ? Buffer.from(sha256Of(n), 'hex') : hash(signal, payloadOf(n), 'buffer')
    return { signal, version: 1, value, quality: null, frame: 0, transform: 'identity' }
  })
  const noise = Buffer.concat(Array.from({ length: 8 }, (_, part) => hash('sha512', `${n}/${part}`, 'buffer')))
  const hashes = ['', 'turned+'].flatMap((way, half) =>
    orientations.map((orientation, at): Signal => {
      const from = 32 * (8 * half + at)
      const isPlanted = plant !== undefined && half === 0 && at === plant.entry % 8
      const value = isPlanted ? nearTo(plant) : noise.subarray(from, from + 32)
      return { signal: 'pdq', version: 1, value, quality: 100, frame: 0, transform: `${way}${orientation}` }
    }),
  )
  return { ...verdict, fingerprint: [...digests, ...hashes] }
}

/** Another distance for each. */
function nearTo({ stage, entry }: Plant): Buffer {
  const value = Buffer.from(knownHash(String(stage), entry), 'hex')
  for (let bit = 0; bit < entry % (MOST_BITS + 1); bit++) value[bit >> 3] = (value[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return value
}

async function measure(bench: Bench): Promise<{ found: z.infer<typeof report>; seconds: number; peak: number }> {
  const began = performance.now()
  const run = startSluice(['recall', 'run', '--json'], bench.environment)
  let peak = 0
  while (run.running()) {
    peak = Math.max(peak, peakBytes(run.pid))
    await wait(LOOK_MS)
  }
  const { code } = await run.ended
  const seconds = (performance.now() - began) / 1000
  if (code !== 0) throw new Error(`sluice recall run ended with ${code}:\n${run.stderr()}`)
  return { found: report.parse(JSON.parse(run.stdout())), seconds, peak }
}
