import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync, existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openDataset, telling } from '../../services/train/dataset/dataset.ts'
import { redactDataset } from '../../services/train/dataset/redact.ts'
import { createShardWriter } from '../../services/train/dataset/shard-writer.ts'
import { makeDataset, newItem, newTestKey, recallsOf, ringOf, SIGNED_AT, verified } from './made-dataset.ts'

const folder = await mkdtemp(join(tmpdir(), 'sluice-dataset-'))
after(() => rm(folder, { recursive: true, force: true }))

const key = newTestKey()
const keyring = ringOf(key)
const items = Array.from({ length: 6 }, (_, number) => newItem(number, key))

/** What a crash may leave of the last shard of two, and of how many shards the dataset is then. */
const crashes: Array<{ what: string; leave: (at: (path: string) => string) => void; shards: number }> = [
  { what: 'nothing', leave: () => undefined, shards: 2 },
  {
    what: 'half a tar',
    leave: (at) => {
      writeFileSync(at('shards/000002.tar.part'), 'half')
    },
    shards: 2,
  },
  {
    what: 'a tar and a manifest of which no record tells',
    leave: (at) => {
      unplace(at)
      rmSync(at('state/000001.json'))
    },
    shards: 1,
  },
  {
    what: 'half a manifest',
    leave: (at) => {
      unplace(at)
      rmSync(at('state/000001.json'))
      renameSync(at('manifest/000001.parquet.part'), at('manifest/000001.parquet.part.4711'))
    },
    shards: 1,
  },
  {
    what: 'half a record',
    leave: (at) => {
      unplace(at)
      renameSync(at('state/000001.json'), at('state/000001.json.4711'))
    },
    shards: 1,
  },
  { what: 'a record, and nothing in its place yet', leave: unplace, shards: 2 },
  {
    what: 'a record, and only the manifest in its place',
    leave: (at) => renameSync(at('shards/000001.tar'), at('shards/000001.tar.part')),
    shards: 2,
  },
  {
    what: 'a draft of a shard that is there, of which no record tells',
    leave: (at) => {
      copyFileSync(at('shards/000000.tar'), at('shards/000001.tar.part'))
      copyFileSync(at('manifest/000000.parquet'), at('manifest/000001.parquet.part'))
    },
    shards: 2,
  },
]

function unplace(at: (path: string) => string): void {
  for (const path of ['shards/000001.tar', 'manifest/000001.parquet']) renameSync(at(path), at(`${path}.part`))
}

for (const { what, leave, shards } of crashes) {
  test(`whoever opens a dataset behind a crash that left ${what} finds whole shards alone`, async () => {
    const made = await mkdtemp(join(folder, 'crash-'))
    await makeDataset(made, items, 3)
    leave((path) => join(made, path))
    const dataset = await openDataset(made, false)
    assert.equal(dataset.shards(), shards)
    dataset.close()
    const numbers = [...Array(shards).keys()].map((shard) => `00000${shard}`)
    assert.deepEqual(
      readdirSync(join(made, 'shards')),
      numbers.map((number) => `${number}.tar`),
    )
    assert.deepEqual(
      readdirSync(join(made, 'manifest')),
      numbers.map((number) => `${number}.parquet`),
    )
    const { found, holding } = await verified(made, { keyring })
    assert.equal(holding, shards * 3)
    // The description is written anew by whoever goes on.
    assert.deepEqual(
      found.map(({ code }) => code),
      shards === 2 ? [] : ['DESCRIPTION_MISMATCH'],
    )
  })
}

test('a redaction that was cut off behind its first word is told until it is finished', async () => {
  const made = await mkdtemp(join(folder, 'redact-'))
  await makeDataset(made, items, 3)
  const gone = items[4]?.item
  assert.ok(gone)
  const recalls = recallsOf(gone.payload.reference)
  const whole = await mkdtemp(join(folder, 'redact-'))
  await makeDataset(whole, items, 3)
  assert.deepEqual((await redactDataset(whole, recalls)).shards, [{ shard: 1, items: 1 }])
  copyFileSync(join(whole, 'redacted.jsonl'), join(made, 'redacted.jsonl'))
  assert.deepEqual(
    (await verified(made, { keyring })).found.map(({ code, id }) => [code, id]),
    [['ITEM_REDACTED', gone.id]],
  )

  // Also when nobody tells of the recall any more.
  assert.deepEqual((await redactDataset(made, recallsOf())).shards, [{ shard: 1, items: 1 }])
  for (const one of [made, whole]) {
    const { found, holding, redacted } = await verified(one, { keyring, recalls })
    assert.deepEqual({ found, holding, redacted }, { found: [], holding: 5, redacted: 1 })
  }
})

