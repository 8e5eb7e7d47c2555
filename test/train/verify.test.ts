import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { verify as verifySignature } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { pack } from 'tar-stream'
import { parseDsse } from '../../services/domain/dsse.ts'
import { manifestOf } from '../../services/train/dataset/manifest.ts'
import { type KnownRecalls, type RecallsHead, recallLines } from '../../services/train/dataset/recall-file.ts'
import { redactDataset } from '../../services/train/dataset/redact.ts'
import type { NewItem } from '../../services/train/dataset/shard-writer.ts'
import type { ProblemCode } from '../../services/train/dataset/verify.ts'
import { startSluice } from '../integration/gate-process.ts'
import {
  change,
  makeDataset,
  newItem,
  newTestKey,
  recallsOf,
  ringOf,
  SIGNED_AT,
  tarParts,
  verified,
} from './made-dataset.ts'

const folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'))
after(() => rm(folder, { recursive: true, force: true }))

/** Draws of each property. */
const RUNS = Number(process.env.RUNS ?? 80)

const key = newTestKey()
const keyring = ringOf(key)
const items = Array.from({ length: 7 }, (_, number) => newItem(number, key))
const whole = join(folder, 'whole')
await makeDataset(whole, items, 3)

/** A copy that a test may spoil. */
async function copy(): Promise<string> {
  const made = await mkdtemp(join(folder, 'copy-'))
  await cp(whole, made, { recursive: true })
  return made
}

const SHARD = 'shards/000001.tar'
const MANIFEST = 'manifest/000001.parquet'

test('a dataset that is as it was exported holds, whole', async () => {
  const { items: count, holding, problems, sums, files } = await verified(whole, { keyring })
  assert.deepEqual({ count, holding, problems }, { count: 7, holding: 7, problems: 0 })
  assert.equal(
    sums.bytes,
    items.reduce((sum, { bytes }) => sum + bytes.length, 0),
  )
  assert.deepEqual(sums.keyIds, [{ value: key.id, items: 7 }])
  assert.equal(files.length, 8)
})

test('the same items give the same bytes, file by file', async () => {
  const again = join(folder, 'again')
  await makeDataset(again, items, 3)
  for (const name of ['shards', 'manifest', 'state']) {
    for (const file of (await readdir(join(whole, name))).filter((each) => each !== 'lock')) {
      assert.ok((await readFile(join(whole, name, file))).equals(await readFile(join(again, name, file))), file)
    }
  }
  assert.equal(readFileSync(join(whole, 'croissant.json'), 'utf8'), readFileSync(join(again, 'croissant.json'), 'utf8'))
})

test('one bit of a payload, a receipt or its JSON is another one: exactly that item is named', async () => {
  const made = await copy()
  const file = join(made, SHARD)
  const tar = await readFile(file)
  const parts = tarParts(tar).filter(({ size }) => size > 0)
  const place = fc
    .constantFrom(...parts)
    .chain(({ name, start, size }) =>
      fc.record({ name: fc.constant(name), at: fc.integer({ min: start, max: start + size - 1 }), bit: fc.nat(7) }),
    )
  await fc.assert(
    fc.asyncProperty(place, async ({ name, at, bit }) => {
      await writeFile(file, flipped(tar, at, bit))
      const { holding, found } = await verified(made, { keyring })
      assert.equal(holding, 6)
      assert.deepEqual(
        found.map((problem) => [problem.file, problem.key]),
        [[SHARD, name.slice(0, 32)]],
      )
    }),
    { numRuns: RUNS },
  )
})

test('one bit of any file is another one: the dataset does not hold', async () => {
  const made = await copy()
  await redactDataset(made, recallsOf(items[6]?.item.payload.reference ?? ''))
  assert.equal((await verified(made, { keyring })).problems, 0)
  const named = ['dataset.json', 'croissant.json', 'redacted.jsonl', 'shards/000002.tar', 'manifest/000002.parquet']
  const names = [...named, SHARD, MANIFEST]
  const contents = new Map(names.map((name) => [name, readFileSync(join(made, name))]))
  const place = fc
    .constantFrom(...contents)
    .chain(([name, bytes]) => fc.record({ name: fc.constant(name), at: fc.nat(bytes.length - 1), bit: fc.nat(7) }))
  await fc.assert(
    fc.asyncProperty(place, async ({ name, at, bit }) => {
      const bytes = contents.get(name) ?? Buffer.alloc(0)
      await writeFile(join(made, name), flipped(bytes, at, bit))
      const { problems } = await verified(made, { keyring })
      await writeFile(join(made, name), bytes)
      assert.ok(problems > 0, `bit ${bit} of byte ${at} of ${name}`)
    }),
    { numRuns: RUNS },
  )
})

