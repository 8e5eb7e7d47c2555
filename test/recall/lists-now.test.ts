import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entryKey, listDigest, manifestKey } from '../../services/domain/hash-list.ts'
import { HashListCollector } from '../../services/domain/hash-list-state.ts'
import { createVersionPlaces } from '../../services/domain/list-news.ts'
import type { HashListEntry, HashListRecord } from '../../services/domain/records.ts'
import { listsNow } from '../../services/recall/lists-now.ts'

const policy = { lists: { trial: { mode: 'shadow' as const, maxAgeHours: 1, leastMatchable: 0 } } }

function entry(list: string, id: string, fill: number): HashListEntry {
  return {
    list,
    id,
    signals: [{ signal: 'md5', value: Buffer.alloc(16, fill) }],
    classification: null,
    opinions: [],
    withdrawn: false,
  }
}

/** A topic, as far as it has been read. */
function openTopic() {
  const collector = new HashListCollector()
  const places = createVersionPlaces()
  let offset = 0
  const apply = (key: string, record: HashListRecord | null): void => {
    if (collector.apply(key, record, offset) === 'version')
      places.note({ key, offset, manifest: record?.manifest ?? null })
    offset += 1
  }
  return {
    now: () => listsNow(collector, places, policy),
    put: (one: HashListEntry) => apply(entryKey(one.list, one.id), { entry: one, manifest: null }),
    take: (list: string, id: string) => apply(entryKey(list, id), null),
    close(list: string, version: string, entries: HashListEntry[]) {
      const manifest = {
        list,
        version,
        entries: entries.length,
        digest: listDigest(entries),
        checkedAt: 0,
        shadowed: [],
        signals: [],
        cause: null,
      }
      apply(manifestKey(list, version), { entry: null, manifest })
    },
  }
}

test('while an import is under way, the entries are those of the version in force', () => {
  const topic = openTopic()
  const [a, b, c] = [entry('stand-in', 'a', 1), entry('stand-in', 'b', 2), entry('stand-in', 'c', 3)]
  for (const one of [a, b]) topic.put(one)
  topic.close('stand-in', 'v1', [a, b])
  const ids = new Set(['a', 'b', 'c'])
  const now = topic.now()
  assert.deepEqual(
    now.versions.map(({ version, offset }) => ({ version, offset })),
    [{ version: 'v1', offset: 2 }],
  )
  assert.deepEqual(now.entriesOf('stand-in', ids), [a, b])
  assert.deepEqual([now.entryOf('stand-in', 'a'), now.entryOf('stand-in', 'c')], [a, undefined])

  topic.take('stand-in', 'a')
  topic.put(c)
  topic.put(entry('stand-in', 'b', 9))
  for (const one of [now, topic.now()]) {
    assert.deepEqual(one.entriesOf('stand-in', ids), [a, b])
    assert.equal(one.entryOf('stand-in', 'a'), 'unknown')
  }

  topic.close('stand-in', 'v2', [entry('stand-in', 'b', 9), c])
  assert.deepEqual(now.entriesOf('stand-in', ids), [a, b], 'what was in force then')
  assert.deepEqual(topic.now().entriesOf('stand-in', ids), [entry('stand-in', 'b', 9), c])
})

test('a list in shadow, or without a complete version, is none that anything is compared with', () => {
  const topic = openTopic()
  topic.put(entry('trial', 'a', 1))
  topic.close('trial', 'v1', [entry('trial', 'a', 1)])
  topic.put(entry('stand-in', 'a', 1))
  assert.deepEqual(topic.now().versions, [])
  assert.deepEqual(topic.now().entriesOf('trial', new Set(['a'])), [])
  assert.equal(topic.now().entryOf('stand-in', 'a'), undefined)
})
