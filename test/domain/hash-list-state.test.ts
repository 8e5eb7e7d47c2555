import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { entryKey, listDigest, manifestKey } from '../../services/domain/hash-list.ts'
import { HashListCollector } from '../../services/domain/hash-list-state.ts'
import { packEntries } from '../../services/domain/packed-entries.ts'
import type { HashListEntry, HashListRecord } from '../../services/domain/records.ts'

type Message = { key: string; record: HashListRecord | null | undefined }

function entry(id: string, fill = 1): HashListEntry {
  return {
    list: 'known',
    id,
    signals: [{ signal: 'md5', value: Buffer.alloc(16, fill) }],
    classification: null,
    opinions: [],
    withdrawn: false,
  }
}
function put(id: string, fill = 1): Message {
  return { key: entryKey('known', id), record: { entry: entry(id, fill), manifest: null } }
}
function remove(id: string): Message {
  return { key: entryKey('known', id), record: null }
}
function close(version: string, entries: HashListEntry[], checkedAt = 0): Message {
  const manifest = {
    list: 'known',
    version,
    entries: entries.length,
    digest: listDigest(entries),
    checkedAt,
    shadowed: [],
    signals: [],
    cause: null,
  }
  return { key: manifestKey('known', version), record: { entry: null, manifest } }
}
function read(messages: readonly Message[], collector = new HashListCollector()): HashListCollector {
  for (const { key, record } of messages) collector.apply(key, record)
  return collector
}
function known(collector: HashListCollector) {
  const state = collector.states().find(({ list }) => list === 'known')
  return {
    version: state?.inForce?.version ?? null,
    ids: [...(state?.inForce?.entries ?? [])].map(({ id }) => id).sort(),
    broken: state?.broken?.version ?? null,
    changing: state?.changing ?? false,
  }
}
const firstVersion = [put('a'), put('b'), close('v1', [entry('a'), entry('b')])]

test('entries count only from their manifest on', () => {
  assert.deepEqual(known(read([put('a'), put('b')])), { version: null, ids: [], broken: null, changing: true })
  assert.deepEqual(known(read(firstVersion)), { version: 'v1', ids: ['a', 'b'], broken: null, changing: false })
})

test('what comes after a manifest is not in the version in force', () => {
  const collector = read([...firstVersion, put('c'), remove('a'), put('b', 9)])
  assert.deepEqual(known(collector), { version: 'v1', ids: ['a', 'b'], broken: null, changing: true })
  assert.deepEqual(
    [...(collector.states()[0]?.inForce?.entries ?? [])].find(({ id }) => id === 'b'),
    entry('b'),
  )
  assert.deepEqual(known(read([close('v2', [entry('b', 9), entry('c')])], collector)), {
    version: 'v2',
    ids: ['b', 'c'],
    broken: null,
    changing: false,
  })
})

test('half a version leaves the version before in force and says so', () => {
  const half = read([...firstVersion, put('c'), close('v2', [entry('a'), entry('b'), entry('c'), entry('d')])])
  assert.deepEqual(known(half), { version: 'v1', ids: ['a', 'b'], broken: 'v2', changing: true })
  const mended = read([put('d'), close('v3', [entry('a'), entry('b'), entry('c'), entry('d')])], half)
  assert.deepEqual(known(mended), { version: 'v3', ids: ['a', 'b', 'c', 'd'], broken: null, changing: false })
})

test('the right number of entries with another content is no complete version', () => {
  assert.equal(known(read([put('a'), put('b', 2), close('v1', [entry('a'), entry('b')])])).version, null)
})

test('an unchanged list with a new manifest keeps its entries and renews its check', () => {
  const collector = read([...firstVersion, close('v2', [entry('b'), entry('a')], 77)])
  assert.equal(collector.states()[0]?.inForce?.checkedAt, 77)
  assert.deepEqual(known(collector), { version: 'v2', ids: ['a', 'b'], broken: null, changing: false })
})

test('an entry that can not be read, or whose key says otherwise, is missing from its version', () => {
  const undecodable = { key: entryKey('known', 'b'), record: undefined }
  const mislabelled = { key: entryKey('known', 'b'), record: { entry: entry('x'), manifest: null } }
  for (const message of [undecodable, mislabelled]) {
    const collector = read([put('a'), put('b'), message, close('v1', [entry('a'), entry('b')])])
    assert.deepEqual([known(collector).version, known(collector).broken, collector.malformed], [null, 'v1', 1])
  }
})

test('a manifest that can not be read makes the list incomplete', () => {
  assert.equal(known(read([...firstVersion, { key: manifestKey('known', 'v2'), record: undefined }])).broken, 'v2')
})