test('a shard that ends anywhere too early is told, and what stands before that still holds', async () => {
  const tar = readFileSync(join(whole, SHARD))
  const made = await copy()
  await fc.assert(
    fc.asyncProperty(fc.nat(tar.length - 1), async (length) => {
      await writeFile(join(made, SHARD), tar.subarray(0, length))
      const { found, holding } = await verified(made, { keyring })
      assert.deepEqual(
        found.map(({ code, file }) => [code, file]),
        [['SHARD_DAMAGED', SHARD]],
      )
      assert.ok(holding >= 4 && holding <= 7)
    }),
    { numRuns: 60 },
  )
})

test('whatever is put in, taken out or written over in a file: the dataset does not hold, and nothing breaks', async () => {
  const made = await copy()
  const names = [SHARD, MANIFEST, 'dataset.json', 'croissant.json']
  const contents = new Map(names.map((name) => [name, readFileSync(join(made, name))]))
  const edit = fc.record({
    name: fc.constantFrom(...names),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    gone: fc.constantFrom(0, 1, 100, 512, 1024, 5000),
    put: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(new Uint8Array(512), new Uint8Array(1024))),
    blocks: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(edit, async ({ name, at, gone, put, blocks }) => {
      const bytes = contents.get(name) ?? Buffer.alloc(0)
      const from = Math.floor((at * bytes.length) / (blocks ? 512 : 1)) * (blocks ? 512 : 1)
      const other = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + gone)])
      await writeFile(join(made, name), other)
      const { problems } = await verified(made, { keyring })
      await writeFile(join(made, name), bytes)
      assert.equal(problems > 0, !other.equals(bytes))
    }),
    { numRuns: RUNS },
  )
})

test('a keyring decides: unknown, retired and revoked keys prove nothing, a retired one what it signed before', async () => {
  const revoked = { at: SIGNED_AT + 100, why: 'test' }
  const table: Array<[string, ReturnType<typeof ringOf>, ProblemCode | null, number]> = [
    ['unknown', ringOf(newTestKey()), 'KEY_UNKNOWN', 7],
    ['revoked', ringOf(key, { revoked }), 'KEY_REVOKED', 7],
    ['retired before', ringOf(key, { until: SIGNED_AT }), 'KEY_RETIRED', 7],
    ['retired between', ringOf(key, { until: SIGNED_AT + 5 }), 'KEY_RETIRED', 2],
    ['retired after', ringOf(key, { until: SIGNED_AT + 100 }), null, 0],
    ['made after', ringOf(key, { from: SIGNED_AT + 3 }), 'KEY_RETIRED', 3],
    ['none', { version: 1, keys: [] }, 'KEY_UNKNOWN', 7],
  ]
  for (const [what, ring, code, count] of table) {
    const { found } = await verified(whole, { keyring: ring })
    assert.deepEqual(
      found.map((problem) => problem.code),
      Array.from({ length: count }, () => code),
      what,
    )
  }
})

test('what was recalled is named, what was withdrawn again is not', async () => {
  const [first, second] = [items[1], items[5]]
  const recalls = recallsOf(first?.item.payload.reference ?? '', second?.item.payload.reference ?? '')
  const withdrawn = new Map(recalls.recalls)
  const one = [...withdrawn.values()][1]
  assert.ok(one)
  withdrawn.set(one.sha256, { ...one, state: 'withdrawn' })
  const { found, holding } = await verified(whole, { keyring, recalls: { ...recalls, recalls: withdrawn } })
  assert.deepEqual(
    found.map(({ code, id }) => [code, id]),
    [['ITEM_RECALLED', 'Boat.1']],
  )
  assert.equal(holding, 6)
})

