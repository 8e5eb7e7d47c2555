import { hash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RecallRecord, Signal, VerdictRecord } from '../../services/domain/records.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { readTopic } from '../../services/platform/kafka/read-topic.ts'
import { type Bench, type BenchOptions, openBench, type Scope } from '../integration/harness.ts'

/** A bench whose stores are there, as after the first start of a gate. */
export async function openRecallBench(t: Scope, options: BenchOptions = {}): Promise<Bench> {
  const bench = await openBench(t, { partitions: 2, ...options })
  for (const name of ['clean', 'held'] as const) await bench.store(name).make()
  return bench
}

/** The payload of the nth item: some bytes of its own. */
export function payloadOf(n: number): Buffer {
  return Buffer.from(`payload ${n}`)
}

export function sha256Of(n: number): string {
  return hash('sha256', payloadOf(n))
}

/** A PDQ hash for every number, near no other one; hex. */
export function pdqOf(n: number): string {
  return hash('sha256', `hash ${n}`)
}

/**
 * The verdict of a cleared item, as the gate writes it.
 * @param n number of its payload, which decides about its fingerprint
 * @param at its place on the door
 */
export function verdictOf(
  bench: Bench,
  n: number,
  at: { partition: number; offset: number },
  more: Partial<VerdictRecord> = {},
): VerdictRecord {
  const sha256 = sha256Of(n)
  const signal = (name: string, value: Buffer, quality: number | null, transform = 'identity'): Signal => {
    return { signal: name, version: 1, value, quality, frame: 0, transform }
  }
  return {
    input: { cluster: 'test', topic: bench.topic('crawl.items'), ...at },
    inputTimestamp: 1_767_225_600_000 + at.offset,
    itemId: `item-${at.partition}-${at.offset}`,
    judgedAt: 1_767_225_700_000,
    outcome: 'clean',
    reasons: [],
    matches: [],
    missing: [],
    policyHash: '0'.repeat(64),
    listVersions: [],
    engineVersion: '3',
    mediaType: 'image/png',
    size: payloadOf(n).length,
    sha256,
    supplyKind: null,
    supplier: null,
    dataset: null,
    attempt: 0,
    fingerprint: [
      signal('sha256', Buffer.from(sha256, 'hex'), null),
      signal('pdq', Buffer.from(pdqOf(n), 'hex'), 100),
      signal('pdq', Buffer.from(pdqOf(n), 'hex').reverse(), 100, 'mirror'),
    ],
    heldReference: null,
    replay: null,
    ...more,
  }
}

/** Puts verdicts onto gate.verdicts, and the payloads of the clean ones into the clean store. */
export async function clear(
  bench: Bench,
  verdicts: readonly VerdictRecord[],
  payloads: readonly number[],
): Promise<void> {
  const clean = bench.store('clean')
  await clean.writeAll(payloads.map((n) => ({ sha256: sha256Of(n), bytes: payloadOf(n) })))
  const messages = verdicts.map(async (verdict) => ({
    key: verdict.itemId ?? '',
    partition: verdict.input.partition,
    value: await bench.registry.encode('gate.verdicts', verdict),
  }))
  await bench.produce('gate.verdicts', await Promise.all(messages))
}

/** Clears the payloads of these numbers, one item each, judged by the versions that are given. */
export async function clearAll(
  bench: Bench,
  numbers: readonly number[],
  listVersions: VerdictRecord['listVersions'],
  firstOffset = 0,
): Promise<void> {
  const verdicts = numbers.map((n, at) => {
    const place = { partition: at % bench.partitions, offset: firstOffset + Math.floor(at / bench.partitions) }
    return verdictOf(bench, n, place, { listVersions })
  })
  await clear(bench, verdicts, numbers)
}

/** The version of a list that is in force now. */
export async function versionNow(bench: Bench, list = 'stand-in'): Promise<{ list: string; version: string }> {
  const lists: Array<{ list: string; version: string }> = JSON.parse(
    (await bench.sluice(['lists', 'status', '--json'])).stdout(),
  )
  const found = lists.find((one) => one.list === list)
  if (found === undefined) throw new Error(`there is no list ${list}`)
  return { list, version: found.version }
}

/** Every record of gate.recalls, oldest first. */
export async function recallRecords(bench: Bench): Promise<RecallRecord[]> {
  const records: RecallRecord[] = []
  await readTopic<RecallRecord>({
    kafka: createKafka(bench.settings, 'recalls'),
    registry: bench.registry,
    prefix: bench.settings.prefix,
    topic: 'gate.recalls',
    isWanted: () => true,
    onValue: (record) => void records.push(record),
  })
  return records
}

/** sha256s of what a store holds, sorted. */
export async function objectsIn(bench: Bench, name: 'clean' | 'held'): Promise<string[]> {
  const names = await readdir(join(bench.storeFolder(name)), { recursive: true })
  return names
    .map((path) => path.split('/').at(-1) ?? '')
    .filter((path) => /^[0-9a-f]{64}$/.test(path))
    .sort()
}

/** What `sluice recall run` says that it did. */
export async function runRecall(
  bench: Bench,
  words: readonly string[] = [],
  expectedCode = 0,
): Promise<Record<string, number> & { floods: object[] }> {
  return JSON.parse((await bench.sluice(['recall', 'run', '--json', ...words], expectedCode)).stdout())
}
