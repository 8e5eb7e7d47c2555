import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import fc from 'fast-check'
import { ENGINE_VERSION } from '../../services/domain/engine.ts'
import { entryKey, listDigest, manifestKey } from '../../services/domain/hash-list.ts'
import { HashListCollector } from '../../services/domain/hash-list-state.ts'
import type { HashListEntry, HashListRecord } from '../../services/domain/records.ts'
import { type ListsSnapshot, readSnapshot, writeSnapshot } from '../../services/gate/lists-snapshot.ts'

const topic = 'gate.hash-entries'
const origin = { cluster: 'one', topic, mark: { low: 0, offset: 7, digest: 'ab' } }

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-snapshot-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

type Message = { key: string | null; record: HashListRecord | null | undefined }

function entry(list: string, id: string, fill: number): HashListEntry {
  const signals = [
    { signal: 'md5', value: Buffer.alloc(16, fill) },
    { signal: 'photodna', value: Buffer.alloc(3, fill) },
  ]
  const opinions = fill % 3 === 0 ? [] : [{ member: 'm', opinion: fill % 3 === 1 ? 'negative' : 'a later word' }]
  return {
    list,
    id,
    signals,
    classification: fill % 2 === 0 ? null : `class ${fill}`,
    opinions,
    withdrawn: fill % 5 === 1,
  }
}

function put(list: string, id: string, fill: number): Message {
  return { key: entryKey(list, id), record: { entry: entry(list, id, fill), manifest: null } }
}

function close(list: string, version: string, entries: readonly HashListEntry[], checkedAt = 0): Message {
  const manifest = {
    list,
    version,
    entries: entries.length,
    digest: listDigest(entries),
    checkedAt,
    shadowed: [],
    signals: [],
    cause: null,
  }
  return { key: manifestKey(list, version), record: { entry: null, manifest } }
}

function apply(collector: HashListCollector, messages: readonly Message[], from = 0): HashListCollector {
  for (const [at, { key, record }] of messages.entries()) collector.apply(key, record, from + at)
  return collector
}

/** All that a collector knows, without where it lies in memory. */
function known(collector: HashListCollector): unknown {
  const byId = (entries: Iterable<HashListEntry>) => [...entries].sort((a, b) => (a.id < b.id ? -1 : 1))
  const { malformed, lists } = collector.save()
  return {
    malformed,
    lists: lists.map(({ collected, inForce, ...state }) => ({
      ...state,
      inForce: inForce && { ...inForce, entries: byId(inForce.entries) },
      size: collector.collected(state.list).size,
      collected: byId(collector.collected(state.list).snapshot()),
      newest: collector.newestVersion(state.list),
    })),
  }
}

async function kept(folder: string, collector: HashListCollector): Promise<ListsSnapshot> {
  await writeSnapshot(folder, { ...origin, lists: collector.save() })
  const found = await readSnapshot(folder, topic)
  if (found === null || 'why' in found) throw new Error(found?.why ?? 'there is no snapshot')
  return found.snapshot
}

type Step =
  | { do: 'put'; list: string; id: string; fill: number }
  | { do: 'remove'; list: string; id: string }
  | { do: 'close'; list: string; as: 'right' | 'wrong' | 'unreadable' }
  | { do: 'withdraw'; list: string }
  | { do: 'malformed' }

const someList = fc.constantFrom('known', 'other')
const someId = fc.oneof(
  fc.constantFrom('a', 'b', 'é', '\u{1f600}'),
  fc.nat(40).map((n) => `e${n}`),
)
const someStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('put' as const), list: someList, id: someId, fill: fc.nat(9) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), list: someList, id: someId }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('close' as const),
      list: someList,
      as: fc.constantFrom('right' as const, 'right' as const, 'wrong' as const, 'unreadable' as const),
    }),
  },
  fc.record({ do: fc.constant('withdraw' as const), list: someList }),
  fc.record({ do: fc.constant('malformed' as const) }),
)

