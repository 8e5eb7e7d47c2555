import type { Kafka, Producer } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { entryKey, entryText, listDigest, manifestKey, versionName } from '../domain/hash-list.ts'
import type { HashListEntry, HashListManifest, HashListRecord } from '../domain/records.ts'
import { prefixed } from '../domain/topics.ts'
import { HASH_ENTRIES } from '../platform/kafka/follow-hash-lists.ts'
import type { Registry } from '../platform/registry.ts'
import { openLists } from './open-lists.ts'

const RECORDS_PER_REQUEST = 500
const CONFIRM_MS = 60_000

export type ImportOptions = {
  kafka: Kafka
  registry: Registry
  prefix: string
  list: string
  /** the whole new version, by entry id */
  entries: ReadonlyMap<string, HashListEntry>
  /** when the source was last known to be current; milliseconds since the epoch */
  checkedAt: number
  /** milliseconds since the epoch */
  now: number
  /** Called as records are written. */
  onProgress?: (done: number, total: number) => void
}

/** What an import did, in numbers of entries. */
export type ImportReport = {
  list: string
  version: string
  digest: string
  checkedAt: string
  entries: number
  added: number
  changed: number
  removed: number
  unchanged: number
}

/**
 * Brings a list on gate.hash-entries to a new version: writes what is new or changed, takes back what is gone, then closes it with a manifest, and
 * reads all that back. Until the manifest is there, readers stay at the version before. It compares with what the topic holds, complete or
 * not, so it also mends an import that stopped half-way.
 * @throws {SluiceError} BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE; LISTS_INCOMPLETE when another import of the list came between
 */
export async function importList(options: ImportOptions): Promise<ImportReport> {
  const { list, entries, checkedAt } = options
  const lists = await openLists(options)
  const producer = options.kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  try {
    const before = lists.collector.collected(list)
    const digest = listDigest(entries.values())
    const version = versionName(options.now, digest, lists.collector.newestVersion(list))
    const gone = [...before.keys()].filter((id) => !entries.has(id))
    const fresh = [...entries.values()].filter((entry) => !before.has(entry.id))
    const changed = [...entries.values()].filter((entry) => {
      const old = before.get(entry.id)
      return old !== undefined && entryText(old) !== entryText(entry)
    })
    const manifest: HashListManifest = { list, version, entries: entries.size, digest, checkedAt }
    const unchanged = entries.size - fresh.length - changed.length

    await connect(producer)
    await send([...fresh, ...changed], gone)
    await write([{ key: manifestKey(list, version), value: await encode({ entry: null, manifest }) }])
    const closed = await lists.waitFor(
      (state) => state.list === list && (isAtLeast(state.inForce, version) || isAtLeast(state.broken, version)),
      CONFIRM_MS,
    )
    if (closed?.inForce?.version !== version) {
      const what = `list ${list}, version ${version}, was written but is not in force`
      throw new SluiceError('LISTS_INCOMPLETE', `${what}: was there another import at the same time? Import it again`)
    }
    return {
      list,
      version,
      digest,
      checkedAt: new Date(checkedAt).toISOString(),
      entries: entries.size,
      added: fresh.length,
      changed: changed.length,
      removed: gone.length,
      unchanged,
    }
  } finally {
    await producer.disconnect()
    await lists.close()
  }

  async function send(wanted: readonly HashListEntry[], gone: readonly string[]): Promise<void> {
    const total = wanted.length + gone.length
    for (let from = 0; from < total; from += RECORDS_PER_REQUEST) {
      const written = wanted.slice(from, from + RECORDS_PER_REQUEST).map(async (entry) => {
        return { key: entryKey(list, entry.id), value: await encode({ entry, manifest: null }) }
      })
      const removedFrom = Math.max(0, from - wanted.length)
      const removed = gone
        .slice(removedFrom, Math.max(0, from + RECORDS_PER_REQUEST - wanted.length))
        .map((id) => ({ key: entryKey(list, id), value: null }))
      await write([...(await Promise.all(written)), ...removed])
      options.onProgress?.(Math.min(total, from + RECORDS_PER_REQUEST), total)
    }
  }

  function encode(record: HashListRecord): Promise<Buffer> {
    return options.registry.encode(HASH_ENTRIES, record)
  }

  async function write(messages: Array<{ key: string; value: Buffer | null }>): Promise<void> {
    const topic = prefixed(options.prefix, HASH_ENTRIES)
    try {
      await producer.send({ topic, acks: -1, messages: messages.map((message) => ({ ...message, partition: 0 })) })
    } catch (cause) {
      throw new SluiceError('BROKER_UNREACHABLE', `${topic} could not be written; import the list again`, { cause })
    }
  }
}

function isAtLeast(found: { version: string } | null, version: string): boolean {
  return found !== null && found.version >= version
}

async function connect(producer: Producer): Promise<void> {
  try {
    await producer.connect()
  } catch (cause) {
    throw new SluiceError('BROKER_UNREACHABLE', undefined, { cause })
  }
}