/** Recalls that say nothing of the items in a dataset, and what is told of both. */
const unrelated: Array<[string, Partial<RecallsHead>, RegExp]> = [
  [
    'of another cluster',
    { cluster: 'staging' },
    /of gate\.recalls on cluster staging, the items of crawl\.items on cluster c:/,
  ],
  [
    'of another prefix',
    { topic: 'trial.gate.recalls' },
    /of trial\.gate\.recalls on cluster c, the items of crawl\.items on/,
  ],
  ['of another topic', { topic: 'gate.clean' }, /of gate\.clean on cluster c, the items of crawl\.items on/],
  [
    'older than the newest item',
    { readAt: SIGNED_AT + 5 },
    /read at 2026-11-28T00:00:00\.005Z, the newest item was signed at 2026-11-28T00:00:00\.006Z:/,
  ],
]
for (const [what, head, told] of unrelated) {
  test(`recalls ${what} are told, once, and no item is less for it`, async () => {
    const { found, holding, problems } = await verified(whole, { keyring, recalls: recallsBy(head) })
    assert.deepEqual([found.map(({ code, file }) => [code, file]), holding], [[['RECALLS_UNRELATED', '.']], 7])
    assert.equal(problems, 1)
    assert.match(found[0]?.detail ?? '', told)
  })
}

test('recalls belong to items by their prefix, as old as the newest of them; one item of elsewhere is enough', async () => {
  const [prefixed, mixed, empty] = ['prefixed', 'mixed', 'of-none'].map((name) => join(folder, name))
  const elsewhere = newItem(8, key, { input: { cluster: 'd', topic: 'a.crawl.items', partition: 0, offset: 8 } })
  const here = newItem(8, key, { input: { cluster: 'c', topic: 'a.crawl.items', partition: 0, offset: 8 } })
  const table: Array<[string, NewItem[], Partial<RecallsHead>, ProblemCode[]]> = [
    [prefixed ?? '', [here], { topic: 'a.gate.recalls', readAt: SIGNED_AT + 8 }, []],
    [mixed ?? '', [...items, elsewhere], {}, ['RECALLS_UNRELATED']],
    [empty ?? '', [], { cluster: 'staging', readAt: 0 }, []],
  ]
  for (const [made, all, head, codes] of table) {
    await makeDataset(made, all, 9)
    const { found } = await verified(made, { keyring, recalls: recallsBy(head) })
    assert.deepEqual(
      found.map(({ code }) => code),
      codes,
      made,
    )
  }
})

function recallsBy(head: Partial<RecallsHead>): KnownRecalls {
  const recalls = recallsOf('0'.repeat(64))
  return { ...recalls, head: { ...recalls.head, ...head } }
}

/** What an attacker may put into a dataset, by the writer that exports use, and what is told of it. */
const forged: Array<{ what: string; make: () => NewItem[]; told: Array<[ProblemCode, string | null]> }> = [
  {
    what: 'an item twice',
    make: () => [
      ...items.slice(0, 2),
      newItem(1, key, { input: { cluster: 'c', topic: 'crawl.items', partition: 0, offset: 99 } }),
    ],
    told: [['ITEM_REPEATED', 'Boat.1']],
  },
  {
    what: 'a receipt of another item',
    make: () =>
      items.slice(0, 2).map((made) => ({ ...made, item: { ...made.item, receipt: items[0]?.item.receipt ?? '' } })),
    told: [['RECEIPT_MISMATCH', 'Boat.1']],
  },
  {
    what: 'other bytes of the same length',
    make: () =>
      items.slice(0, 2).map((made, at) => (at === 0 ? made : { ...made, bytes: Buffer.alloc(made.bytes.length, 1) })),
    told: [['PAYLOAD_TAMPERED', 'Boat.1']],
  },
  {
    what: 'other bytes and their digest',
    make: () => {
      const [one, other] = [items[0], newItem(1, newTestKey())]
      return one === undefined ? [] : [one, other]
    },
    told: [['KEY_UNKNOWN', 'Boat.1']],
  },
  {
    what: 'no receipt',
    make: () =>
      items.slice(0, 2).map((made, at) => (at === 0 ? made : { ...made, item: { ...made.item, receipt: '' } })),
    told: [['RECEIPT_INVALID', 'Boat.1']],
  },
  {
    what: 'an id that would steer a terminal',
    make: () => [newItem(0, newTestKey(), { id: '\u001b[2J' })],
    told: [['KEY_UNKNOWN', null]],
  },
]
for (const { what, make, told } of forged) {
  test(`forged: ${what} is told`, async () => {
    const made = await mkdtemp(join(folder, 'forged-'))
    await makeDataset(made, make(), 3)
    const { found } = await verified(made, { keyring })
    assert.deepEqual(
      found.map(({ code, id }) => [code, id]),
      told,
    )
  })
}

