import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import fc from 'fast-check'
import { entryText } from '../../../services/domain/hash-list.ts'
import { jsonRecords } from '../../../services/lists/exchanges/json-records.ts'
import { BEGAN, fetchAll, hashHex, openFolder } from './servers.ts'

const clock = { exchange: BEGAN, own: BEGAN }

function record(id: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: String(id),
    type: 'HASH_PDQ',
    indicator: hashHex(id),
    last_updated: 1_390_000_000,
    should_delete: false,
    descriptors: { data: [{ id: `d${id}`, owner: { id: '7', name: 'Seven' }, status: 'MALICIOUS', tags: ['b', 'a'] }] },
    ...more,
  }
}

function text(
  id: number,
  opinions: Array<[string, string]>,
  more: { signal?: string; value?: Buffer; withdrawn?: boolean; tags?: string | null } = {},
): string {
  return entryText({
    list: 'known',
    id: String(id),
    signals: [{ signal: more.signal ?? 'pdq', value: more.value ?? Buffer.from(hashHex(id), 'hex') }],
    classification: more.tags === undefined ? 'a, b' : more.tags,
    opinions: opinions.map(([member, opinion]) => ({ member, opinion })),
    withdrawn: more.withdrawn ?? false,
  })
}

async function openFile(t: { after(work: () => Promise<void>): void }) {
  const folder = await openFolder(t)
  const file = join(folder, 'updates.json')
  const fixture = { clock, settings: { kind: 'threatexchange', file } as Record<string, unknown> }
  return {
    fixture,
    async write(content: string) {
      await writeFile(file, content)
      await utimes(file, BEGAN / 1000, BEGAN / 1000 - 60)
    },
    fetch: () => fetchAll(fixture, join(folder, 'state')),
  }
}

test('indicators become entries with the opinions of owners and of those who react', async (t) => {
  const { write, fetch } = await openFile(t)
  const descriptor = (owner: string, status: string, reactions: unknown[] = []) => ({
    owner: { id: owner },
    status,
    reactions,
  })
  await write(
    JSON.stringify({
      data: [
        record(1),
        record(2, { descriptors: { data: [descriptor('7', 'MALICIOUS'), descriptor('8', 'NON_MALICIOUS')] } }),
        record(3, {
          descriptors: {
            data: [
              descriptor('7', 'SUSPICIOUS', [
                { key: 'HELPFUL', value: '8,9' },
                { key: 'SAW_THIS_TOO', value: '5' },
              ]),
            ],
          },
        }),
        record(4, {
          descriptors: { data: [descriptor('7', 'UNKNOWN', [{ key: 'DISAGREE_WITH_TAGS', value: '7,8' }])] },
        }),
        record(5, { type: 'HASH_MD5', indicator: 'ab'.repeat(16) }),
        record(6, { type: 'URI', indicator: 'https://example.org/é' }),
        record(7, {
          descriptors: { data: [{ owner: { id: 7 }, status: 'MALICIOUS', tags: { data: [{ text: 'x' }] } }] },
        }),
        record(8, { should_delete: true, descriptors: undefined }),
        record(9, { descriptors: { data: [] } }),
      ],
      paging: { cursors: { before: '[', after: '{"' } },
    }),
  )
  const { texts, corrupt, read, checkedAt } = await fetch()
  assert.deepEqual(
    texts,
    [
      text(1, [['7', 'positive']]),
      text(
        2,
        [
          ['7', 'positive'],
          ['8', 'negative'],
        ],
        { tags: null },
      ),
      text(
        3,
        [
          ['7', 'seed'],
          ['8', 'positive'],
          ['9', 'positive'],
        ],
        { tags: null },
      ),
      text(
        4,
        [
          ['7', 'seed'],
          ['8', 'negative'],
        ],
        { tags: null },
      ),
      text(5, [['7', 'positive']], { signal: 'md5', value: Buffer.alloc(16, 0xab) }),
      text(6, [['7', 'positive']], { signal: 'uri', value: Buffer.from('https://example.org/é') }),
      text(7, [['7', 'positive']], { tags: 'x' }),
      text(8, [], { withdrawn: true, tags: null }),
      text(9, [], { withdrawn: true, tags: null }),
    ].sort(),
  )
  assert.deepEqual([corrupt, read], [0, 9])
  assert.equal(checkedAt, BEGAN - 60_000, 'the file tells how old it is')
})

