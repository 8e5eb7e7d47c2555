import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { everything, http, inShort, packed, record, response } from './warc-files.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-warc-'))
})
after(() => rm(folder, { recursive: true, force: true }))

let files = 0
async function read(bytes: Buffer, longest?: number) {
  const path = join(folder, `${files++}.warc`)
  await writeFile(path, bytes)
  return await everything(path, longest)
}

/** Bytes that do not compress, the same each time. */
function noise(seed: number, length: number): Buffer {
  let state = seed
  return Buffer.from(
    Array.from({ length }, () => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return state >> 16
    }),
  )
}

const URLS = ['a', 'b', 'c', 'd'].map((name) => `http://example.org/${name}`)
const [A, B, C, D] = URLS.map((url, n) => response(url, noise(n, 3000))) as [Buffer, Buffer, Buffer, Buffer]
const [packedA, packedB, packedC, packedD] = [A, B, C, D].map((each) => packed(each)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
]
const second = A.length
const packedSecond = packedA.length

function replaced(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1')
}
function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 0x55
  return copy
}
function lengthOf(bytes: Buffer): number {
  return Number(/Content-Length: (\d+)/.exec(bytes.toString('latin1'))?.[1])
}
function withLength(bytes: Buffer, length: number | string): Buffer {
  return replaced(bytes, `Content-Length: ${lengthOf(bytes)}`, `Content-Length: ${length}`)
}

