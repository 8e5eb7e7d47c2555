import { readSigningKey } from '../../services/platform/signing-key.ts'
import { readRecalls } from '../../services/train/dataset/recall-file.ts'
import type { NewItem } from '../../services/train/dataset/shard-writer.ts'
import { snapshotNow } from '../../services/train/snapshot.ts'
import { type Bench, type BenchOptions, openBench, type Scope } from '../integration/harness.ts'
import { newItem } from './made-dataset.ts'

/** A bench whose clean store is there. */
export async function openTrainBench(t: Scope, options: BenchOptions = {}): Promise<Bench> {
  const bench = await openBench(t, options)
  await bench.store('clean').make()
  return bench
}

/** Puts items where a gate would, signed with its key: for tests of what comes behind it. */
export async function clearItems(bench: Bench, numbers: readonly number[]): Promise<NewItem[]> {
  const key = readSigningKey(bench.settings.signingKey)
  const { cluster } = await snapshotNow(bench.settings)
  const cleared = numbers.map((number) => {
    const partition = number % bench.partitions
    const input = { cluster, topic: bench.topic('crawl.items'), partition, offset: number }
    return newItem(number, key, { input }, Date.now())
  })
  await bench.store('clean').writeAll(cleared.map(({ item, bytes }) => ({ sha256: item.payload.reference, bytes })))
  const messages = cleared.map(async ({ item }) => ({
    key: item.id,
    partition: item.input.partition,
    value: await bench.registry.encode('gate.clean', item),
  }))
  await bench.produce('gate.clean', await Promise.all(messages))
  return cleared
}

/** Has it on gate.recalls that these were recalled, or that their recall was withdrawn. */
export async function recall(bench: Bench, items: readonly NewItem[], state = 'recalled'): Promise<void> {
  const messages = items.map(async ({ item }) => ({
    key: item.payload.reference,
    value: await bench.registry.encode('gate.recalls', {
      sha256: item.payload.reference,
      state,
      input: item.input,
      matches: [],
      recalledAt: Date.now(),
      acceptedBy: null,
      acceptedReason: null,
    }),
  }))
  await bench.produce('gate.recalls', await Promise.all(messages))
}

/** What a bench has recalled by now. */
export function recallsNow(bench: Bench) {
  return readRecalls(bench.settings, Date.now())
}