test('the file is all there is: what is not in it any more is gone, what is there again is back', async (t) => {
  const { fixture, write, fetch } = await openFile(t)
  const all = [record(1), record(2), record(3)]
  const one = [['7', 'positive']] as Array<[string, string]>
  await write(JSON.stringify(all))
  assert.deepEqual((await fetch()).texts, [text(1, one), text(2, one), text(3, one)])
  await write(JSON.stringify([record(1), record(2, { should_delete: true })]))
  assert.deepEqual((await fetch()).texts, [text(1, one), text(2, one, { withdrawn: true })])
  fixture.settings.withdrawn = 'remove'
  assert.deepEqual((await fetch()).texts, [text(1, one)])
  await write(JSON.stringify(all))
  assert.deepEqual((await fetch()).texts, [text(1, one), text(2, one), text(3, one)])
})

test('a file that is not whole leaves the list as it is', async (t) => {
  const { write, fetch } = await openFile(t)
  const whole = JSON.stringify({ data: [record(1), record(2)], paging: {} })
  for (let length = 0; length < whole.length; length += 7) {
    await write(whole.slice(0, length))
    await assert.rejects(
      fetch(),
      { code: 'EXCHANGE_UNREADABLE', message: /updates\.json: expected JSON, whole/ },
      `${length}`,
    )
  }
  await write(whole)
  assert.equal((await fetch()).texts.length, 2)
})

test('a corrupt indicator is counted and skipped; too many refuse the version', async (t) => {
  const { fixture, write, fetch } = await openFile(t)
  const corrupt = [
    record(2, { indicator: 'abcd' }),
    record(3, { id: undefined }),
    record(4, { descriptors: { data: [{ status: 'MALICIOUS' }] } }),
    record(5, { type: 7 }),
  ]
  await write(JSON.stringify([record(1), ...corrupt]))
  const found = await fetch()
  // Of the one with an unreadable opinion the hash is good, and nobody has said that it is harmless.
  assert.deepEqual([found.texts, found.corrupt], [[text(1, [['7', 'positive']]), text(4, [], { tags: null })], 4])
  fixture.settings.mostCorrupt = 3
  await assert.rejects(fetch(), { code: 'EXCHANGE_UNREADABLE', message: /4 of 5 entries are corrupt/ })
})

test('a file that is not there is wrong use', async (t) => {
  const { fetch } = await openFile(t)
  await assert.rejects(fetch(), {
    code: 'CONFIG_INVALID',
    message: /updates\.json: the file can not be read \(ENOENT\)/,
  })
})

test('records of a JSON document are those that a parser finds, wherever its bytes are cut', async () => {
  const someRecord = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(someRecord, { maxLength: 5 }),
      fc.option(fc.record({ before: fc.dictionary(fc.constantFrom('a', 'datum'), someRecord), after: someRecord })),
      fc.constantFrom(0, 2),
      fc.integer({ min: 1, max: 30 }),
      async (records, around, space, step) => {
        const { data: _, ...after } = around?.after ?? {}
        const bytes = Buffer.from(
          JSON.stringify(around ? { ...around.before, data: records, ...after } : records, null, space),
        )
        async function* chunks() {
          for (let at = 0; at < bytes.length; at += step) yield await Promise.resolve(bytes.subarray(at, at + step))
        }
        const found: unknown[] = []
        for await (const each of jsonRecords(chunks())) found.push(JSON.parse(each))
        assert.deepEqual(found, JSON.parse(JSON.stringify(records)))
      },
    ),
  )
})

const noDocuments = [
  '',
  '7',
  '{}',
  '{"data":{}}',
  '{"data":[1]}',
  '[{},]',
  '[{} {}]',
  '[,{}]',
  '[{}',
  '[{}]]',
  '[{}]x',
  '{"data":[{}],"data":[{}]}x',
  '["a"]',
  '{"x":[{}]}',
  '[{}][{}]',
]
for (const document of noDocuments) {
  test(`no list of objects: ${document || 'nothing'}`, async () => {
    async function* chunks() {
      yield await Promise.resolve(Buffer.from(document))
    }
    await assert.rejects(Array.fromAsync(jsonRecords(chunks())), SyntaxError)
  })
}
