import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit, type Fate } from '../integration/audit.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'

const ITEMS = 5000
const KILLS = 10
const HOLD = new URL('hold-transaction.ts', import.meta.url).href

test('a gate killed ten times with a transaction open loses nothing, repeats nothing and keeps the order', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t)
  const expected = await publish(bench)

  for (let kill = 0; kill < KILLS; kill++) {
    // Every transaction of the first few meets its end, on either side of the offsets.
    const hold = `${1 + ((kill * 3) % 7)}:${kill % 2 === 0 ? 'before-commit' : 'before-offsets'}`
    const gate = bench.startGate({
      environment: { SLUICE_CHUNK_ITEMS: '32', HOLD_TRANSACTION: hold },
      preload: [HOLD],
    })
    await gate.event('a transaction is open', ({ event }) => event === 'transaction-held', 60)
    gate.kill('SIGKILL')
    assert.deepEqual(await gate.ended, { code: null, signal: 'SIGKILL' })
  }
  assert.ok((await bench.committed()) < ITEMS, 'there was work left at every kill')
  const last = bench.startGate({ words: ['--until-caught-up'] })
  assert.equal((await last.ended).code, 0)

  const fates = await audit(bench)
  assert.equal(fates.length, ITEMS)
  for (const { verdict, outcome, reasons } of fates) {
    assert.deepEqual({ outcome, reasons }, expected.get(verdict.itemId ?? ''))
  }
})

/** Small items of all kinds of fate, in turns. */
async function publish(bench: Bench): Promise<Map<string, Pick<Fate, 'outcome' | 'reasons'>>> {
  const expected = new Map<string, Pick<Fate, 'outcome' | 'reasons'>>()
  const known: string[] = []
  const messages = Array.from({ length: ITEMS }, async (_, index) => {
    const id = `item-${index}`
    const picture = await tinyPicture(index)
    const inline = index % 10 === 3 ? Buffer.from(`a text, number ${index}`) : picture
    if (index % 100 === 7) {
      known.push(sha256(inline))
      expected.set(id, { outcome: 'quarantine', reasons: ['KNOWN_EXACT'] })
    } else if (inline !== picture) expected.set(id, { outcome: 'quarantine', reasons: ['MEDIA_UNSUPPORTED'] })
    else expected.set(id, { outcome: 'clean', reasons: [] })
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline }))
    return { key: id, partition: index % bench.partitions, value }
  })
  const produced = await Promise.all(messages)
  await bench.importList(
    'stand-in',
    known.map((digest) => ({ sha256: digest })),
  )
  await bench.produce('crawl.items', produced)
  return expected
}
