import { z } from 'zod'
import { type ForeignRecord, produceForeign, type RawRecord } from '../foreign/foreign.ts'
import { type GateProcess, type SluiceProcess, startSluice, untilInForce } from '../integration/gate-process.ts'
import type { Bench, Scope } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

/** Headers as nobody would write them: repeated, without value, with names that objects put first. */
export const oddHeaders: NonNullable<RawRecord['headers']> = [
  ['trace', Buffer.from('one')],
  ['9', Buffer.from([0, 255, 10])],
  ['empty', Buffer.alloc(0)],
  ['trace', null],
  ['1', Buffer.from('x')],
  ['trace', Buffer.from('two')],
]

/** What is sent of each kind: why it is held, and whether it is after what was wrong has been mended. */
export const heldKinds = {
  /** an entry of a list that should not be there */
  listed: { reason: 'KNOWN_EXACT', after: 'clean' },
  /** the intake store lacks it */
  missing: { reason: 'PAYLOAD_MISSING', after: 'clean' },
  /** never decodable */
  broken: { reason: 'MESSAGE_UNDECODABLE', after: 'quarantine' },
  /** another key than the item id */
  mismatched: { reason: 'KEY_MISMATCH', after: 'quarantine' },
} as const
export type HeldKind = keyof typeof heldKinds
const kinds = Object.keys(heldKinds) as HeldKind[]

/** The payload of the nth item, which is of the nth kind; small. */
export function pictureOf(n: number): Promise<Buffer> {
  return tinyPicture(n % 64)
}

export function kindOf(n: number): HeldKind {
  return kinds[n % kinds.length] ?? 'listed'
}

/** Sends so many items by librdkafka, of all kinds in turn, spread over the partitions. */
export async function sendHeld(bench: Bench, items: number): Promise<void> {
  const records: RawRecord[] = []
  for (let n = 0; n < items; n++) {
    const id = `held-${n}`
    const place = { topic: bench.topic('crawl.items'), partition: n % bench.partitions, headers: oddHeaders }
    const picture = await pictureOf(n)
    const kind = kindOf(n)
    if (kind === 'broken')
      records.push({ ...place, key: n % 8 === 2 ? null : Buffer.from(id), value: Buffer.from(`broken ${n}`) })
    else {
      const content = kind === 'missing' ? { reference: sha256(picture) } : { inline: picture }
      const value = await bench.registry.encode('crawl.items', crawlItem(id, content))
      records.push({ ...place, key: Buffer.from(kind === 'mismatched' ? `other-${n}` : id), value })
    }
  }
  await produceForeign(bench.settings, records)
}

/** The list that holds what is of the kind `listed`, or its version without that. */
export async function importListed(bench: Bench, isWrong: boolean): Promise<void> {
  const rows = isWrong
    ? await Promise.all(
        Array.from({ length: 64 }, async (_, n) => ({ id: `e${n}`, sha256: sha256(await tinyPicture(n)) })),
      )
    : []
  await bench.importList('stand-in', [
    ...rows.filter((_, n) => kindOf(n) === 'listed'),
    { id: 'other', sha256: 'ab'.repeat(32) },
  ])
}

/** Puts into the intake store what the items of the kind `missing` refer to. */
export async function mendIntake(bench: Bench): Promise<void> {
  const store = bench.store('intake')
  await store.make()
  for (let n = 0; n < 64; n++) {
    const picture = await tinyPicture(n)
    if (kindOf(n) === 'missing') await store.write(sha256(picture), picture)
  }
}

/** Holds so many items, then mends what was wrong. @returns the gate, which runs */
export async function holdThenMend(bench: Bench, items: number): Promise<GateProcess> {
  await importListed(bench, true)
  await bench.store('intake').make()
  const gate = bench.startGate()
  await gate.untilReady()
  await sendHeld(bench, items)
  await waitFor('all are judged', () => bench.caughtUp())
  await untilInForce(gate, () => importListed(bench, false))
  await mendIntake(bench)
  return gate
}

/** Killed after the test. */
export function startWorker(t: Scope, bench: Bench, words: readonly string[] = []): SluiceProcess {
  const worker = startSluice(['replay', 'worker', ...words], bench.environment)
  t.after(() => worker.kill('SIGKILL'))
  return worker
}

export const standing = z.looseObject({
  id: z.string(),
  state: z.string(),
  waits: z.string().nullable(),
  items: z.number(),
  counts: z.record(z.string(), z.number()),
})

/** How a run stands, by the command. */
export async function statusOf(bench: Bench, run: string): Promise<z.infer<typeof standing>> {
  return standing.parse(JSON.parse((await bench.sluice(['replay', 'status', run, '--json'])).stdout()))
}

const after = z.object({
  items: z.number(),
  clean: z.number(),
  review: z.number(),
  quarantine: z.number(),
  open: z.number(),
})
export const reportShape = z.looseObject({
  state: z.string(),
  total: after,
  byReasonBefore: z.record(z.string(), after),
  reasonsAfter: z.record(z.string(), z.number()),
  left: z.record(z.string(), z.number()),
})

/** A record's headers as they were before a replay added its own, and those. */
export function splitHeaders({ headers }: Pick<ForeignRecord, 'headers'>): {
  original: ForeignRecord['headers']
  replay: Map<string, string>
} {
  const first = headers.findIndex(([name]) => name.startsWith('sluice-replay-'))
  const own = first < 0 ? [] : headers.slice(first)
  return {
    original: first < 0 ? headers : headers.slice(0, first),
    replay: new Map(
      own.map(([name, value]) => [name, typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '']),
    ),
  }
}