const damages: { what: string; file: Buffer; found: string[]; expected?: RegExp }[] = [
  { what: 'nothing', file: Buffer.concat([A, B, C]), found: ['a', 'b', 'c'] },
  { what: 'nothing, packed', file: Buffer.concat([packedA, packedB, packedC]), found: ['a', 'b', 'c'] },
  { what: 'an empty file', file: Buffer.alloc(0), found: ['bad 0'], expected: /empty/ },
  { what: 'another file', file: noise(9, 5000), found: ['bad 0'], expected: /a record/ },
  { what: 'garbage before', file: Buffer.concat([noise(9, 500), A]), found: ['bad 0', 'a'] },
  {
    what: 'garbage between',
    file: Buffer.concat([A, noise(9, 500), B]),
    found: [`bad 0`, 'b'],
    expected: /two line ends and the next record/,
  },
  {
    what: 'garbage behind more line ends',
    file: Buffer.concat([A, Buffer.from('\r\n\r\n'), B, C]),
    found: ['a', 'b', 'c'],
  },
  {
    what: 'a length too short',
    file: Buffer.concat([A, withLength(B, 100), C]),
    found: ['bad', 'a', 'c'],
    expected: /block of 100 bytes/,
  },
  { what: 'a length too long', file: Buffer.concat([A, withLength(B, lengthOf(B) + 40), C]), found: ['bad', 'a', 'c'] },
  {
    what: 'a length beyond the file',
    file: Buffer.concat([A, withLength(B, 999_999_999), C]),
    found: ['bad', 'a', 'c'],
  },
  {
    what: 'a length that is none',
    file: Buffer.concat([A, withLength(B, '-5'), C]),
    found: ['bad', 'a', 'c'],
    expected: /length in bytes/,
  },
  {
    what: 'no length',
    file: Buffer.concat([A, replaced(B, 'Content-Length', 'Content-Width'), C]),
    found: ['bad', 'a', 'c'],
  },
  {
    what: 'no type',
    file: Buffer.concat([A, replaced(B, 'WARC-Type', 'WARC-Tipe'), C]),
    found: ['bad', 'a', 'c'],
    expected: /a type/,
  },
  { what: 'a cut record, and the file ends', file: Buffer.concat([A, B.subarray(0, 2000)]), found: ['bad', 'a'] },
  {
    what: 'a cut record, and another follows',
    file: Buffer.concat([A, B.subarray(0, 2000), C]),
    found: ['bad', 'a', 'c'],
  },
  {
    what: 'a cut head, which takes the next one with it',
    file: Buffer.concat([A, B.subarray(0, 60), C, D]),
    found: ['bad', 'a', 'd'],
    expected: /field once/,
  },
  { what: 'no line end at the end', file: Buffer.concat([A, B.subarray(0, -2)]), found: ['bad', 'a'] },
  {
    what: 'a head without end',
    file: Buffer.concat([A, Buffer.from(`WARC/1.0\r\nX: ${'x'.repeat(200_000)}`), C]),
    found: ['bad', 'a', 'c'],
    expected: /65536 bytes at most/,
  },
  {
    what: 'no HTTP in a response',
    file: Buffer.concat([A, record('response', { 'Content-Type': 'application/http' }, 'no'), C]),
    found: ['bad', 'a', 'c'],
    expected: /HTTP response/,
  },
  {
    what: 'an HTTP head without end',
    file: Buffer.concat([
      A,
      record('response', { 'Content-Type': 'application/http' }, `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(300_000)}`),
      C,
    ]),
    found: ['bad', 'a', 'c'],
  },
]
const packedDamages: typeof damages = [
  {
    what: 'garbage between members',
    file: Buffer.concat([packedA, noise(9, 500), packedB]),
    found: ['bad', 'a', 'b'],
    expected: /gzip member or the end/,
  },
  { what: 'zeros behind', file: Buffer.concat([packedA, Buffer.alloc(512)]), found: ['bad', 'a'] },
  {
    what: 'a member cut short at the end',
    file: Buffer.concat([packedA, packedB.subarray(0, 1500)]),
    found: ['bad', 'a'],
    expected: /the file ends in it/,
  },
  {
    what: 'a member without its last bytes',
    file: Buffer.concat([packedA, packedB.subarray(0, -3)]),
    found: ['bad', 'a'],
  },
  {
    what: 'a member cut short, and another follows',
    file: Buffer.concat([packedA, packedB.subarray(0, 1500), packedC, packedD]),
    found: ['bad', 'a', 'c', 'd'],
  },
  {
    what: 'a damaged member',
    file: Buffer.concat([packedA, flipped(packedB, 1500), packedC]),
    found: ['bad', 'a', 'c'],
    expected: /checksum|unpacked/,
  },
  {
    what: 'a damaged checksum',
    file: Buffer.concat([packedA, flipped(packedB, packedB.length - 6), packedC]),
    found: ['bad', 'a', 'c'],
    expected: /checksum/,
  },
  {
    what: 'a damaged member head',
    file: Buffer.concat([packedA, flipped(packedB, 1), packedC]),
    found: ['bad', 'a', 'c'],
  },
  {
    what: 'a length too short',
    file: Buffer.concat([packedA, packed(withLength(B, 100)), packedC]),
    found: ['bad', 'a', 'c'],
  },
  {
    what: 'a length too long',
    file: Buffer.concat([packedA, packed(withLength(B, 9000)), packedC, packedD]),
    found: ['bad', 'a', 'c', 'd'],
  },
  {
    what: 'a cut record in a whole member',
    file: Buffer.concat([packedA, packed(B.subarray(0, 2000)), packedC]),
    found: ['bad', 'a', 'c'],
  },
]
for (const { what, file, found, expected } of [
  ...damages,
  ...packedDamages.map((each) => ({ ...each, what: `${each.what}, packed` })),
]) {
  test(`${what}: told with its place, and the good records before and behind are found`, async () => {
    const all = await read(file)
    const words = inShort(all)
    assert.deepEqual(
      words.filter((word) => !word.startsWith('bad')),
      found.filter((word) => !word.startsWith('bad')),
    )
    const bad = all.filter((one) => one.kind === 'bad')
    assert.equal(bad.length, found.filter((word) => word.startsWith('bad')).length)
    if (found[0] === 'bad')
      assert.ok(words.includes(`bad ${what.endsWith('packed') ? packedSecond : second}`), words.join())
    if (expected !== undefined) assert.match(bad[0]?.expected ?? '', expected)
  })
}