test('an export that was cut off stays unfinished when something is taken out of it, and when nothing is', async () => {
  const table = [
    { recalls: recallsOf(), holding: 6, redacted: 0 },
    { recalls: recallsOf(items[4]?.item.payload.reference ?? ''), holding: 5, redacted: 1 },
  ]
  for (const { recalls, holding, redacted } of table) {
    const made = await mkdtemp(join(folder, 'redact-'))
    await makeDataset(made, items, 3, false)
    // As an export leaves them that was complete, went on and was cut off.
    const whole = await mkdtemp(join(folder, 'redact-'))
    await makeDataset(whole, items, 3)
    for (const before of [[], ['dataset.json', 'croissant.json'], ['croissant.json']]) {
      for (const file of before) copyFileSync(join(whole, file), join(made, file))
      assert.equal((await redactDataset(made, recalls)).isComplete, false)
      const after = await verified(made, { keyring, recalls })
      assert.deepEqual(
        [after.found.map(({ code }) => code), after.holding, after.redacted],
        [['DATASET_UNFINISHED'], holding, redacted],
      )
      assert.ok(!existsSync(join(made, 'croissant.json')))
    }
  }
})

test('by recalls of another cluster or prefix, or older than the newest item, nothing is taken out', async () => {
  const [made, empty] = [await mkdtemp(join(folder, 'redact-')), await mkdtemp(join(folder, 'redact-'))]
  await makeDataset(made, items, 3)
  await makeDataset(empty, [], 3)
  const before = readdirSync(made, { recursive: true }).toSorted()
  const recalls = recallsOf(items[4]?.item.payload.reference ?? '')
  const table: Array<[string, Partial<typeof recalls.head>, RegExp]> = [
    [made, { cluster: 'staging' }, /of gate\.recalls on cluster staging, the items of gate\.clean on cluster c:/],
    [made, { topic: 'trial.gate.recalls' }, /of trial\.gate\.recalls on cluster c, the items of gate\.clean on/],
    [made, { readAt: SIGNED_AT }, /read at 2026-11-28T00:00:00\.000Z, the newest item was signed at .*\.005Z:/],
    [empty, { cluster: 'staging' }, /of gate\.recalls on cluster staging, the items of gate\.clean on cluster c:/],
  ]
  for (const [where, head, message] of table) {
    const redacted = redactDataset(where, { ...recalls, head: { ...recalls.head, ...head } })
    await assert.rejects(redacted, { code: 'CONFIG_INVALID', message })
  }
  assert.deepEqual(readdirSync(made, { recursive: true }).toSorted(), before)
  assert.deepEqual((await verified(made, { keyring })).found, [])
})

test('a shard of which all is taken out stays, empty', async () => {
  const made = await mkdtemp(join(folder, 'redact-'))
  await makeDataset(made, items, 2)
  const recalls = recallsOf(...items.slice(2, 4).map(({ item }) => item.payload.reference))
  await redactDataset(made, recalls)
  const { found, holding } = await verified(made, { keyring, recalls })
  assert.deepEqual({ found, holding }, { found: [], holding: 4 })
  assert.ok(existsSync(join(made, 'shards', '000001.tar')))
})

test('a shard that is damaged is told by who would take something out of it, and is left as it is', async () => {
  const made = await mkdtemp(join(folder, 'redact-'))
  await makeDataset(made, items, 6)
  appendFileSync(join(made, 'shards', '000000.tar'), 'x')
  const recalls = recallsOf(items[2]?.item.payload.reference ?? '')
  await assert.rejects(redactDataset(made, recalls), { code: 'CONFIG_INVALID', message: /000000\.tar is damaged/ })
  assert.deepEqual(readdirSync(join(made, 'shards')), ['000000.tar'])
})

test('a disk that is full is told, while a shard is written and at its end', {
  skip: existsSync('/dev/full') ? false : 'this system has no /dev/full',
}, async () => {
  for (const all of [items.slice(0, 1), [...items, ...items, ...items, ...items]]) {
    const writer = createShardWriter({ tar: '/dev/full', manifest: join(folder, 'manifest') }, 'shards/000000.tar')
    await assert.rejects(
      async () => {
        for (const item of all) await writer.add(item)
        await writer.finish()
      },
      { code: 'ENOSPC' },
    )
    await writer.abandon()
  }
  const written = telling(folder, () => writeFile('/dev/full', 'x'))
  await assert.rejects(written, { code: 'STORE_UNREACHABLE', message: /can't be read or written \(ENOSPC\)/ })
})