/** Records of the topic, as these steps leave them. */
function messagesOf(steps: readonly Step[]): Message[] {
  const held = new Map<string, Map<string, HashListEntry>>()
  let number = 0
  return steps.map((step): Message => {
    if (step.do === 'malformed') return { key: 'neither/form', record: null }
    const entries = held.get(step.list) ?? new Map<string, HashListEntry>()
    held.set(step.list, entries)
    if (step.do === 'put') {
      entries.set(step.id, entry(step.list, step.id, step.fill))
      return put(step.list, step.id, step.fill)
    }
    if (step.do === 'remove') {
      entries.delete(step.id)
      return { key: entryKey(step.list, step.id), record: null }
    }
    if (step.do === 'withdraw') return { key: manifestKey(step.list, `v${number}`), record: null }
    number += 1
    const closing = close(step.list, `v${number}`, step.as === 'wrong' ? [] : [...entries.values()], number)
    return step.as === 'unreadable' ? { ...closing, record: undefined } : closing
  })
}

test('whoever goes on from a snapshot knows in the end what a reader from the beginning knows', async (t) => {
  const folder = await openFolder(t)
  await fc.assert(
    fc.asyncProperty(fc.array(someStep, { maxLength: 80 }), fc.nat(80), fc.nat(80), async (steps, one, other) => {
      const messages = messagesOf(steps)
      const [first, second] = [Math.min(one, other), Math.max(one, other)]
      const whole = apply(new HashListCollector(), messages)
      // Through two gates, one after the other.
      const before = apply(new HashListCollector(), messages.slice(0, first))
      const { lists, ...rest } = await kept(folder, before)
      assert.deepEqual(rest, origin)
      const middle = new HashListCollector(lists)
      assert.deepEqual(known(middle), known(before))
      apply(middle, messages.slice(first, second), first)
      const last = new HashListCollector((await kept(folder, middle)).lists)
      apply(last, messages.slice(second), second)
      assert.deepEqual(known(last), known(whole))
    }),
    { numRuns: 60 },
  )
})

test('a version in force stays what it was while its entries are being replaced, through many snapshots', async (t) => {
  const folder = await openFolder(t)
  const ids = [...Array(12_000).keys()].map((n) => `e${n}`)
  const first = ids.map((id) => entry('known', id, 1))
  let collector = apply(new HashListCollector(), [...ids.map((id) => put('known', id, 1)), close('known', 'v1', first)])
  let bytes = 0
  for (let round = 2; round < 16; round++) {
    apply(
      collector,
      ids.map((id) => put('known', id, round)),
    )
    const { lists } = await kept(folder, collector)
    bytes = (await readFile(join(folder, `${topic}.snapshot`))).length
    collector = new HashListCollector(lists)
    const [state] = collector.states()
    assert.equal(state?.inForce?.entries.digest(), listDigest(first))
    assert.equal(collector.collected('known').get('e5')?.signals[0]?.value[0], round)
  }
  // What was replaced is cleared away although each of these collectors saw little of it.
  assert.ok(bytes < 3_000_000, `${bytes} bytes`)
  const last = ids.map((id) => entry('known', id, 15))
  apply(collector, [close('known', 'v2', last)])
  assert.equal(collector.states()[0]?.inForce?.version, 'v2')
})

test('what is written after a snapshot was taken is not in it, though it is still being written', async (t) => {
  const folder = await openFolder(t)
  const ids = [...Array(2000).keys()].map((n) => `e${n}`)
  const collector = apply(
    new HashListCollector(),
    ids.map((id) => put('known', id, 1)),
  )
  const before = known(collector)
  const writing = writeSnapshot(folder, { ...origin, lists: collector.save() })
  for (let round = 0; round < 20; round++) {
    apply(
      collector,
      ids.map((id) => put('known', `${id}-${round}`, 2)),
    )
    await new Promise(setImmediate)
  }
  await writing
  assert.equal((await readFile(join(folder, `${topic}.snapshot`))).includes('e0-0'), false)
  const found = await readSnapshot(folder, topic)
  assert.ok(found !== null && 'snapshot' in found)
  assert.deepEqual(known(new HashListCollector(found.snapshot.lists)), before)
})

