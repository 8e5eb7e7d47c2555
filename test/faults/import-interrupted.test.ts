import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { z } from 'zod'
import { audit } from '../integration/audit.ts'
import { startSluice, stopWhen } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, sha256, tinyPicture } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'
import { createChance } from './seeded.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
/** Enough for a gate to keep a snapshot; ten stops among a million in `make soak`. */
const ENTRIES = Number(process.env.ENTRIES ?? 60_000)
const STOPS = Number(process.env.STOPS ?? 3)
const ITEMS_EACH = 10
const versions = z.tuple([z.looseObject({ version: z.string() })])

const known = await Promise.all(Array.from({ length: 10 }, (_, n) => tinyPicture(n)))
const others = await Promise.all(Array.from({ length: 10 }, (_, n) => tinyPicture(100 + n)))

/**
 * A version's pictures among many other entries, spread over the file. The next one has other pictures under the same ids, and every entry is another
 * one there: whoever takes what comes as it comes holds something else than either version.
 */
function* rows(version: 'v1' | 'v2'): Generator<string> {
  const pictures = { v1: known, v2: others }[version]
  yield 'id,sha256,classification\n'
  const each = Math.floor(ENTRIES / pictures.length)
  for (let n = 0; n < ENTRIES; n++) {
    const picture = n % each === 0 ? pictures[n / each] : undefined
    yield `e${n},${picture === undefined ? hash('sha256', String(n)) : sha256(picture)},${version}\n`
  }
}

async function send(bench: Bench, round: string): Promise<void> {
  const messages = Array.from({ length: ITEMS_EACH }, (_, n) => n).flatMap((n) =>
    [
      { key: `known-${round}-${n}`, inline: known[n % known.length] },
      { key: `other-${round}-${n}`, inline: others[n % others.length] },
    ].map(async ({ key, inline }) => ({
      key,
      value: await bench.registry.encode('crawl.items', crawlItem(key, { inline: inline ?? Buffer.alloc(0) })),
    })),
  )
  await bench.produce('crawl.items', await Promise.all(messages))
}

test(`a gate that is killed and started again in the middle of an import of ${ENTRIES} entries judges by the version in force, whole, and by the next one when that is (SEED=${SEED})`, async (t) => {
  const chance = createChance(SEED)
  const bench = await openBench(t, { partitions: 2 })
  const files = await Promise.all(
    (['v1', 'v2'] as const).map(async (version) => {
      const file = join(bench.folder, `${version}.csv`)
      await pipeline(Readable.from(rows(version)), createWriteStream(file))
      return file
    }),
  )
  const importWords = (file = ''): string[] => ['lists', 'import', file, '--list', 'stand-in']
  await bench.sluice(importWords(files[0]))
  const [{ version: firstVersion }] = versions.parse(
    JSON.parse((await bench.sluice(['lists', 'versions', 'stand-in', '--json'])).stdout()),
  )
  const begin = await bench.endOf('gate.hash-entries')
  let gate = bench.startGate()
  await gate.untilReady()

  // Not at the end, which may have come by the time that this is seen.
  const points = Array.from({ length: STOPS }, () => chance.between(0, ENTRIES * 0.7)).toSorted((a, b) => a - b)
  const importing = startSluice(importWords(files[1]), bench.environment)
  const underWay = new Set<string>()
  for (const [stop, point] of points.entries()) {
    const written = async (): Promise<boolean> => (await bench.endOf('gate.hash-entries')) - begin >= point
    await stopWhen(importing, `${point} entries are written`, written)
    if (importing.running() && (await bench.endOf('gate.hash-entries')) - begin < ENTRIES + 1) underWay.add(`${stop}`)
    gate.kill('SIGKILL')
    await gate.ended
    if (stop % 2 === 0) await rm(bench.environment.SLUICE_SNAPSHOTS ?? '', { recursive: true, force: true })
    await send(bench, String(stop))
    gate = bench.startGate()
    await gate.untilReady()
    await waitFor('all are judged', () => bench.caughtUp())
    importing.kill('SIGCONT')
  }
  assert.equal((await importing.ended).code, 0, importing.stderr())
  assert.ok(underWay.size >= STOPS * 0.6, `the import was still under way at ${underWay.size} of ${STOPS} stops`)
  await waitFor('the gate has the next version', () =>
    gate.events.some(({ event, version }) => event === 'list' && version !== firstVersion),
  )
  await send(bench, 'end')
  await waitFor('all are judged', () => bench.caughtUp())

  const fates = await audit(bench)
  assert.equal(fates.length, (STOPS + 1) * 2 * ITEMS_EACH)
  for (const { verdict, outcome } of fates) {
    const [kind, round = ''] = verdict.itemId?.split('-') ?? []
    const isFirst = verdict.listVersions[0]?.version === firstVersion
    assert.equal(outcome, (kind === 'known') === isFirst ? 'quarantine' : 'clean', verdict.itemId ?? '')
    if (underWay.has(round)) assert.ok(isFirst, `${verdict.itemId} was judged by a version that was not whole`)
    if (round === 'end') assert.ok(!isFirst, `${verdict.itemId} was judged by the version before`)
  }
})