test('keys of no known form are counted and change nothing', () => {
  const collector = read(firstVersion)
  for (const key of [null, '', 'known', 'known/other/x']) assert.equal(collector.apply(key, null), 'malformed')
  assert.equal(collector.malformed, 4)
  assert.equal(known(collector).version, 'v1')
})

test('taking back the manifest in force takes back the version, as for a reader that starts later', () => {
  assert.equal(known(read([...firstVersion, { key: manifestKey('known', 'v1'), record: null }])).version, null)
})

test('lists do not touch each other', () => {
  const foreign = { key: 'other/entry/a', record: { entry: { ...entry('a', 5), list: 'other' }, manifest: null } }
  const collector = read([...firstVersion, foreign])
  assert.deepEqual(known(collector), { version: 'v1', ids: ['a', 'b'], broken: null, changing: false })
  assert.deepEqual(
    collector.states().map(({ list }) => list),
    ['known', 'other'],
  )
})

/** A history of imports, each possibly cut short, each comparing with the topic as it stands. */
const someImports = fc.array(
  fc.record({
    wanted: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: 1, max: 3 }), { maxKeys: 5 }),
    stopsAfter: fc.option(fc.nat(4)),
  }),
  { minLength: 1, maxLength: 6 },
)

test('whatever imports were cut short and whatever was compacted, a version in force is exactly what an import closed', () => {
  fc.assert(
    fc.property(someImports, fc.infiniteStream(fc.boolean()), (imports, coin) => {
      const log: Message[] = []
      const closed = new Map<string, string[]>()
      const onTopic = new Map<string, number>()
      let newest: string | null = null
      imports.forEach(({ wanted, stopsAfter }, number) => {
        const steps = [
          ...Object.entries(wanted).filter(([id, fill]) => onTopic.get(id) !== fill),
          ...[...onTopic.keys()].filter((id) => !Object.hasOwn(wanted, id)).map((id): [string, null] => [id, null]),
        ]
        for (const [id, fill] of stopsAfter === null ? steps : steps.slice(0, stopsAfter)) {
          log.push(fill === null ? remove(id) : put(id, fill))
          if (fill === null) onTopic.delete(id)
          else onTopic.set(id, fill)
        }
        if (stopsAfter !== null) return
        const version = `v${number}`
        log.push(
          close(
            version,
            Object.entries(wanted).map(([id, fill]) => entry(id, fill)),
          ),
        )
        closed.set(
          version,
          Object.entries(wanted)
            .map(([id, fill]) => `${id}${fill}`)
            .sort(),
        )
        newest = version
      })

      const lastByKey = new Map(log.map(({ key }, at) => [key, at]))
      const compacted = log.filter(({ key }, at) => lastByKey.get(key) === at || coin.next().value)
      for (const [messages, isWhole] of [
        [log, true],
        [compacted, false],
      ] as const) {
        const state = read(messages).states()[0]
        const inForce = state?.inForce ?? null
        if (isWhole) assert.equal(inForce?.version ?? null, newest)
        if (inForce === null) continue
        const found = [...inForce.entries].map(({ id, signals }) => `${id}${signals[0]?.value[0]}`).sort()
        assert.deepEqual(found, closed.get(inForce.version))
        assert.ok(inForce.version === newest || state?.broken?.version === newest)
      }
    }),
    { numRuns: 500 },
  )
})

test('a version that the topic does not bear out any more is in force once its entries come from elsewhere, and prove themselves', () => {
  const [a, b, c] = [entry('a'), entry('b', 2), entry('c', 3)]
  // Of the version one entry is gone already, and another one is new: an import is under way.
  const half = (): HashListCollector => read([put('a'), close('v1', [a, b]), put('c', 3)])
  const manifest = { list: 'known', version: 'v1' }
  const collector = half()
  assert.deepEqual(
    collector.unproven().map(({ version }) => version),
    ['v1'],
  )
  assert.equal(collector.supply(manifest, packEntries('known', [a, c])), false, 'other entries')
  assert.equal(collector.supply(manifest, packEntries('known', [a])), false, 'too few')
  assert.equal(collector.supply({ ...manifest, version: 'v0' }, packEntries('known', [a, b])), false, 'another version')
  assert.equal(collector.states()[0]?.inForce, null)
  assert.equal(collector.supply(manifest, packEntries('known', [a, b])), true)
  const [state] = collector.states()
  assert.deepEqual([state?.inForce?.version, state?.broken, state?.changing], ['v1', null, true])
  assert.deepEqual(collector.unproven(), [])

  const late = read([close('v2', [a, c])], half())
  assert.equal(late.supply(manifest, packEntries('known', [a, b])), false, 'a newer version has come meanwhile')
  assert.equal(late.states()[0]?.inForce?.version, 'v2')
})
