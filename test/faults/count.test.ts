import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { emptyEnvelope, trainingView } from '../../services/domain/envelope.ts'
import { DOOR } from '../../services/domain/topics.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { countOutcomes, faultsOf, noFaults, type OutcomeFaults } from '../foreign/outcome-count.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'

/** Items of each partition of the door. */
const ITEMS = 4
const good = Buffer.from('what was judged')
const absent = Buffer.from('what is nowhere')
const changed = Buffer.from('what was changed')

/** What is written about one partition: offsets in this order, where not all of them in turn. */
type Doctored = {
  fault: Partial<OutcomeFaults>
  clean?: readonly number[]
  verdicts?: readonly number[]
  envelopes?: readonly number[]
  /** outcomes of the third kind beside those on gate.clean */
  review?: readonly number[]
  payload?: Buffer
  verdictKey?: string
  committed?: number
}

const doctored: readonly Doctored[] = [
  { fault: {} },
  { fault: { duplicates: 1 }, verdicts: [0, 1, 1, 2, 3] },
  { fault: { duplicates: 1 }, clean: [0, 1, 2, 2, 3] },
  { fault: { duplicates: 2 }, review: [0, 1] },
  { fault: { losses: 1 }, clean: [0, 1, 3], verdicts: [0, 1, 3], envelopes: [0, 1, 3] },
  { fault: { losses: 1 }, verdicts: [0, 1, 2] },
  { fault: { losses: 2 }, envelopes: [2, 3] },
  { fault: { orderFaults: 1 }, clean: [0, 2, 1, 3] },
  { fault: { strays: 1 }, envelopes: [0, 1, 2, 3, 4] },
  { fault: { disagreements: ITEMS }, verdictKey: 'another' },
  { fault: { missingObjects: 1 }, payload: absent },
  { fault: { wrongObjects: 1 }, payload: changed },
  { fault: { behind: 1 }, committed: ITEMS - 1 },
]

test('the count finds a duplicate, a loss, a wrong order, a missing object and all else that must not be', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: doctored.length })
  for (const name of ['clean', 'held'] as const) await bench.store(name).make()
  for (const name of ['clean', 'held'] as const) await bench.store(name).write(sha256(good), good)
  await mkdir(join(bench.storeFolder('clean'), sha256(changed).slice(0, 2)), { recursive: true })
  await writeFile(join(bench.storeFolder('clean'), sha256(changed).slice(0, 2), sha256(changed)), 'other bytes')

  const offsets = Array.from({ length: ITEMS }, (_, offset) => offset)
  for (const [partition, each] of doctored.entries()) {
    const send = async (topic: Output, which: readonly number[], key = 'item') => {
      const messages = which.map(async (offset) => {
        const value = await bench.registry.encode(topic, output(bench, topic, partition, offset, each.payload ?? good))
        return { key: `${key}-${offset}`, partition, value }
      })
      await bench.produce(topic, await Promise.all(messages))
    }
    await bench.produce(
      DOOR,
      offsets.map((offset) => ({ key: `item-${offset}`, partition, value: 'not looked at' })),
    )
    await send('gate.clean', each.clean ?? offsets)
    await send('gate.verdicts', each.verdicts ?? offsets, each.verdictKey)
    await send('gate.envelopes', each.envelopes ?? offsets)
    if (each.review !== undefined) await send('gate.review', each.review)
  }
  await bench.ask((admin) =>
    admin.setOffsets({
      groupId: bench.group,
      topic: bench.topic(DOOR),
      partitions: doctored.map(({ committed = ITEMS }, partition) => ({ partition, offset: String(committed) })),
    }),
  )

  const count = await countOutcomes(bench.settings)
  const found = doctored.map((_, partition) => count.examples.filter((each) => each.includes(` ${partition}/`)))
  assert.deepEqual(
    found.map((examples) =>
      Object.fromEntries(
        Map.groupBy(examples, kindOf)
          .entries()
          .map(([kind, all]) => [kind, all.length]),
      ),
    ),
    doctored.map(({ fault }) => fault),
  )
  const total = { ...noFaults }
  for (const kind of count.examples.map(kindOf)) total[kind] += 1
  assert.deepEqual(faultsOf(count), total)
  assert.equal(count.items, ITEMS * doctored.length)
})

type Output = 'gate.clean' | 'gate.review' | 'gate.verdicts' | 'gate.envelopes'

/** What a gate writes about a clean item, or a held one on gate.review. */
function output(bench: Bench, topic: Output, partition: number, offset: number, payload: Buffer): unknown {
  const input = { cluster: 'by hand', topic: bench.topic(DOOR), partition, offset }
  const id = `item-${offset}`
  const judged = { input, itemId: id, reasons: [], matches: [], policyHash: '', listVersions: [], engineVersion: '' }
  switch (topic) {
    case 'gate.envelopes':
      return { input, envelope: emptyEnvelope() }
    case 'gate.clean': {
      const reference = { reference: sha256(payload), size: payload.length, mediaType: 'image/png' }
      return { input, id, payload: reference, training: trainingView(emptyEnvelope()), receipt: null }
    }
    case 'gate.review':
      return { ...judged, outcome: 'review', heldReference: sha256(good), payloadReference: null }
    case 'gate.verdicts':
      return { ...judged, ...noContent, outcome: 'clean', inputTimestamp: 0, judgedAt: 0, attempt: 0, fingerprint: [] }
  }
}

const noContent = {
  mediaType: null,
  size: null,
  sha256: null,
  supplyKind: null,
  supplier: null,
  dataset: null,
  heldReference: null,
}

function kindOf(example: string): keyof OutcomeFaults {
  const [kind = ''] = example.split(':')
  if (!isKind(kind)) throw new RangeError(`${kind} is no fault`)
  return kind
}

function isKind(text: string): text is keyof OutcomeFaults {
  return Object.hasOwn(noFaults, text)
}
