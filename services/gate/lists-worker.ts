import { parentPort } from 'node:worker_threads'
import { buildMatchTables } from '../domain/match/match-index.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readKeptVersion } from '../platform/kept-versions.ts'
import { useLargePages } from '../platform/large-pages.ts'
import { createRegistry } from '../platform/registry.ts'
import { releaseMemory } from '../platform/release-memory.ts'
import type { Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import { packError, type ThreadError } from '../platform/thread-error.ts'
import { collectLists, type ListsNews } from './collect-lists.ts'
import { keepSnapshot, type SnapshotEvent } from './keep-snapshot.ts'

/** Entries whose index takes some hundredths of a gigabyte. */
const LARGE = 250_000
/** Not at once: a gate that starts has better things to do. */
const RELEASE_MS = 5000

/** What the thread that collects the lists says. An error is packed on its way. */
export type ListsMessage =
  | { kind: 'news'; news: Omit<ListsNews, 'unbuilt'>; unbuilt: ThreadError | null }
  | { kind: 'trouble'; error: ThreadError }
  | { kind: 'snapshot'; event: SnapshotEvent }
  /** it is about to build an index: whatever is left of older ones is in the way */
  | { kind: 'building' }

// Entry of the thread that collects the hash lists, see `lists-thread.ts`.
parentPort?.once('message', (settings: Settings) => void collect(settings))

/** Collects the lists and tells the thread that started this one, until that one ends it. */
async function collect(settings: Settings): Promise<void> {
  const say = (message: ListsMessage): void => parentPort?.postMessage(message)
  const onTrouble = (error: unknown): void => say({ kind: 'trouble', error: packError(error) })
  const { prefix, snapshots: folder } = settings
  const source = {
    kafka: createKafka(settings, 'sluice-gate-lists'),
    registry: createRegistry(settings),
    prefix,
    onTrouble,
  }
  const store = await openStore(settings, 'lists', { threads: 1 })
  collectLists({
    ...source,
    readKept: (manifest) => readKeptVersion(store, manifest),
    snapshot:
      folder === null
        ? undefined
        : keepSnapshot({ ...source, folder, onEvent: (event) => say({ kind: 'snapshot', event }) }),
    onNews({ unbuilt, ...news }) {
      say({ kind: 'news', news, unbuilt: unbuilt && packError(unbuilt) })
      if (news.tables === undefined) return
      // The index before, and what was needed to build this one.
      setTimeout(releaseMemory, RELEASE_MS).unref()
      // It is searched by now.
      for (const { table } of news.tables.bySignal) if ('memory' in table) useLargePages(table.memory.buffer)
    },
    build(known) {
      // A small one is built sooner than others are cleared away.
      if (known.reduce((sum, { entries }) => sum + entries.length, 0) > LARGE) {
        say({ kind: 'building' })
        releaseMemory()
      }
      return buildMatchTables(known)
    },
  })
}
