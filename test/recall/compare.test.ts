import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ALL_ENTRIES } from '../../services/domain/hash-list.ts'
import { createVersionPlaces, type PlacedVersion, type VersionPlaces } from '../../services/domain/list-news.ts'
import { buildMatchIndex } from '../../services/domain/match/match-index.ts'
import { packEntries } from '../../services/domain/packed-entries.ts'
import { isRecalled } from '../../services/domain/recall.ts'
import type { HashListEntry, Match, RecallRecord, VerdictRecord } from '../../services/domain/records.ts'
import { createComparison } from '../../services/recall/compare.ts'
import { type News, noNews } from '../../services/recall/news.ts'
import { openProgress, type ProgressFile } from '../../services/recall/progress.ts'
import { exactMatch } from '../domain/exact-match.ts'
import { askNothing } from '../integration/harness.ts'

const LIST = 'stand-in'
/** Payloads there are; each has its number as its hash. */
const PAYLOADS = 3
const ENTRIES = 2

const policy = {
  version: 1 as const,
  limits: { payloadBytes: 1, pixels: 1, frames: 1, scanSeconds: 1 },
  pdq: { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } },
  lists: {},
  standings: { disputed: 'review', seed: 'review', negative: 'shadow', withdrawn: 'shadow' } as const,
  provenance: askNothing,
  rights: { robots: 'off' as const, tdmOptOut: 'off' as const },
}

/** One of: a version of the list (the payload that each entry knows, or none; which of them are in shadow), an item by a gate that is so many versions late, a round of recall. */
type Step =
  | { kind: 'version'; entries: Array<number | null>; shadowed: string[] }
  | { kind: 'item'; payload: number; late: number; partition: number }
  | { kind: 'round'; killedAfter: number | null }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('version' as const),
    entries: fc.array(fc.option(fc.nat(PAYLOADS - 1)), { minLength: ENTRIES, maxLength: ENTRIES }),
    shadowed: fc.oneof(fc.constant<string[]>([]), fc.subarray<string>(['e0', 'e1', ALL_ENTRIES])),
  }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('item' as const),
      payload: fc.nat(PAYLOADS - 1),
      late: fc.nat(2),
      partition: fc.nat(1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('round' as const), killedAfter: fc.option(fc.nat(8)) }) },
)

const hashOf = (payload: number): Buffer => Buffer.alloc(32, payload + 1)
const sha256Of = (payload: number): string => hashOf(payload).toString('hex')

/** A cluster in a few arrays: the topics, and who reads them. */
class World {
  /** gate.hash-entries: entries, tombstones and manifests */
  readonly log: Array<{ id: string; payload: number | null } | { version: string }> = []
  readonly versions: Array<{ placed: PlacedVersion; known: Array<number | null> }> = []
  readonly places: VersionPlaces = createVersionPlaces()
  readonly verdicts: VerdictRecord[][] = [[], []]
  /** gate.recalls, by key */
  readonly recalls = new Map<string, RecallRecord>()
  readonly progress: ProgressFile
  /** every record written */
  written: RecallRecord[] = []
  clean = new Set<string>()
  held = new Set<string>()

  constructor(progress: ProgressFile) {
    this.progress = progress
  }

  importVersion(entries: Array<number | null>, shadowed: string[]): void {
    const before = this.versions.at(-1)?.known ?? Array(ENTRIES).fill(null)
    for (const [at, payload] of entries.entries()) {
      if (before[at] !== payload) this.log.push({ id: `e${at}`, payload })
    }
    const version = `v${String(this.versions.length).padStart(4, '0')}`
    const placed = { list: LIST, version, digest: JSON.stringify(entries), shadowed, offset: this.log.length }
    this.log.push({ version })
    this.places.note({
      key: `${LIST}/version/${version}`,
      offset: placed.offset,
      manifest: { list: LIST, version, entries: 0, digest: '', checkedAt: 0, shadowed, signals: [], cause: null },
    })
    this.versions.push({ placed, known: entries })
  }

  judge(payload: number, late: number, partition: number): void {
    const by = this.versions.at(-1 - Math.min(late, this.versions.length - 1))
    const found = by === undefined ? [] : entriesFor(by, payload)
    const isHeld = found.some(({ enforced }) => enforced)
    const verdicts = this.verdicts[partition] ?? []
    const input = { cluster: 'c', topic: 'crawl.items', partition, offset: verdicts.length }
    const fingerprint = [
      { signal: 'sha256', version: 1, value: hashOf(payload), quality: null, frame: 0, transform: 'identity' },
    ]
    const listVersions = by === undefined ? [] : [{ list: LIST, version: by.placed.version }]
    const nothing = {
      reasons: [],
      matches: found,
      missing: [],
      supplyKind: null,
      supplier: null,
      dataset: null,
      heldReference: null,
      replay: null,
    }
    verdicts.push({
      input,
      inputTimestamp: 0,
      itemId: 'item',
      judgedAt: 0,
      outcome: isHeld ? 'quarantine' : 'clean',
      ...nothing,
      policyHash: '',
      listVersions,
      engineVersion: '',
      mediaType: null,
      size: 1,
      sha256: sha256Of(payload),
      attempt: 0,
      fingerprint,
    })
    if (!isHeld) this.clean.add(sha256Of(payload))
  }

