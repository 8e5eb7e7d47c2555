import { ENGINE_VERSION } from '../domain/engine.ts'
import { SluiceError } from '../domain/errors.ts'
import type { KnownList } from '../domain/hash-list-state.ts'
import type { HeldFilter } from '../domain/held-filter.ts'
import { buildMatchIndex } from '../domain/match/match-index.ts'
import type { VerdictRecord } from '../domain/records.ts'
import { createDryRun, type Forecast } from '../domain/replay/dry-run.ts'
import { offsetsFor, type PlannedPartition, planOf, type ReplayPlan } from '../domain/replay/replay-plan.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { withPartitionReader } from '../platform/kafka/partition-reader.ts'
import { type PartitionBounds, topicBounds } from '../platform/kafka/topic-bounds.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { createRegistry, type Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { readHeld } from './read-held.ts'
import { readReplayRuns } from './runs-topic.ts'
import { heldFor } from './withdrawn.ts'

/** As many offsets of a partition go into a record of replay.runs, however they lie. */
const MOST_ITEMS = 250_000
/** Of reasons together; of more the canary knows none. */
const MOST_KINDS = 1000

export type PlanOptions = {
  filter: HeldFilter
  who: string
  why: string
  /** items that were replayed so often already are left out */
  attempts: number
  /** so many go first */
  canary: number
  now: number
  onProgress: (text: string) => void
}

/** What a dry run foretells of some items. */
export type Foretold = {
  items: number
  clean: number
  review: number
  quarantine: number
  open: number
  heldAgain: number
}

/** A plan, and what it is about in numbers. @property exhausted items left out because they were replayed too often */
export type PlanReport = {
  plan: ReplayPlan
  total: Foretold
  byPartition: Map<number, Foretold>
  byReason: Map<string, Foretold>
  exhausted: number
  bytes: number
  /** whether the newest verdict was made by another policy than the one that the dry run was made by; null where there is none */
  isOtherPolicy: boolean | null
}

type CanaryItem = PlannedPartition['canary'][number]
/** @property samples some items of each kind of reasons, from which the canary is taken */
type Chosen = { offsets: number[]; foreseen: number[]; from: number; to: number; samples: Map<string, CanaryItem[]> }

/**
 * Chooses held items, and tells what would become of them today. Nothing is written.
 * @throws {SluiceError} RECORDS_REMOVED, USAGE, POLICY_INVALID; as `readTopic`
 */
export async function makePlan(settings: Settings, options: PlanOptions): Promise<PlanReport> {
  const { filter, who, why, attempts, now, onProgress } = options
  const registry = createRegistry(settings)
  const { policy, hash: policyHash } = readPolicy(settings.policy)
  const topic = prefixed(settings.prefix, 'gate.verdicts')
  const { cluster, bounds } = await topicBounds(createKafka(settings, 'sluice-replay'), topic)
  await assertThere(settings, registry, filter, bounds)
  onProgress('reading what was replayed')
  const runs = await readReplayRuns(settings, registry)
  onProgress('reading the hash lists')
  const lists = await listsNow(settings, registry)
  const dryRun = createDryRun({ index: buildMatchIndex(lists), policy, policyHash, engineVersion: ENGINE_VERSION })

  const chosen = new Map<number, Chosen>()
  const [byPartition, byReason] = [new Map<number, Foretold>(), new Map<string, Foretold>()]
  const report = { total: none(), byPartition, byReason, exhausted: 0, bytes: 0 }
  let newest: { judgedAt: number; policyHash: string } | null = null
  await readHeld({
    settings,
    registry,
    filter,
    replays: runs,
    bounds,
    onRead: (read, of) => onProgress(`${read} of ${of} records read`),
    onHeld(verdict, { attempts: before, offset }) {
      if (newest === null || verdict.judgedAt > newest.judgedAt) newest = verdict
      if (before >= attempts) {
        report.exhausted += 1
        return
      }
      const { partition } = verdict.input
      const forecast = dryRun(verdict)
      const part: Chosen = chosen.get(partition) ?? {
        offsets: [],
        foreseen: [],
        from: offset,
        to: offset,
        samples: new Map(),
      }
      chosen.set(partition, part)
      part.offsets.push(verdict.input.offset)
      if (forecast.heldAgain) part.foreseen.push(verdict.input.offset)
      part.to = offset + 1
      const reasons = heldFor(verdict)
      const samples = part.samples.get(reasons.join()) ?? []
      if (samples.length > 0 || part.samples.size < MOST_KINDS) part.samples.set(reasons.join(), samples)
      if (samples.length < options.canary) samples.push({ offset: verdict.input.offset, expected: forecast.outcome })
      report.bytes += verdict.size ?? 0
      add(report.total, forecast)
      add(groupOf(report.byPartition, partition), forecast)
      for (const reason of reasons) add(groupOf(report.byReason, reason), forecast)
    },
  })
  const partitions = partitionsOf(chosen, options.canary)
  const plan = planOf({
    version: 1,
    cluster,
    topic: prefixed(settings.prefix, DOOR),
    plannedAt: now,
    plannedBy: who,
    why,
    filter: { ...filter },
    attempts,
    policyHash,
    listVersions: lists.map(({ list, version }) => ({ list, version })),
    partitions,
  })
  const found = newest as { policyHash: string } | null
  return { plan, ...report, isOtherPolicy: found === null ? null : found.policyHash !== policyHash }
}

