import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import fc from 'fast-check'
import { entryText } from '../../../services/domain/hash-list.ts'
import type { PackedList } from '../../../services/domain/packed-entries.ts'
import { openExchangeState } from '../../../services/lists/exchange-state.ts'
import type { Change, Page } from '../../../services/lists/exchanges/exchange.ts'
import { openFolder } from './servers.ts'

const known = { source: 'a source', withdrawn: 'keep' } as const

function change(id: string, at: number | null, fill: number | null): Change {
  const entry =
    fill === null
      ? null
      : {
          id,
          signals: [{ signal: 'md5', value: Buffer.alloc(16, fill) }],
          classification: null,
          opinions: [{ member: 'm', opinion: 'seed' }],
          withdrawn: false,
        }
  return { id, at, entry }
}

function page(number: number, changes: Change[], more: Partial<Page> = {}): Page {
  return { changes, read: changes.length, corrupt: 0, position: { number }, endsRange: false, ...more }
}

const pages: Page[] = [
  page(1, [change('a', 5, 1), change('b', 5, 1), change('gone', 5, null)]),
  page(2, [change('b', 6, null), change('a', 4, 2), change('gone', 4, 9), change('c', null, 1)], { corrupt: 1 }),
  page(3, [change('a', 7, 3)], { endsRange: true }),
  page(4, [change('a', 1, 4), change('b', 1, 2)], { endsRange: true }),
  page(5, [change('d', 1, 1)], { anew: true }),
  page(6, [change('e', 1, 1), change('d', 0, 2)], { endsRange: true }),
]

function texts(list: PackedList): string[] {
  return [...list.snapshot()].map(entryText).sort()
}

/** What is known after each page, from 0. */
async function history(folder: string): Promise<string[][]> {
  const state = await openExchangeState(folder, 'known', known)
  const after = [texts(state.list)]
  for (const each of pages) {
    await state.keep(each)
    after.push(texts(state.list))
  }
  await state.close()
  return after
}

test('a state that ends anywhere is one of the pages that were kept whole, and goes on to the same end', async (t) => {
  const folder = await openFolder(t)
  const after = await history(folder)
  assert.deepEqual(
    after.map((entries) => entries.length),
    [0, 2, 3, 3, 3, 1, 2],
  )
  const path = join(folder, 'known.state')
  const whole = await readFile(path)
  const reached = new Set<number>()
  for (let length = whole.length % 3; length <= whole.length; length += 3) {
    await writeFile(path, whole.subarray(0, length))
    const state = await openExchangeState(folder, 'known', known)
    const at = Number(Reflect.get(Object(state.position), 'number') ?? 0)
    reached.add(at)
    assert.deepEqual(texts(state.list), after[at], `${length} bytes`)
    if (length % 37 === 0) {
      for (const each of pages.slice(at)) await state.keep(each)
      assert.deepEqual(texts(state.list), after.at(-1), `${length} bytes, and on`)
      assert.deepEqual(await readFile(path), whole)
    }
    await state.close()
  }
  assert.deepEqual([...reached], [0, 1, 2, 3, 4, 5, 6])
})

test('a state that is damaged anywhere is used up to the damage at most', async (t) => {
  const folder = await openFolder(t)
  const after = await history(folder)
  const path = join(folder, 'known.state')
  const whole = await readFile(path)
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (place, bits) => {
      const damaged = Buffer.from(whole)
      damaged[place] = (damaged[place] ?? 0) ^ bits
      await writeFile(path, damaged)
      const state = await openExchangeState(folder, 'known', known)
      const at = Number(Reflect.get(Object(state.position), 'number') ?? 0)
      assert.ok(at < after.length - 1)
      assert.deepEqual(texts(state.list), after[at])
      await state.close()
    }),
    { numRuns: 200 },
  )
})

test('two that fetch at once do each other no harm', async (t) => {
  const folder = await openFolder(t)
  const [one, other] = [
    await openExchangeState(folder, 'known', known),
    await openExchangeState(folder, 'known', known),
  ]
  for (const each of pages) {
    await one.keep(each)
    await other.keep(each)
  }
  assert.deepEqual(texts(one.list), texts(other.list))
  await one.close()
  await other.close()
  const state = await openExchangeState(folder, 'known', known)
  const at = Number(Reflect.get(Object(state.position), 'number') ?? 0)
  for (const each of pages.slice(at)) await state.keep(each)
  assert.deepEqual(texts(state.list), texts(one.list))
  await state.close()
})

