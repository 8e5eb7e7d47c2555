import pLimit from 'p-limit'
import { SluiceError } from '../domain/errors.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import type { Store } from '../platform/stores/store.ts'
import { doorNeedsSince } from './judged-door.ts'
import { type References, readIntakeReferences, readReferences } from './references.ts'

/** Far longer than a transaction lasts, and than a writer trusts in an object that it finds. */
const OLD_MS = 7 * 24 * 3_600_000
const AT_ONCE = 16

export const collectedStores = ['clean', 'held', 'intake'] as const
export type CollectedStore = (typeof collectedStores)[number]

/** What lies in a store, in numbers of objects. */
export type CollectReport = {
  store: CollectedStore
  objects: number
  /** younger than a week: not looked at */
  young: number
  /** old, and referred to */
  referred: number
  /** old, and nothing refers to them */
  unreferred: number
  unreferredBytes: number
  /** begun more than a week ago, and never ended */
  drafts: number
  /** of both, taken away; by a dry run none */
  removed: number
}

export type CollectOptions = {
  settings: Settings
  registry: Registry
  store: CollectedStore
  /** whether to take away, or only to count */
  apply: boolean
  /** milliseconds since the epoch */
  now: number
  /** told from time to time how far things are */
  onProgress: (text: string) => void
}

/**
 * Finds what nothing needs in a store, and takes it away when told to.
 * @throws {SluiceError} as `readReferences` and `doorNeedsSince`; STORE_UNREACHABLE; USAGE where no record refers to anything in clean or held at all,
 *   though there are old objects: those are rather the records of another gate
 */
export async function collect(options: CollectOptions): Promise<CollectReport> {
  const { settings, registry, now, onProgress } = options
  const store = await openStore(settings, options.store)
  await store.find()
  const report: CollectReport = {
    store: options.store,
    objects: 0,
    young: 0,
    referred: 0,
    unreferred: 0,
    unreferredBytes: 0,
    drafts: 0,
    removed: 0,
  }
  const onRead = (read: number, total: number): void =>
    onProgress(`${options.store}: ${read} of about ${total} records read`)
  if (options.store === 'intake') {
    const before = (await doorNeedsSince(settings, now)) - OLD_MS
    await sweep(store, options, before, report, await readIntakeReferences(settings, registry, onRead))
  } else {
    for await (const references of readReferences(settings, registry, options.store, onRead)) {
      await sweep(store, options, now - OLD_MS, report, references)
    }
  }
  for await (const drafts of store.drafts()) {
    for (const draft of drafts) {
      if (draft.begunAt >= now - OLD_MS) continue
      report.drafts += 1
      if (!options.apply) continue
      await draft.abandon()
      report.removed += 1
    }
  }
  return report
}

async function sweep(
  store: Store,
  { apply, onProgress }: CollectOptions,
  before: number,
  report: CollectReport,
  references: References,
): Promise<void> {
  const limit = pLimit(AT_ONCE)
  for await (const objects of store.list()) {
    const covered = objects.filter(({ sha256 }) => references.covers(sha256))
    const old = covered.filter(({ writtenAt }) => writtenAt < before)
    const needless = old.filter(({ sha256 }) => !references.has(sha256))
    // Of intake, what came through the door is copied, and nothing refers to the rest.
    if (references.count === 0 && needless.length > 0 && store.name !== 'intake') {
      const sentence = `no record refers to anything in the ${store.name} store, though it is not empty: are SLUICE_PREFIX and SLUICE_BROKERS those of the gate that writes it?`
      throw new SluiceError('USAGE', sentence)
    }
    report.objects += covered.length
    report.young += covered.length - old.length
    report.referred += old.length - needless.length
    report.unreferred += needless.length
    report.unreferredBytes += needless.reduce((sum, { bytes }) => sum + bytes, 0)
    onProgress(`${store.name}: ${report.objects} objects looked at, ${report.unreferred} of them needless`)
    if (!apply) continue
    await limit.map(needless, async ({ sha256 }) => {
      if (await store.removeOld(sha256, before)) report.removed += 1
    })
  }
}