/** @throws {SluiceError} USAGE where more is chosen than a run may have */
function partitionsOf(chosen: ReadonlyMap<number, Chosen>, canary: number): PlannedPartition[] {
  const first = canaryOf(chosen, canary)
  return [...chosen]
    .sort(([a], [b]) => a - b)
    .map(([partition, { offsets, foreseen, from, to }]) => {
      if (offsets.length > MOST_ITEMS) {
        const sentence = `${offsets.length} items of partition ${partition} are meant, a run takes up to ${MOST_ITEMS} of each`
        throw new SluiceError('USAGE', `${sentence}: choose fewer, for example by --since and --until`)
      }
      return {
        partition,
        items: offsets.length,
        offsets: offsetsFor(offsets.toSorted((a, b) => a - b)),
        foreseen: offsetsFor(foreseen.toSorted((a, b) => a - b)),
        verdictsFrom: from,
        verdictsTo: to,
        canary: (first.get(partition) ?? []).toSorted((a, b) => a.offset - b.offset),
      }
    })
}

/** Of each partition and each kind of reasons in turn one, until there are enough. */
function canaryOf(chosen: ReadonlyMap<number, Chosen>, most: number): Map<number, CanaryItem[]> {
  const groups = [...chosen].flatMap(([partition, { samples }]) => {
    return [...samples.values()].map((items) => ({ partition, items: [...items] }))
  })
  const canary = new Map<number, CanaryItem[]>()
  for (let taken = 0; taken < most && groups.some(({ items }) => items.length > 0); ) {
    for (const { partition, items } of groups) {
      const item = taken < most ? items.shift() : undefined
      if (item === undefined) continue
      canary.set(partition, [...(canary.get(partition) ?? []), item])
      taken += 1
    }
  }
  return canary
}

/** What a filter names by its offsets must still be there: what retention has taken is said, not passed over. @throws {SluiceError} RECORDS_REMOVED */
async function assertThere(
  settings: Settings,
  registry: Registry,
  { partitions = [] }: HeldFilter,
  bounds: readonly PartitionBounds[],
): Promise<void> {
  const topic = prefixed(settings.prefix, 'gate.verdicts')
  for (const { partition, low, high } of bounds) {
    const wanted = partitions.filter((range) => range.partition === partition && range.first !== undefined)
    if (low === 0 || wanted.length === 0) continue
    const first = await firstInput(settings, registry, topic, partition, low, high)
    const gone = wanted.find((range) => (range.first ?? 0) < first)
    if (gone === undefined) continue
    const which = first === Number.POSITIVE_INFINITY ? '' : ` before offset ${first} of the door`
    const rest = which === '' ? '' : `; plan again from ${partition}:${first} on`
    const sentence = `the verdicts of partition ${partition}${which} have been removed, and with them where the originals are`
    throw new SluiceError('RECORDS_REMOVED', `${sentence}: nothing was planned${rest}`)
  }
}

/** The offset on the door that the first verdict of a partition is about; where there is none, beyond all. */
async function firstInput(
  settings: Settings,
  registry: Registry,
  topic: string,
  partition: number,
  low: number,
  high: number,
): Promise<number> {
  const value = await withPartitionReader(createKafka(settings, 'sluice-replay'), async (reader) => {
    for (let offset = low; offset < high; offset++) {
      const found = await reader.at(topic, partition, offset)
      if (found?.value) return found.value
    }
    return null
  })
  if (value === null) return Number.POSITIVE_INFINITY
  const { value: verdict } = await registry.decode<VerdictRecord>('gate.verdicts', value)
  return verdict.input.offset
}

async function listsNow(settings: Settings, registry: Registry): Promise<KnownList[]> {
  const kafka = createKafka(settings, 'sluice-replay')
  const lists = await openLists({ kafka, registry, prefix: settings.prefix })
  try {
    return lists.collector.states().flatMap(({ inForce }) => inForce ?? [])
  } finally {
    await lists.close()
  }
}

function none(): Foretold {
  return { items: 0, clean: 0, review: 0, quarantine: 0, open: 0, heldAgain: 0 }
}

function groupOf<Name>(groups: Map<Name, Foretold>, name: Name): Foretold {
  const found = groups.get(name) ?? none()
  groups.set(name, found)
  return found
}

function add(sum: Foretold, { outcome, heldAgain }: Forecast): void {
  sum.items += 1
  sum[outcome ?? 'open'] += 1
  if (heldAgain) sum.heldAgain += 1
}
