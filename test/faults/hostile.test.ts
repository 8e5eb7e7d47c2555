import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { families, makePair } from '../gate/hostile/corpus.ts'
import type { HostileFile } from '../gate/hostile/file.ts'
import { ordinaryFiles } from '../gate/hostile/ordinary.ts'
import { audit } from '../integration/audit.ts'
import { openBench } from '../integration/harness.ts'
import { crawlItem, pdq, sha256, tinyPicture } from '../integration/items.ts'

/** Longer payloads go by reference, as from a crawler. */
const LONGEST_INLINE = 600_000
/** Most memory that the gate itself may take, while its scanners open bombs. */
const GATE_BYTES = 700_000_000

type Sent = { payload: Buffer; expected: HostileFile['expected'] | 'clean' }

test('hostile files end with scanners, never with the gate, and only what was wholly looked at is clean', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const pair = await makePair()
  const known = await pdq(pair.known)
  await bench.importList('stand-in', [{ id: 'known', pdq: known.hex, quality: String(known.quality) }])

  const files: Sent[] = []
  for (const make of Object.values(families)) {
    for (const { bytes, expected } of await make(pair)) files.push({ payload: bytes, expected })
  }
  for (const { name, bytes } of await ordinaryFiles()) {
    // The photograph whose smaller copy is the known picture.
    if (name !== 'nagasaki-boats') files.push({ payload: bytes, expected: 'clean' })
  }
  const sent = new Map<string, Sent>()
  for (const [index, file] of files.entries()) {
    sent.set(`hostile-${index}`, file)
    sent.set(`good-${index}`, { payload: await tinyPicture(index), expected: 'clean' })
  }
  const intake = bench.store('intake')
  const messages = [...sent].map(async ([id, { payload }], index) => {
    const byReference = index % 4 === 0 || payload.length > LONGEST_INLINE
    if (byReference) await intake.write(sha256(payload), payload)
    const item = crawlItem(id, byReference ? { reference: sha256(payload) } : { inline: payload })
    return { key: id, partition: index % bench.partitions, value: await bench.registry.encode('crawl.items', item) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))

  const gate = bench.startGate({ words: ['--until-caught-up'], environment: { SLUICE_SCANNERS: '2' } })
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, peakBytes(gate.pid))
  }, 200)
  assert.deepEqual(await gate.ended, { code: 0, signal: null })
  clearInterval(timer)

  const fates = await audit(bench)
  assert.equal(fates.length, sent.size)
  for (const { verdict, outcome, reasons } of fates) {
    const { expected } = sent.get(verdict.itemId ?? '') ?? {}
    const what = `${verdict.itemId} (${expected}): ${outcome} ${reasons}`
    if (expected === 'clean') assert.equal(outcome, 'clean', what)
    else if (expected !== 'alive') assert.equal(outcome, 'quarantine', what)
    if (expected === 'found') assert.ok(reasons.includes('KNOWN_NEAR'), what)
  }
  assert.ok(peak > 0 && peak < GATE_BYTES, `the gate took ${Math.round(peak / 1e6)} MB`)
})

/** The most resident memory that a process ever had; 0 where the system does not say. */
function peakBytes(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
