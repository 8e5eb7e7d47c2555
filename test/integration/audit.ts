import assert from 'node:assert/strict'
import { z } from 'zod'
import { createKeyLookup } from '../../services/domain/keyring.ts'
import { createReceiptCheck, mismatch, viewDigest } from '../../services/domain/receipt.ts'
import type { Envelope, TrainingView } from '../../services/domain/records.ts'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { type ForeignRecord, readTopics } from '../foreign/foreign.ts'
import type { Bench } from './harness.ts'

const coordinates = z.object({
  cluster: z.string().min(1),
  topic: z.string(),
  partition: z.number().int(),
  offset: z.number().int(),
})
const match = z.object({
  list: z.string(),
  entry: z.string(),
  signal: z.string(),
  distance: z.number(),
  transform: z.string(),
  class: z.string(),
  enforced: z.boolean(),
  standing: z.string(),
})
const held = z.object({
  input: coordinates,
  outcome: z.string(),
  reasons: z.array(z.string()),
  matches: z.array(match),
  missing: z.array(z.object({ fact: z.string(), enforced: z.boolean() })),
  heldReference: z.string(),
  payloadReference: z.string().nullable(),
})
const clean = z.object({
  input: coordinates,
  id: z.string(),
  payload: z.object({ reference: z.string(), size: z.number(), mediaType: z.string() }),
  training: z.custom<TrainingView>((found) => typeof found === 'object'),
  receipt: z.string(),
})
const verdict = z.object({
  input: coordinates,
  itemId: z.string().nullable(),
  outcome: z.string(),
  reasons: z.array(z.string()),
  matches: z.array(match),
  missing: z.array(z.object({ fact: z.string(), enforced: z.boolean() })),
  listVersions: z.array(z.object({ list: z.string(), version: z.string() })),
  policyHash: z.string(),
  sha256: z.string().nullable(),
  size: z.number().nullable(),
  heldReference: z.string().nullable(),
})
const envelope = z.object({ input: coordinates, envelope: z.custom<Envelope>((found) => typeof found === 'object') })

/** What became of one record of the door, as librdkafka and fastavro see it. */
export type Fate = {
  door: ForeignRecord
  outcome: 'clean' | 'quarantine' | 'review'
  reasons: string[]
  /** on the outcome topic; null for clean items */
  held: z.infer<typeof held> | null
  /** on the outcome topic; null for held items */
  clean: z.infer<typeof clean> | null
  verdict: z.infer<typeof verdict>
  envelope: z.infer<typeof envelope>
}

const outcomeTopics = { clean: 'gate.clean', quarantine: 'gate.quarantine', review: 'gate.review' } as const

/**
 * Reads the door and everything that the gate wrote, committed records only, with librdkafka, and checks what must hold whatever was
 * sent: each door record has exactly one outcome, one verdict and one envelope, all three in its own partition and under one key; each output is in input order
 * within its partition; verdict and outcome say the same; each cleared item has a receipt that holds for it and its envelope; the group has committed the end of the door, behind the last item.
 * @returns the fate of every door record, by partition and offset
 */