test('a snapshot that is cut short, longer, or has another bit anywhere is not believed', async (t) => {
  const folder = await openFolder(t)
  const path = join(folder, `${topic}.snapshot`)
  const steps = [
    put('known', 'a', 1),
    put('known', 'b', 2),
    close('known', 'v1', [entry('known', 'a', 1), entry('known', 'b', 2)]),
  ]
  await kept(folder, apply(new HashListCollector(), [...steps, put('known', 'c', 3), put('other', 'a', 1)]))
  const whole = await readFile(path)
  const damaged = fc.oneof(
    fc.tuple(fc.nat(whole.length - 1), fc.nat(7)).map(([at, bit]) => {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
      return bytes
    }),
    fc.nat(whole.length - 1).map((length) => whole.subarray(0, length)),
    fc.uint8Array({ minLength: 1, maxLength: 50 }).map((more) => Buffer.concat([whole, more])),
  )
  await fc.assert(
    fc.asyncProperty(damaged, async (bytes) => {
      await writeFile(path, bytes)
      const found = await readSnapshot(folder, topic)
      assert.ok(found !== null && 'why' in found)
    }),
    { numRuns: 500 },
  )
  await writeFile(path, whole)
  const found = await readSnapshot(folder, topic)
  assert.ok(found !== null && 'snapshot' in found)
})

test('a snapshot of another release is not believed, though it is whole', async (t) => {
  const folder = await openFolder(t)
  const path = join(folder, `${topic}.snapshot`)
  await kept(folder, apply(new HashListCollector(), [put('known', 'a', 1)]))
  const bytes = await readFile(path)
  for (const [was, is] of [
    ['snapshot 2\n', 'snapshot 1\n'],
    [`"engine":"${ENGINE_VERSION}"`, '"engine":"0"'],
    ['"layout":"2/', '"layout":"1/'],
  ] as const) {
    const text = bytes.subarray(0, -32).toString('latin1')
    assert.ok(text.includes(was))
    const other = Buffer.from(text.replace(was, is), 'latin1')
    await writeFile(path, Buffer.concat([other, createHash('sha256').update(other).digest()]))
    const found = await readSnapshot(folder, topic)
    assert.match(String(found && 'why' in found && found.why), /another (form|version)/)
  }
})

test('a snapshot that others can write or read, a link, a folder, or that of another topic is not believed; none is no fault', async (t) => {
  const folder = await openFolder(t)
  const path = join(folder, `${topic}.snapshot`)
  const why = async (): Promise<string | null> => {
    const found = await readSnapshot(folder, topic)
    return found === null ? null : 'why' in found ? found.why : 'it was believed'
  }
  assert.equal(await why(), null)
  await kept(folder, apply(new HashListCollector(), [put('known', 'a', 1)]))
  assert.equal(await why(), 'it was believed')
  for (const mode of [0o620, 0o602, 0o640, 0o604]) {
    await chmod(path, mode)
    assert.match((await why()) ?? '', /only this user/)
  }
  await chmod(path, 0o600)
  // Only root can make a file somebody else's.
  if (process.getuid?.() === 0) {
    await chown(path, 65_534, 65_534)
    assert.match((await why()) ?? '', /only this user/)
    await chown(path, 0, 0)
  }
  await rename(path, join(folder, 'elsewhere'))
  await symlink(join(folder, 'elsewhere'), path)
  assert.match((await why()) ?? '', /ELOOP/)
  await rm(path)
  await mkdir(path)
  assert.match((await why()) ?? '', /only this user/)
  await rm(path, { recursive: true })
  await rename(join(folder, 'elsewhere'), join(folder, 'x.gate.hash-entries.snapshot'))
  const found = await readSnapshot(folder, 'x.gate.hash-entries')
  assert.deepEqual(found, { why: 'it is of another topic' })
})

test('what a gate that was killed left half written is cleared away, not what another one is writing', async (t) => {
  const folder = await openFolder(t)
  const [left, under, foreign] = ['left', 'under-way'].map((name) => `${topic}.snapshot.${name}.draft`).concat('mine')
  for (const name of [left, under, foreign]) await writeFile(join(folder, name ?? ''), 'x')
  for (const name of [left, foreign]) await utimes(join(folder, name ?? ''), 0, 0)
  await kept(folder, new HashListCollector())
  assert.deepEqual((await readdir(folder)).sort(), [`${topic}.snapshot`, under, foreign].sort())
})
