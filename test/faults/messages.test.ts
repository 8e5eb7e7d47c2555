import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { acquisition } from '../../services/domain/envelope.ts'
import { produceForeign, type RawRecord, readStore, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { type Mutable, mutations } from './mutations.ts'
import { type Chance, createChance } from './seeded.ts'

const MESSAGES = Number(process.env.MESSAGES ?? 2000)
const SEED = Number(process.env.SEED ?? randomInt(1_000_000_000))
const PORTION = 2000
const PICTURES = 40
const UNTOUCHED = 0.1
/** What a gate's process may take, whatever comes; an idle one takes about 150 MiB. */
const MOST_MEMORY = 700 * 1_048_576
/** Stands wherever a crawler may put text, and must not be in a log. */
const SECRET = 'hidden-from-logs'

type Sent = { mutated: string[]; good: 'clean' | 'known'; key: Buffer | null; value: Buffer | null }

/** Valid items, all of whose groups that a gate reads are there; half of them by reference, every fifth is known. */
async function validItems(
  bench: Bench,
): Promise<Array<{ id: string; value: Buffer; isKnown: boolean; digest: string }>> {
  return await Promise.all(
    Array.from({ length: PICTURES }, async (_, n) => {
      const picture = await tinyPicture(n)
      const digest = sha256(picture)
      await bench.store('intake').write(digest, picture)
      const id = `picture-${n}`
      const content = n % 2 === 0 ? { inline: picture } : { reference: digest }
      const item = crawlItem(id, content, { sha256: digest, size: picture.length })
      const url = `https://example.org/${SECRET}`
      item.envelope.acquisition = acquisition({
        crawler: SECRET,
        requestedUrl: url,
        redirects: [url, url],
        status: 200,
        responseHeaders: [{ name: 'etag', value: SECRET }],
      })
      item.envelope.origin = {
        pageUrl: url,
        pageTitle: SECRET,
        caption: SECRET,
        uploaderId: SECRET,
        uploaderHandle: SECRET,
        uploaderProfileUrl: url,
        uploadedAtClaimed: null,
        platform: SECRET,
      }
      item.envelope.extra = { [SECRET]: SECRET, other: url }
      return { id, value: await bench.registry.encode('crawl.items', item), isKnown: n % 5 === 0, digest }
    }),
  )
}

function mutate(message: Mutable, chance: Chance, others: readonly Buffer[]): string[] {
  if (chance.next() < UNTOUCHED) return []
  const names = Array.from({ length: chance.next() < 0.7 ? 1 : chance.between(2, 4) }, () =>
    chance.pick(Object.keys(mutations)),
  )
  for (const name of names) mutations[name]?.(message, chance, others)
  return names
}

test(`of ${MESSAGES} mutated messages none is clean that was not scanned whole, and each has its one outcome`, {
  skip: skipWithoutPython(),
}, async (t) => {
  t.diagnostic(`SEED=${SEED} repeats this run`)
  const bench = await openBench(t)
  const valid = await validItems(bench)
  const values = valid.map(({ value }) => value)
  const mayBeClean = new Set(valid.filter(({ isKnown }) => !isKnown).map(({ digest }) => digest))
  await bench.importList(
    'stand-in',
    valid.filter(({ isKnown }) => isKnown).map(({ digest }) => ({ sha256: digest })),
  )
  const gate = bench.startGate()
  await gate.untilReady()

  const sent = new Map<string, Sent>()
  const chance = createChance(SEED, 'messages')
  for (let from = 0; from < MESSAGES; from += PORTION) {
    const records: RawRecord[] = []
    const portion: Sent[] = []
    for (let n = from; n < Math.min(MESSAGES, from + PORTION); n++) {
      const { id, value, isKnown } = chance.pick(valid)
      const message: Mutable = { key: Buffer.from(id), value: Buffer.from(value), headers: [] }
      const mutated = mutate(message, chance, values)
      records.push({ topic: bench.topic('crawl.items'), partition: n % bench.partitions, ...message })
      portion.push({ mutated, good: isKnown ? 'known' : 'clean', key: message.key, value: message.value })
    }
    const offsets = await produceForeign(bench.settings, records)
    for (const [n, each] of portion.entries()) sent.set(`${records[n]?.partition}/${offsets[n]}`, each)
  }
  await waitFor('the gate has caught up', () => bench.caughtUp(), { seconds: 300 + MESSAGES / 10, everyMs: 1000 })
  assert.ok(gate.running(), 'the gate is still there')
  const peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${gate.pid}/status`, 'utf8'))?.[1]) * 1024
  t.diagnostic(`${Math.round(peak / 1_048_576)} MiB at most`)
  assert.ok(peak < MOST_MEMORY, `the gate took ${Math.round(peak / 1_048_576)} MiB`)
  await bench.stopGate(gate)
  assert.equal(gate.events.filter(({ event }) => event === 'assigned').length, 1, 'the group was never lost')
  assert.ok(!gate.stderr().includes(SECRET), 'what crawlers write is not in the log')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert.doesNotMatch(gate.stderr(), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, 'nor is what moves a cursor')

  const fates = await audit(bench)
  assert.equal(fates.length, MESSAGES)
  const held = new Map((await readStore(bench.storeFolder('held'))).map((object) => [object.name, object]))
  const counts = new Map<string, number>()
  for (const { door, outcome, reasons, verdict, held: record } of fates) {
    const each = sent.get(`${door.partition}/${door.offset}`)
    assert.ok(each)
    const what = `SEED=${SEED}, ${door.partition}/${door.offset}: ${each.mutated.join(', ') || 'nothing changed'}`
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    if (outcome === 'clean') {
      assert.ok(
        mayBeClean.has(verdict.sha256 ?? ''),
        `${what}: clean, and no picture that was sent whole and is not known`,
      )
      assert.deepEqual(reasons, [], what)
    } else {
      const original = held.get(record?.heldReference ?? '')?.record
      assert.ok(original, `${what}: not in the held store`)
      assert.equal(original.key?.sha256 ?? null, each.key && sha256(each.key), what)
      assert.equal(original.value?.sha256 ?? null, each.value && sha256(each.value), what)
    }
    if (each.mutated.length === 0) assert.equal(outcome, each.good === 'known' ? 'quarantine' : 'clean', what)
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(counts)))
})