  /** @param killedAfter so many steps; null: it comes to its end. What it has written before stays. */
  async round(killedAfter: number | null): Promise<void> {
    const target = this.versions.at(-1)
    let left = killedAfter ?? Number.POSITIVE_INFINITY
    const dies = (): boolean => left-- <= 0
    const comparison = createComparison({
      policy: { ...policy, flood: { entryItems: 1000, versionItems: 1000, minutes: 60 }, shrink: { share: 1 } },
      lists: {
        versions: target === undefined ? [] : [target.placed],
        entriesOf: (_, ids) =>
          [...ids].flatMap((id) => {
            const payload = target?.known[Number(id.slice(1))] ?? null
            return payload === null ? [] : [entryOf(id, payload)]
          }),
        entryOf(_, id) {
          const payload = target?.known[Number(id.slice(1))] ?? null
          return payload === null ? undefined : entryOf(id, payload)
        },
      },
      places: this.places,
      recalls: new Map(this.recalls),
      before: await this.progress.read(),
      accepted: null,
      readNews: async (after) => this.news(after),
      now: () => 0,
    })
    const save = async (isEnd: boolean): Promise<boolean> => {
      const taken = comparison.takeRecalls(isEnd)
      for (const { sha256 } of taken) {
        if (dies()) return false
        if (this.clean.has(sha256)) this.held.add(sha256)
      }
      for (const { record } of taken) {
        if (dies()) return false
        if (record === null) continue
        this.recalls.set(record.sha256, record)
        this.written.push(record)
      }
      for (const { sha256, record } of taken) {
        if (dies()) return false
        if (record === null || isRecalled(record)) this.clean.delete(sha256)
      }
      if (dies()) return false
      await this.progress.write(comparison.progress(isEnd))
      return true
    }
    await comparison.begin()
    await this.progress.write(comparison.progress(false))
    const from = comparison.from().verdicts
    for (const [partition, verdicts] of this.verdicts.entries()) {
      for (const [offset, verdict] of verdicts.entries()) {
        if (offset < (from.get(partition) ?? 0)) continue
        const record = { partition, offset, timestamp: 0, key: null, value: null }
        comparison.passVerdict(record)
        await comparison.takeVerdict(verdict, record)
        if (offset % 2 === 1 && !(await save(false))) return
      }
    }
    await save(true)
  }

  news(after: ReadonlyMap<string, number>): News {
    const target = this.versions.at(-1)?.placed
    if (target === undefined) return noNews
    const entries = new Map<string, HashListEntry>()
    for (const [offset, record] of this.log.entries()) {
      if (offset <= (after.get(LIST) ?? target.offset) || offset > target.offset || 'version' in record) continue
      if (record.payload === null) entries.delete(record.id)
      else entries.set(record.id, entryOf(record.id, record.payload))
    }
    const list = { ...target, checkedAt: 0, entries: packEntries(LIST, entries.values()) }
    return { index: buildMatchIndex([list]), entries: entries.size, hasDigests: false }
  }
}

/** What a version finds of a payload. */
function entriesFor({ placed, known }: World['versions'][number], payload: number): Match[] {
  const { shadowed, version } = placed
  const ids = known.flatMap((each, at) => (each === payload ? [`e${at}`] : []))
  return ids.map((entry) => {
    const enforced = !shadowed.includes(entry) && !shadowed.includes(ALL_ENTRIES)
    return exactMatch(LIST, entry, { listVersion: version, enforced })
  })
}

function entryOf(id: string, payload: number): HashListEntry {
  return {
    list: LIST,
    id,
    signals: [{ signal: 'sha256', value: hashOf(payload) }],
    classification: null,
    opinions: [],
    withdrawn: false,
  }
}

test('whatever is imported, cleared late and killed in whatever order: what is recalled in the end is what the list holds of what was cleared', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'))
  t.after(() => rm(folder, { recursive: true }))
  let worlds = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const world = new World(openProgress(folder, String(worlds++), 'c'))
      for (const one of steps) {
        if (one.kind === 'version') world.importVersion(one.entries, one.shadowed)
        else if (one.kind === 'item') world.judge(one.payload, one.late, one.partition)
        else await world.round(one.killedAfter)
        for (const sha256 of world.recalls.keys())
          assert.ok(world.clean.has(sha256) || world.held.has(sha256), 'in neither store')
      }
      await world.round(null)
      const last = world.versions.at(-1)
      const cleared = world.verdicts.flat().filter(({ outcome }) => outcome === 'clean')
      const payloads = [...Array(PAYLOADS).keys()].filter((payload) =>
        cleared.some(({ sha256 }) => sha256 === sha256Of(payload)),
      )
      const expected = payloads
        .filter((payload) => last !== undefined && entriesFor(last, payload).some(({ enforced }) => enforced))
        .map(sha256Of)
      const recalled = [...world.recalls.values()].filter(isRecalled).map(({ sha256 }) => sha256)
      assert.deepEqual(recalled.sort(), expected.sort())
      for (const sha256 of recalled) assert.deepEqual([world.clean.has(sha256), world.held.has(sha256)], [false, true])
      const [count, progress] = [world.written.length, await world.progress.read()]
      await world.round(null)
      assert.deepEqual(
        [world.written.length, await world.progress.read()],
        [count, progress],
        'once more changes nothing',
      )
      for (const [at, record] of world.written.entries()) {
        const before = world.written.slice(0, at).findLast(({ sha256 }) => sha256 === record.sha256)
        assert.notDeepEqual(before, record, 'nothing is written twice')
      }
    }),
    { numRuns: Number(process.env.RECALL_RUNS ?? 40) },
  )
})