/** What may be done to the files of a dataset, and what is told of it. */
const spoilt: Array<{ what: string; how: (made: string) => Promise<unknown>; told: Array<[ProblemCode, string]> }> = [
  {
    what: 'a shard is gone',
    how: (made) => rm(join(made, 'shards/000002.tar')),
    told: [['SHARD_MISSING', 'shards/000002.tar']],
  },
  {
    what: 'a shard in the middle is gone',
    how: (made) => rm(join(made, SHARD)),
    told: [
      ['SHARD_MISSING', SHARD],
      ['FILE_UNEXPECTED', 'shards/000002.tar'],
    ],
  },
  { what: 'a manifest is gone', how: (made) => rm(join(made, MANIFEST)), told: [['MANIFEST_MISMATCH', MANIFEST]] },
  {
    what: 'a manifest is of another shard',
    how: (made) => cp(join(made, 'manifest/000000.parquet'), join(made, MANIFEST)),
    told: [['MANIFEST_MISMATCH', MANIFEST]],
  },
  {
    what: 'a manifest tells of an item more',
    how: (made) => {
      const rows = items.slice(2, 6).map(({ item, receipt }) => ({ shard: SHARD, key: '0'.repeat(32), item, receipt }))
      return writeFile(join(made, MANIFEST), manifestOf(rows))
    },
    told: [['MANIFEST_MISMATCH', MANIFEST]],
  },
  {
    what: 'a shard is there twice, the second time under a number of its own',
    how: async (made) => {
      await cp(join(made, SHARD), join(made, 'shards/000003.tar'))
      await cp(join(made, MANIFEST), join(made, 'manifest/000003.parquet'))
    },
    told: [
      ['ITEM_REPEATED', 'shards/000003.tar'],
      ['ITEM_REPEATED', 'shards/000003.tar'],
      ['ITEM_REPEATED', 'shards/000003.tar'],
      ['MANIFEST_MISMATCH', 'manifest/000003.parquet'],
    ],
  },
  {
    what: 'a file more',
    how: (made) => writeFile(join(made, 'shards/000001.tar.gz'), ''),
    told: [['FILE_UNEXPECTED', 'shards/000001.tar.gz']],
  },
  {
    what: 'a file more, beside',
    how: (made) => writeFile(join(made, 'setup.py'), ''),
    told: [['FILE_UNEXPECTED', 'setup.py']],
  },
  {
    what: 'a file more, in the state',
    how: (made) => writeFile(join(made, 'state/x.tar'), ''),
    told: [['FILE_UNEXPECTED', 'state/x.tar']],
  },
  {
    what: 'a shard that is a link',
    how: async (made) => {
      await rename(join(made, SHARD), join(made, '..', 'elsewhere.tar'))
      await symlink(join(made, '..', 'elsewhere.tar'), join(made, SHARD))
    },
    told: [
      ['FILE_UNEXPECTED', SHARD],
      ['SHARD_MISSING', SHARD],
      ['FILE_UNEXPECTED', 'shards/000002.tar'],
    ],
  },
  {
    what: 'a folder that is a link',
    how: async (made) => {
      const elsewhere = await mkdtemp(join(folder, 'elsewhere-'))
      await rename(join(made, 'shards'), join(elsewhere, 'shards'))
      await symlink(join(elsewhere, 'shards'), join(made, 'shards'))
    },
    told: [
      ['FILE_UNEXPECTED', 'shards'],
      ['SHARD_MISSING', 'shards/000000.tar'],
    ],
  },
  {
    what: 'a description that is a pipe',
    how: async (made) => {
      await rm(join(made, 'dataset.json'))
      execFileSync('mkfifo', [join(made, 'dataset.json')])
    },
    told: [['FILE_UNEXPECTED', 'dataset.json']],
  },
  {
    what: 'a description that is missing',
    how: (made) => rm(join(made, 'dataset.json')),
    told: [['DATASET_UNFINISHED', 'dataset.json']],
  },
  {
    what: 'a description that is none',
    how: (made) => writeFile(join(made, 'dataset.json'), '[]'),
    told: [['DESCRIPTION_MISMATCH', 'dataset.json']],
  },
  {
    what: 'a licence that nobody gave',
    how: (made) => change(made, 'croissant.json', (text) => Buffer.from(text.toString().replace('CC0-1.0', 'MIT'))),
    told: [['DESCRIPTION_MISMATCH', 'croissant.json']],
  },
  {
    what: 'redactions that are none',
    how: (made) => writeFile(join(made, 'redacted.jsonl'), '{}\n'),
    told: [['DESCRIPTION_MISMATCH', 'redacted.jsonl']],
  },
  { what: 'a shard that is empty', how: (made) => truncate(join(made, SHARD), 0), told: [['SHARD_DAMAGED', SHARD]] },
  {
    what: 'a shard that claims to be enormous',
    how: (made) => truncate(join(made, SHARD), 2 ** 36),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'something behind the end of a tar',
    how: (made) => change(made, SHARD, (tar) => Buffer.concat([tar, Buffer.alloc(512)])),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'a member whose length is not there',
    how: (made) => change(made, SHARD, (tar) => withLength(tar, 2, 0o77777777777)),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'JSON that is enormous',
    how: (made) => change(made, SHARD, (tar) => withLength(tar, 0, 2 ** 30)),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'a receipt that is missing',
    how: (made) => change(made, SHARD, (tar) => without(tar, 1)),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'an item that is missing',
    how: (made) => change(made, SHARD, (tar) => without(tar, 0, 3)),
    told: [['MANIFEST_MISMATCH', MANIFEST]],
  },
  {
    what: 'a member that leads out of the folder',
    how: (made) => foreignTar(made, { name: '../../evil.json' }),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'a member that is a link',
    how: (made) => foreignTar(made, { name: `${'a'.repeat(32)}.json`, type: 'symlink', linkname: '/etc/passwd' }),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'a name that stands in an extended header',
    how: (made) => foreignTar(made, { name: 'ä'.repeat(200) }),
    told: [['SHARD_DAMAGED', SHARD]],
  },
  {
    what: 'JSON of many brackets',
    how: (made) => nested(made, '['.repeat(500_000)),
    told: [['ITEM_DAMAGED', SHARD]],
  },
  {
    what: 'JSON of many brackets that are closed',
    how: (made) => nested(made, `{"training":${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}}`),
    told: [['ITEM_DAMAGED', SHARD]],
  },
]
for (const { what, how, told } of spoilt) {
  test(`spoilt: ${what} is told`, async () => {
    const made = await copy()
    await how(made)
    const { found, problems } = await verified(made, { keyring })
    assert.deepEqual(
      found.map(({ code, file }) => [code, file]),
      told,
    )
    assert.equal(problems, told.length)
  })
}

