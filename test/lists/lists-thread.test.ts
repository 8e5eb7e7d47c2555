import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import test, { type TestContext } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { SluiceError } from '../../services/domain/errors.ts'
import type { MatchIndex } from '../../services/domain/match/match-index.ts'
import { followKnownLists, type KnownLists } from '../../services/gate/known-lists.ts'
import { collectInThread } from '../../services/gate/lists-thread.ts'
import type { Settings } from '../../services/platform/settings.ts'
import { openBench } from '../integration/harness.ts'
import { waitFor } from '../integration/waiting.ts'

function follow(t: TestContext, settings: Settings): { lists: KnownLists; troubles: unknown[]; threads: Worker[] } {
  const troubles: unknown[] = []
  const threads: Worker[] = []
  const note = (thread: Worker): void => void threads.push(thread)
  process.on('worker', note)
  const lists = followKnownLists({
    policy: { lists: { 'stand-in': { mode: 'enforce', maxAgeHours: 24, leastMatchable: 0 } } },
    collect: (to) => collectInThread(settings, to),
    onTrouble: (error) => troubles.push(error),
  })
  t.after(async () => {
    await lists.stop()
    process.off('worker', note)
  })
  return { lists, troubles, threads }
}

function pdqOf(id: string): string {
  return hash('sha256', id)
}

function rows(...ids: string[]) {
  return ids.map((id) => ({ id, pdq: pdqOf(id), sha1: hash('sha1', id), classification: `class of ${id}` }))
}

function knows(index: MatchIndex, id: string): boolean {
  return index.search(Buffer.from(pdqOf(id), 'hex'), 31).some((hit) => hit.entry === id)
}

/** Beside it there may have been brokers that were slow. */
function causeOfIncomplete(troubles: readonly unknown[]): string {
  const trouble = troubles.find((each) => each instanceof SluiceError && each.code === 'LISTS_INCOMPLETE')
  return String(Reflect.get(Object(Reflect.get(Object(trouble), 'cause')), 'message'))
}

test('an index built by the thread takes the place of the one before in one step, which whoever has it may go on using', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows('a', 'b'))
  const { lists } = follow(t, bench.settings)
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
  await waitFor('the lists are in force', () => lists.current().problem === null)
  const before = lists.current()
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => knows(before.index, id)),
    [true, true, false],
  )
  const signal = {
    signal: 'sha1',
    version: 1,
    value: hash('sha1', 'b', 'buffer'),
    quality: null,
    frame: 0,
    transform: 'identity',
  }
  const tiers = { near: { distance: 31, quality: 50 }, wide: { distance: 47, quality: 0 } }
  const [match] = before.index.match([signal], tiers)
  assert.deepEqual(
    [match?.entry, match?.class, match?.classification, match?.listVersion],
    ['b', 'exact', 'class of b', before.versions[0]?.version],
  )

  await bench.importList('stand-in', rows('b', 'c'))
  await waitFor('the next version is in force', () => lists.current().index !== before.index)
  const after = lists.current()
  assert.equal(after.problem, null)
  assert.notDeepEqual(after.versions, before.versions)
  for (let time = 0; time < 3; time++) {
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => knows(after.index, id)),
      [false, true, true],
    )
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => knows(before.index, id)),
      [true, true, false],
    )
  }
  assert.equal(lists.states()[0]?.inForce?.entries.length, 2)
})

test('a list that was only checked again keeps its index and says its new version', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows('a'))
  const { lists } = follow(t, bench.settings)
  await waitFor('the lists are in force', () => lists.current().problem === null)
  const [first] = lists.current().versions
  await bench.importList('stand-in', rows('a'))
  await waitFor('it is the next version', () => lists.current().versions[0]?.version !== first?.version)
  assert.ok(knows(lists.current().index, 'a'))
  assert.equal(lists.current().problem, null)
})

test('a thread that ends is replaced: what it told stands until then, and what comes after is read', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows('a'))
  const { lists, troubles, threads } = follow(t, bench.settings)
  await waitFor('the lists are in force', () => lists.current().problem === null)
  await threads[0]?.terminate()
  await bench.importList('stand-in', rows('a', 'b'))
  await waitFor('the new thread has read it', () => {
    assert.equal(lists.current().problem, null)
    return knows(lists.current().index, 'b')
  })
  assert.equal(threads.length, 2)
  assert.equal(causeOfIncomplete(troubles), 'it has ended with code 1')
})

test('a thread that ends before it has read anything is replaced, and nothing is judged until the next has', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows('a'))
  const { lists, threads } = follow(t, bench.settings)
  const first = await waitFor('the thread is there', () => threads[0], { everyMs: 1 })
  await first.terminate()
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
  await waitFor('the new thread has read everything', () => lists.current().problem === null)
  assert.ok(knows(lists.current().index, 'a'))
})

test('a thread that says nothing is not relied upon after a minute, and replaced after some', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows('a'))
  const { lists, troubles, threads } = follow(t, bench.settings)
  await waitFor('the lists are in force', () => lists.current().problem === null)
  // It hears no more of the thread than if that stood still.
  threads[0]?.removeAllListeners('message')
  const now = performance.now.bind(performance)
  let later = 61_000
  t.mock.method(performance, 'now', () => now() + later)
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
  assert.equal(threads.length, 1)
  later = 301_000
  await waitFor('another thread has read the lists', () => lists.current().problem === null)
  assert.equal(threads.length, 2)
  assert.match(causeOfIncomplete(troubles), /said nothing/)
})

test('what goes wrong in the thread is told with its code, its sentence and its cause', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await bench.importList('stand-in', rows('a'))
  const { lists, troubles } = follow(t, { ...bench.settings, registry: 'http://127.0.0.1:1' })
  const trouble = await waitFor('the registry is missed', () => {
    const found = troubles.map((error) => Reflect.get(Object(error), 'cause') ?? error)
    return found.concat(troubles).find((error) => error instanceof SluiceError && error.code === 'REGISTRY_UNREACHABLE')
  })
  assert.match(String(Reflect.get(Object(trouble), 'message')), /the schema registry did not tell/)
  assert.equal(lists.current().problem?.code, 'LISTS_INCOMPLETE')
})