export async function audit(bench: Bench): Promise<Fate[]> {
  const door = bench.topic('crawl.items')
  const others = [...Object.values(outcomeTopics), 'gate.verdicts', 'gate.envelopes'] as const
  const reading = await readTopics(bench.settings, [door, ...others.map((name) => bench.topic(name))], bench.group)
  const on = (topic: string): ForeignRecord[] => reading.records.filter((record) => record.topic === topic)

  const verdicts = byInput(door, on(bench.topic('gate.verdicts')), verdict)
  const envelopes = byInput(door, on(bench.topic('gate.envelopes')), envelope)
  const cleans = byInput(door, on(bench.topic('gate.clean')), clean)
  const quarantined = byInput(door, on(bench.topic('gate.quarantine')), held)
  const reviewed = byInput(door, on(bench.topic('gate.review')), held)

  const doorRecords = on(door)
  const fates = doorRecords.map((record): Fate => {
    const place = placeOf(record)
    const found = [cleans, quarantined, reviewed].flatMap((each) => each.get(place) ?? [])
    assert.equal(found.length, 1, `${place} has ${found.length} outcomes`)
    const verdictFound = verdicts.get(place)
    const envelopeFound = envelopes.get(place)
    assert.ok(verdictFound && envelopeFound, `${place} lacks its verdict or its envelope`)
    for (const { record: other } of [...found, envelopeFound]) {
      assert.deepEqual(other.key, verdictFound.record.key, `${place}: one key on all topics`)
    }
    const outcome = cleans.has(place) ? 'clean' : quarantined.has(place) ? 'quarantine' : 'review'
    const heldFound = quarantined.get(place)?.value ?? reviewed.get(place)?.value ?? null
    assert.equal(verdictFound.value.outcome, outcome, `${place}: the verdict is about another outcome`)
    if (heldFound !== null) {
      assert.equal(heldFound.outcome, outcome)
      assert.deepEqual(heldFound.reasons, verdictFound.value.reasons)
      assert.deepEqual(heldFound.matches, verdictFound.value.matches)
      assert.equal(heldFound.heldReference, verdictFound.value.heldReference)
    }
    return {
      door: record,
      outcome,
      reasons: verdictFound.value.reasons,
      held: heldFound,
      clean: cleans.get(place)?.value ?? null,
      verdict: verdictFound.value,
      envelope: envelopeFound.value,
    }
  })

  const checkReceipt = createReceiptCheck(createKeyLookup(readKeyring(bench.settings.keyring)))
  for (const { clean: found, verdict: about, envelope: known } of fates) {
    if (found === null) continue
    const receipt = await checkReceipt(found.receipt)
    assert.ok(typeof receipt !== 'string', `${placeOf(found.input)}: ${receipt}`)
    assert.equal(mismatch(receipt, found), null)
    assert.equal(receipt.envelope.sha256, viewDigest(known.envelope))
    assert.deepEqual(receipt.listVersions, about.listVersions)
  }

  const total = doorRecords.length
  assert.equal(cleans.size + quarantined.size + reviewed.size, total, 'as many outcomes as items')
  assert.equal(verdicts.size, total, 'as many verdicts as items')
  assert.equal(envelopes.size, total, 'as many envelopes as items')
  for (const { topic, partition, end } of reading.partitions.filter((each) => each.topic === door && each.end > 0)) {
    const committed = reading.committed.find((each) => each.topic === topic && each.partition === partition)
    // Behind the last item there may be a marker of a replay's transaction, which nobody judges.
    const last = doorRecords.findLast((record) => record.partition === partition)?.offset ?? end - 1
    const isEnd = committed?.offset != null && committed.offset > last && committed.offset <= end
    assert.ok(isEnd, `partition ${partition} of the door: committed ${committed?.offset}, the last item at ${last}`)
  }
  return fates
}

function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}/${offset}`
}

/** Records by the door record that they are about; a second one about the same, another partition or a wrong order is an error. */
function byInput<Value extends { input: z.infer<typeof coordinates> }>(
  door: string,
  records: readonly ForeignRecord[],
  schema: z.ZodType<Value>,
): Map<string, { record: ForeignRecord; value: Value }> {
  const found = new Map<string, { record: ForeignRecord; value: Value }>()
  const last = new Map<number, number>()
  for (const record of records) {
    const value = schema.parse(record.value)
    const { input } = value
    assert.equal(input.topic, door)
    assert.equal(record.partition, input.partition, `${record.topic}: ${placeOf(input)} lies in another partition`)
    assert.ok(!found.has(placeOf(input)), `${record.topic}: ${placeOf(input)} is there twice`)
    assert.ok(input.offset > (last.get(input.partition) ?? -1), `${record.topic}: ${placeOf(input)} is out of order`)
    last.set(input.partition, input.offset)
    found.set(placeOf(input), { record, value })
  }
  return found
}