test('a folder that is not there, or is no dataset, is told', async () => {
  const empty = join(folder, 'empty')
  await mkdir(empty)
  for (const [made, code] of [
    [join(folder, 'nowhere'), 'FOLDER_UNREADABLE'],
    [empty, 'DATASET_UNFINISHED'],
  ] as const) {
    assert.deepEqual(
      (await verified(made, { keyring })).found.map((problem) => problem.code),
      [code],
    )
  }
})

test('the command says what holds, names what does not, and attests only what holds', async () => {
  const made = await copy()
  const at = (name: string) => join(made, '..', `attest-${name}`)
  await writeFile(at('keyring.json'), JSON.stringify(keyring))
  await writeFile(at('key.pem'), key.key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  await writeFile(at('recalls.jsonl'), [...recallLines(recallsOf('0'.repeat(64)))].join(''))
  const words = ['train', 'verify', made, '--keyring', at('keyring.json'), '--recalls', at('recalls.jsonl')]
  const attesting = [...words, '--attest', at('statement.json'), '--signing-key', at('key.pem')]
  const right = startSluice(attesting, {})
  assert.equal((await right.ended).code, 0, right.stderr())
  assert.match(
    right.stdout(),
    /Recalls of gate\.recalls on cluster c, as of 2026-11-29T00:00:00\.000Z\.\nEverything in it holds/,
  )

  const signed = parseDsse(readFileSync(at('statement.json'), 'utf8').trimEnd())
  assert.ok(signed)
  assert.equal(signed.payloadType, 'application/vnd.in-toto+json')
  const type = Buffer.from(`DSSEv1 ${signed.payloadType.length} ${signed.payloadType} ${signed.body.length} `)
  assert.ok(verifySignature(null, Buffer.concat([type, signed.body]), key.key, signed.sig))
  const { _type, subject, predicate } = JSON.parse(signed.body.toString())
  assert.equal(_type, 'https://in-toto.io/Statement/v1')
  assert.equal(predicate.items, 7)
  assert.equal(predicate.recalls.topic, 'gate.recalls')
  assert.deepEqual(
    subject.map(({ name }: { name: string }) => name).toSorted(),
    [
      'croissant.json',
      'dataset.json',
      ...[0, 1, 2].flatMap((n) => [`manifest/00000${n}.parquet`, `shards/00000${n}.tar`]),
    ].toSorted(),
  )

  await rm(at('statement.json'))
  await writeFile(at('elsewhere.jsonl'), [...recallLines(recallsBy({ cluster: 'staging' }))].join(''))
  const unknowing = startSluice([...attesting, '--recalls', at('elsewhere.jsonl')], {})
  assert.equal((await unknowing.ended).code, 1)
  assert.match(unknowing.stdout(), /^RECALLS_UNRELATED {2}\.: the recalls are of gate\.recalls on cluster staging, /)
  assert.ok(!(await readdir(join(made, '..'))).includes('attest-statement.json'), 'nothing is attested')

  await change(made, SHARD, (tar) => flipped(tar, (tarParts(tar)[2]?.start ?? 0) + 3, 2))
  const wrong = startSluice(attesting, {})
  const asJson = startSluice([...words, '--json'], {})
  assert.equal((await wrong.ended).code, 1)
  assert.match(wrong.stdout(), /^PAYLOAD_TAMPERED {2}shards\/000001\.tar, [0-9a-f]{32}, item Boat\.3: /)
  assert.ok(!(await readdir(join(made, '..'))).includes('attest-statement.json'), 'nothing is attested')
  assert.equal((await asJson.ended).code, 1)
  const { holding, problems } = JSON.parse(asJson.stdout())
  assert.deepEqual([holding, problems.length, problems[0].id], [6, 1, 'Boat.3'])
})

function flipped(bytes: Buffer, at: number, bit: number): Buffer {
  const other = Buffer.from(bytes)
  other[at] = (other[at] ?? 0) ^ (1 << bit)
  return other
}

/** Has a member claim another length, with a header that is right otherwise. */
function withLength(tar: Buffer, index: number, length: number): Buffer {
  const other = Buffer.from(tar)
  const at = tarParts(tar)[index]?.header ?? 0
  other.write(`${length.toString(8).padStart(11, '0')} `, at + 124)
  other.write('        ', at + 148)
  const sum = other.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
  other.write(`${sum.toString(8).padStart(6, '0')} \0`, at + 148)
  return other
}

/** Takes members out. */
function without(tar: Buffer, index: number, count = 1): Buffer {
  const parts = tarParts(tar)
  return Buffer.concat([tar.subarray(0, parts[index]?.header), tar.subarray(parts[index + count]?.header)])
}

async function foreignTar(made: string, header: Parameters<ReturnType<typeof pack>['entry']>[0]): Promise<void> {
  const tar = pack()
  tar.entry({ ...header, mtime: new Date(0), mode: 0o644 }, '')
  tar.finalize()
  await writeFile(join(made, SHARD), await buffer(tar))
}

/** Replaces the JSON of the first item. */
async function nested(made: string, json: string): Promise<void> {
  const old = readFileSync(join(made, SHARD))
  const tar = pack()
  for (const [index, { name, start, size }] of tarParts(old).entries()) {
    const content = index === 0 ? Buffer.from(json) : old.subarray(start, start + size)
    tar.entry({ name, mtime: new Date(0), mode: 0o644, uid: 0, gid: 0 }, content)
  }
  tar.finalize()
  await writeFile(join(made, SHARD), await buffer(tar))
}