test('in one large gzip member a place is told by what is unpacked before it, and what is whole before damage is found', async () => {
  const all = await read(gzipSync(Buffer.concat([A, withLength(B, 100), C])))
  assert.deepEqual(inShort(all).sort(), ['a', `bad 0, byte ${second} of what is packed there`, 'c'])
  const cut = gzipSync(Buffer.concat([A, B, C]))
  assert.deepEqual(
    inShort(await read(cut.subarray(0, 2 * packedSecond))).sort(),
    ['a', `bad 0, byte ${A.length + B.length} of what is packed there`, 'b'].sort(),
  )
})

test('a record that is longer than what is held in memory is told, and the next one is found', async () => {
  for (const file of [
    Buffer.concat([A, response('http://example.org/long', noise(5, 9000)), C]),
    Buffer.concat([packedA, packed(response('http://example.org/long', noise(5, 9000))), packedC]),
  ]) {
    const all = await read(file, 5000)
    assert.deepEqual(
      inShort(all).filter((word) => !word.startsWith('bad')),
      ['a', 'c'],
    )
    const [bad] = all.filter((one) => one.kind === 'bad')
    assert.equal(bad?.expected, 'expected a record of at most 5000 bytes')
  }
})

test('a body that unpacks to more than may be held is told', async () => {
  const bomb = http('HTTP/1.1 200 OK\nContent-Encoding: gzip', gzipSync(Buffer.alloc(100_000)))
  const [found] = await read(record('response', { 'Content-Type': 'application/http' }, bomb), 5000)
  assert.ok(found?.kind === 'bad')
  assert.equal(found.expected, 'expected a body that unpacks to at most 5000 bytes')
})

test('members that each pretend to hold all that follows are read in bounded time', async () => {
  // A stored block of 65,535 bytes behind a head, every 40 bytes, so that each has the others inside.
  const head = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0xff, 0xff, 0, 0]),
    Buffer.from('WARC/1.0\r\nA: '),
  ])
  const file = Buffer.concat(Array.from({ length: 100_000 }, () => head))
  const started = performance.now()
  const found = await read(file)
  assert.ok(found.every(({ kind }) => kind === 'bad'))
  assert.ok(performance.now() - started < 60_000)
})

test('records that each pretend to hold all that follows are read in bounded time', async () => {
  const heads = Array.from(
    { length: 3000 },
    (_, n) => `WARC/1.0\r\nWARC-Type: response\r\nContent-Length: ${(3000 - n) * 60}\r\n\r\n`,
  )
  const found = await read(Buffer.from(heads.join('')))
  assert.equal(found.filter(({ kind }) => kind === 'bad').length, 3000)
})

for (const [how, whole] of [
  ['plain', [A, B, C, D]],
  ['packed', [packedA, packedB, packedC, packedD]],
] as const) {
  test(`whatever bytes of one record are changed, added or lost, the records away from it are found as they were: ${how}`, async () => {
    const edit = fc.record({
      at: fc.nat(1_000_000),
      remove: fc.nat(30),
      insert: fc.uint8Array({ maxLength: 30 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        let changed: Buffer = Buffer.from(whole[1])
        for (const { at, remove, insert } of edits) {
          const from = at % changed.length
          changed = Buffer.concat([changed.subarray(0, from), insert, changed.subarray(from + remove)])
        }
        const found = await read(Buffer.concat([whole[0], changed, whole[2], whole[3]]))
        const words = inShort(found)
        // In a plain file what stands behind a record is all that tells that it is whole, and a cut head takes the next record with it.
        const sure = how === 'packed' ? ['a', 'c', 'd'] : ['d']
        assert.deepEqual(
          words.filter((word) => sure.includes(word)),
          sure,
        )
        if (how === 'packed' && !changed.equals(whole[1])) {
          const b = found.find((one) => one.kind === 'item' && one.collected.envelope.acquisition?.finalUrl === URLS[1])
          if (b?.kind === 'item') assert.ok(noise(1, 3000).equals(b.collected.payload))
        }
      }),
      {
        numRuns: 300,
        examples: [
          [
            [
              { at: 0, remove: 0, insert: new Uint8Array(10) },
              { at: 976_641, remove: 27, insert: new Uint8Array() },
              { at: 448_043, remove: 17, insert: new Uint8Array(1) },
            ],
          ],
        ],
      },
    )
  })
}