test('a state of another source, or of one that treats withdrawn entries otherwise, is not used', async (t) => {
  const folder = await openFolder(t)
  for (const other of [
    { ...known, source: 'another' },
    { ...known, withdrawn: 'remove' },
  ] as const) {
    await history(folder)
    const state = await openExchangeState(folder, 'known', other)
    assert.deepEqual([state.list.size, state.position], [0, null])
    await state.close()
  }
})

test('what is refused is fetched once more from the last version on, what was read stays', async (t) => {
  const folder = await openFolder(t)
  let state = await openExchangeState(folder, 'known', known)
  await state.keep(page(1, [change('a', 1, 1)], { endsRange: true }))
  await state.published()
  await state.keep(page(2, [change('b', 1, 1)], { corrupt: 4, read: 9 }))
  assert.deepEqual([state.read, state.corrupt], [9, 4])
  await state.close()
  state = await openExchangeState(folder, 'known', known)
  assert.deepEqual([state.position, state.read, state.corrupt], [{ number: 2 }, 9, 4])
  await state.refuse()
  assert.deepEqual([state.position, state.read, state.corrupt, state.list.size], [{ number: 1 }, 0, 0, 2])
  await state.close()
})

test('a state is for this user alone, and is written anew when most of it is of no use any more', async (t) => {
  const folder = join(await openFolder(t), 'exchanges')
  let state = await openExchangeState(folder, 'known', known)
  const path = join(folder, 'known.state')
  for (let round = 1; round <= 8; round++) {
    const changes = Array.from({ length: 2000 }, (_, number) => change(`e${number}`, null, round))
    await state.keep(page(round, changes, { endsRange: true }))
  }
  const before = texts(state.list)
  const { size } = await stat(path)
  await state.published()
  await state.published()
  assert.ok((await stat(path)).size < size)
  await state.keep(page(9, [change('more', 1, 1)]))
  await state.close()
  assert.deepEqual([(await stat(folder)).mode & 0o777, (await stat(path)).mode & 0o777], [0o700, 0o600])
  state = await openExchangeState(folder, 'known', known)
  assert.deepEqual([state.position, state.list.size], [{ number: 9 }, 2001])
  assert.deepEqual(
    texts(state.list).filter((text) => !text.includes('more')),
    before,
  )
  await state.close()
  await truncate(path, (await stat(path)).size - 1)
  state = await openExchangeState(folder, 'known', known)
  assert.deepEqual([state.position, texts(state.list)], [{ number: 8 }, before])
  await state.close()
})

/** A state of one page, as its file has it. @param lines what the page changed */
async function writeState(folder: string, lines: readonly string[]): Promise<void> {
  const header = JSON.stringify({ form: 'sluice exchange state 2', ...known })
  const commit = { position: { number: 1 }, published: null, read: lines.length, corrupt: 0, endsRange: true }
  const body = [...lines, `=${JSON.stringify(commit)} `].join('\n')
  await writeFile(join(folder, 'known.state'), `${header}\n${body}${hash('sha256', body)}\n`)
}

test('from a page with an entry that can not be read on, all is fetched again', async (t) => {
  const folder = await openFolder(t)
  for (const entry of ['["a"]', '["a",["md5:01"],null', '{"id":"a"}']) {
    await writeState(folder, [`+1 ${entry}`])
    const state = await openExchangeState(folder, 'known', known)
    assert.deepEqual([state.position, texts(state.list)], [null, []], entry)
    await state.close()
  }
})

test('a state of the former form, which kept one hash of a kind alone, is begun anew', async (t) => {
  const folder = await openFolder(t)
  const state = await openExchangeState(folder, 'known', known)
  await state.keep(page(1, [change('a', 1, 1)], { endsRange: true }))
  await state.close()
  const path = join(folder, 'known.state')
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace(/"sluice exchange state \d+"/, '"sluice exchange state 1"'))
  const next = await openExchangeState(folder, 'known', known)
  assert.deepEqual([next.position, texts(next.list)], [null, []])
  await next.close()
})

test('a folder that can not be written is told', async (t) => {
  const folder = await openFolder(t)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(openExchangeState(join(folder, 'file'), 'known', known), {
    code: 'STORE_UNREACHABLE',
    message: /could not be kept in .* \((EEXIST|ENOTDIR)\)/,
  })
})
