import { hash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createKeyLookup } from '../../services/domain/keyring.ts'
import { createReceiptCheck, mismatch } from '../../services/domain/receipt.ts'
import type { CleanItem } from '../../services/domain/records.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { readTopic } from '../../services/platform/kafka/read-topic.ts'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { withProgress } from '../../services/platform/progress.ts'
import { readSigningKey } from '../../services/platform/signing-key.ts'
import { asTable } from '../../services/platform/table.ts'
import { exportDataset } from '../../services/train/dataset/export.ts'
import { openCleanReader } from '../../services/train/read-clean.ts'
import { snapshotNow } from '../../services/train/snapshot.ts'
import { type Bench, openBench, openScope } from '../integration/harness.ts'
import { photograph } from '../integration/items.ts'
import { signedItem } from '../train/signed-items.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'
import { readOptions, wholeNumber } from './options.ts'

/*
 * What it costs to prove that an item was cleared: signing and checking one, in microseconds, and how many items a second the clean reader hands
 * out beside one that reads the same records and bytes and checks nothing, and how many an export writes for a second of one core. On real Kafka, in one run, one after the other.
 */
const USAGE = 'train.ts [--times 5] [--items 4000]'
const PARTITIONS = 4
const RECEIPTS = 2000
const AT_ONCE = 32

const options = { times: wholeNumber.default(5), items: wholeNumber.default(4000) }
const { times, items } = readOptions(USAGE, options)

await withStack(async () => {
  const scope = openScope('train')
  try {
    const bench = await openBench(scope, { partitions: PARTITIONS })
    const bytes = await withProgress(`${items} items are cleared`, () => clear(bench))
    const [signs, checks, proven, bare]: [number[], number[], number[], number[]] = [[], [], [], []]
    const exported: number[] = []
    await withProgress('signing, checking, reading', async () => {
      for (let time = 0; time < times; time++) {
        const { sign, check } = await receiptMicroseconds(bench)
        signs.push(sign)
        checks.push(check)
        bare.push(await perSecond(() => readBare(bench)))
        proven.push(await perSecond(() => readProven(bench)))
        exported.push(await exportedPerCore(bench, time))
      }
    })
    const ratios = proven.map((rate, at) => rate / (bare[at] ?? Number.NaN))
    keep(
      {
        receiptSignMicroseconds: spread(signs),
        receiptCheckMicroseconds: spread(checks),
        trainReadVsBare: spread(ratios),
        trainReadPerSecond: spread(proven),
        trainExportPerCoreSecond: spread(exported),
      },
      { trainRaw: { items, bytesEach: Math.round(bytes / items), proven, bare, exported } },
    )
    const rows = [
      ['signing a receipt, microseconds', inWords(spread(signs), 0)],
      ['checking a receipt, microseconds', inWords(spread(checks), 0)],
      ['items a second, proven', inWords(spread(proven), 0)],
      ['items a second, unchecked', inWords(spread(bare), 0)],
      ['proven / unchecked', inWords(spread(ratios), 2)],
      ['items for a second of one core, exported', inWords(spread(exported), 0)],
    ]
    process.stdout.write(
      `${items} items of ${Math.round(bytes / items)} bytes\n${asTable(['what', 'median (range)'], rows)}\n`,
    )
    scope.passed = true
  } finally {
    await scope.close()
  }
})

/** Photographs, each with some bytes of its own at its end. @returns bytes of all of them */
async function clear(bench: Bench): Promise<number> {
  const key = readSigningKey(bench.settings.signingKey)
  const photographs = (['nagasaki-boats', 'locomotion-house-cat', 'allium-oreophilum'] as const).map(photograph)
  const store = bench.store('clean')
  await store.make()
  const { cluster } = await snapshotNow(bench.settings)
  let written = 0
  for (let from = 0; from < items; from += 100) {
    const some = Array.from({ length: Math.min(100, items - from) }, (_, n) => from + n)
    const objects = some.map((n) => {
      const picture = photographs[n % photographs.length] ?? Buffer.alloc(0)
      const bytes = Buffer.concat([picture, Buffer.from(`\n${n}`)])
      written += bytes.length
      return { n, bytes, sha256: hash('sha256', bytes) }
    })
    await store.writeAll(objects)
    const messages = objects.map(async ({ n, bytes }) => {
      const input = { cluster, topic: bench.topic('crawl.items'), partition: n % PARTITIONS, offset: n }
      const item = signedItem(key, { id: `item-${n}`, bytes, input })
      return { key: item.id, partition: n % PARTITIONS, value: await bench.registry.encode('gate.clean', item) }
    })
    await bench.produce('gate.clean', await Promise.all(messages))
  }
  return written
}

async function receiptMicroseconds(bench: Bench): Promise<{ sign: number; check: number }> {
  const key = readSigningKey(bench.settings.signingKey)
  const checkReceipt = createReceiptCheck(createKeyLookup(readKeyring(bench.settings.keyring)))
  const input = { cluster: 'bench', topic: 'crawl.items', partition: 0, offset: 0 }
  const bytes = Buffer.from('a small picture')
  const began = performance.now()
  const signed: CleanItem[] = []
  for (let n = 0; n < RECEIPTS; n++) signed.push(signedItem(key, { id: `item-${n}`, bytes, input }))
  const between = performance.now()
  for (const item of signed) {
    const receipt = await checkReceipt(item.receipt)
    if (typeof receipt === 'string' || mismatch(receipt, item) !== null) throw new Error('a receipt does not hold')
  }
  const end = performance.now()
  return { sign: ((between - began) * 1000) / RECEIPTS, check: ((end - between) * 1000) / RECEIPTS }
}

async function perSecond(read: () => Promise<number>): Promise<number> {
  const began = performance.now()
  const count = await read()
  if (count !== items) throw new Error(`${count} of ${items} items were read`)
  return count / ((performance.now() - began) / 1000)
}

/** Into a new folder; by the processor time of this process, all its threads together. */
async function exportedPerCore(bench: Bench, time: number): Promise<number> {
  const folder = join(bench.folder, `dataset-${time}`)
  const before = process.cpuUsage()
  const { counts } = await exportDataset(bench.settings, {
    folder,
    shardBytes: 100_000_000,
    shardItems: 10_000,
    toNow: true,
    about: {},
  })
  const { user, system } = process.cpuUsage(before)
  await rm(folder, { recursive: true })
  if (counts.handed !== items) throw new Error(`${counts.handed} of ${items} items were exported`)
  return items / ((user + system) / 1_000_000)
}

async function readProven(bench: Bench): Promise<number> {
  const reader = await openCleanReader(bench.settings)
  let count = 0
  for await (const { bytes } of reader.items()) count += bytes.length > 0 ? 1 : 0
  await reader.close()
  return count
}

/** The same records and bytes, as many at once. */
async function readBare(bench: Bench): Promise<number> {
  const store = bench.store('clean')
  let count = 0
  const begun = new Set<Promise<void>>()
  await readTopic<CleanItem>({
    kafka: createKafka(bench.settings, 'bench-train'),
    registry: bench.registry,
    prefix: bench.settings.prefix,
    topic: 'gate.clean',
    isWanted: () => true,
    async onValue({ payload }) {
      const work: Promise<void> = store.read(payload.reference, payload.size).then((bytes) => {
        count += bytes.length > 0 ? 1 : 0
        begun.delete(work)
      })
      begun.add(work)
      if (begun.size >= AT_ONCE) await Promise.race(begun)
    },
  })
  await Promise.all(begun)
  return count
}
