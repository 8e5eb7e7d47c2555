import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, suite, type TestContext } from 'node:test'
import { SluiceError } from '../../services/domain/errors.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import { createS3Store } from '../../services/platform/stores/s3-store.ts'
import type { Store, StoreName } from '../../services/platform/stores/store.ts'
import { skipWithoutS3, startS3Server } from '../integration/s3-server.ts'

/** What every kind of store promises. */

type Open = (t: TestContext, name?: StoreName) => Promise<Store>
type Kind = { kind: string; skip: string | false; open: Open }

/** Folders in which the objects of the stores are, for those who look from outside. */
const shelves = new Map<Store, string>()

const server = skipWithoutS3() === false ? await startS3Server({ after }) : null
let buckets = 0

const kinds: Kind[] = [
  {
    kind: 'in a folder',
    skip: false,
    async open(t, name = 'intake') {
      const root = mkdtempSync(join(tmpdir(), 'sluice-store-'))
      t.after(() => rmSync(root, { recursive: true, force: true }))
      return await made(createFileStore(root, name), join(root, name))
    },
  },
  {
    kind: 'in a bucket',
    skip: skipWithoutS3(),
    async open(_, name = 'intake') {
      buckets += 1
      return await made(inBucket(`of-test-${buckets}`, name), join(server?.folder ?? '', `of-test-${buckets}`, 'a/b'))
    },
  },
]

function inBucket(bucket: string, name: StoreName): Store {
  if (server === null) throw new Error('there is no S3 server')
  return createS3Store({ client: server.client(), bucket, prefix: 'a/b' }, name)
}

async function made(store: Store, shelf: string): Promise<Store> {
  await store.make()
  shelves.set(store, shelf)
  return store
}

const code = (expected: string) => (error: unknown) => error instanceof SluiceError && error.code === expected
const bytes = Buffer.from('some bytes')
const name = hash('sha256', bytes)
const absent = hash('sha256', 'something else')
/** Of several parts, the last of which is full, or nearly empty. */
const large = [8_388_608, 8_388_609].map((length, at) => Buffer.alloc(length, `large ${at}`))

const listed = async (store: Store): Promise<string[]> =>
  (await Array.fromAsync(store.list())).flat().map(({ sha256 }) => sha256)
const drafts = async (store: Store): Promise<number> => (await Array.fromAsync(store.drafts())).flat().length

for (const { kind, skip, open } of kinds) {
  suite(`a store ${kind}`, { skip }, () => {
    test('what was written is read back, also when it is written twice at the same time', async (t) => {
      const store = await open(t)
      await Promise.all([store.write(name, bytes), store.write(name, bytes)])
      await store.write(name, bytes)
      assert.deepEqual(await store.read(name, 100), bytes)
      await store.make()
      assert.deepEqual(await store.read(name, 100), bytes, 'made again, it keeps what it has')
    })

    test('many are written at once, an empty one and a large one among them', async (t) => {
      const store = await open(t)
      const many = [Buffer.alloc(0), large[1] ?? bytes, ...Array.from({ length: 150 }, (_, at) => Buffer.from(`${at}`))]
      const objects = many.map((each) => ({ sha256: hash('sha256', each), bytes: each }))
      await store.writeAll([...objects, ...objects.slice(0, 5)])
      for (const object of objects) assert.ok((await store.read(object.sha256, 10_000_000)).equals(object.bytes))
      assert.deepEqual(await listed(store), objects.map(({ sha256 }) => sha256).sort())
    })

    test('what is given is kept; what a pool may miss stays, and so does the rest where a part is given', async (t) => {
      const store = await open(t)
      const slab = Buffer.from('before-part-after')
      const pool = Buffer.alloc(4096, 'a whole pool')
      const large = Buffer.alloc(200_000, 7)
      const given = [large, pool, slab.subarray(7, 11), Buffer.alloc(0)]
      const expected = given.map((each) => Buffer.from(each))
      const objects = given.map((each) => ({ sha256: hash('sha256', each), bytes: each }))
      await store.writeAll([...objects, ...objects], true)
      for (const [at, { sha256 }] of objects.entries()) {
        assert.ok((await store.read(sha256, 1_000_000)).equals(expected[at] ?? slab))
      }
      assert.equal(slab.toString(), 'before-part-after')
      assert.deepEqual(pool, expected[1])
      await store.writeAll(objects.slice(1), true)
      if (kind === 'in a folder') await assert.rejects(store.writeAll(objects.slice(0, 1), true), TypeError)
    })

    test('a reference that climbs, is upper case, too short or empty names nothing', async (t) => {
      const store = await open(t)
      for (const reference of ['../../etc/passwd', name.toUpperCase(), name.slice(1), '', `${name}/`, `${name}\n`]) {
        for (const refused of [
          () => store.read(reference, 100),
          () => store.write(reference, bytes),
          () => store.writeParts(reference, [bytes]),
          () => store.remove(reference),
          () => store.has(reference),
          () => store.copy(store, reference, 100),
          () => Array.fromAsync(store.readParts(reference)),
        ]) {
          await assert.rejects(refused, code('REFERENCE_INVALID'), JSON.stringify(reference))
        }
      }
      assert.deepEqual([await listed(store), await drafts(store)], [[], 0])
    })

    test('what is missing is the fault of the item, in every way of reading it', async (t) => {
      const store = await open(t)
      await assert.rejects(store.read(absent, 100), code('PAYLOAD_MISSING'))
      await assert.rejects(Array.fromAsync(store.readParts(absent)), code('PAYLOAD_MISSING'))
      await assert.rejects((await open(t, 'held')).copy(store, absent, 100), code('PAYLOAD_MISSING'))
      assert.equal(await store.has(absent), false)
    })

    test('an object over the limit is refused before it is read', async (t) => {
      const store = await open(t)
      await store.write(name, bytes)
      await assert.rejects(store.read(name, bytes.length - 1), code('PAYLOAD_TOO_LARGE'))
      await assert.rejects(Array.fromAsync(store.readParts(name, bytes.length - 1)), code('PAYLOAD_TOO_LARGE'))
      assert.deepEqual(await store.read(name, bytes.length), bytes)
    })

    test('an object that comes in parts is kept whole under its name, and is read in parts', async (t) => {
      const store = await open(t)
      for (const whole of [...large, Buffer.alloc(0), bytes]) {
        const sha256 = hash('sha256', whole)
        const cut = [whole.subarray(0, 5_000_000), Buffer.alloc(0), whole.subarray(5_000_000)]
        for (let times = 0; times < 2; times += 1) await store.writeParts(sha256, cut)
        assert.ok(Buffer.concat(await Array.fromAsync(store.readParts(sha256, whole.length))).equals(whole))
        assert.ok((await store.read(sha256, whole.length)).equals(whole))
      }
      assert.equal(await drafts(store), 0)
    })

    test('of an object in parts that breaks off, or is not what it is called, nothing is left', async (t) => {
      const store = await open(t)
      for (const whole of [bytes, ...large.slice(1)]) {
        const sha256 = hash('sha256', whole)
        const breaking = function* () {
          yield whole
          throw new RangeError('broken off')
        }
        await assert.rejects(store.writeParts(sha256, breaking()), RangeError)
        await assert.rejects(store.writeParts(absent, [whole]), code('DIGEST_MISMATCH'))
        await assert.rejects(store.read(sha256, 100_000_000), code('PAYLOAD_MISSING'))
        await assert.rejects(store.read(absent, 100_000_000), code('PAYLOAD_MISSING'))
      }
      assert.deepEqual([await listed(store), await drafts(store)], [[], 0])
    })

    test('an object is copied from a store of any kind, and refused where it is too long', async (t) => {
      const held = await open(t, 'held')
      for (const from of kinds.filter((each) => each.skip === false)) {
        const intake = await from.open(t)
        for (const whole of [bytes, ...large.slice(1)]) {
          const sha256 = hash('sha256', whole)
          await held.remove(sha256)
          await intake.writeAll([{ sha256, bytes: whole }])
          await assert.rejects(held.copy(intake, sha256, whole.length - 1), code('PAYLOAD_TOO_LARGE'))
          assert.equal(await held.copy(intake, sha256, whole.length), sha256)
          assert.equal(await held.copy(intake, sha256, whole.length), sha256, 'a second time')
          assert.ok((await held.read(sha256, whole.length)).equals(whole))
        }
      }
      assert.equal(await drafts(held), 0)
    })

    test('an object that was taken away is gone, and can be taken away again', async (t) => {
      const store = await open(t)
      await store.write(name, bytes)
      assert.equal(await store.has(name), true)
      await store.remove(name)
      assert.equal(await store.has(name), false)
      await assert.rejects(store.read(name, 100), code('PAYLOAD_MISSING'))
      await store.remove(name)
      await store.remove(absent)
      await store.write(name, bytes)
      assert.deepEqual(await store.read(name, 100), bytes)
    })

    test('a store that nobody has made is not there, and nothing makes it in passing', async (t) => {
      const root = join(tmpdir(), `sluice-none-${process.pid}`)
      t.after(() => rmSync(root, { recursive: true, force: true }))
      const none = kind === 'in a folder' ? createFileStore(root, 'intake') : inBucket('nobody-made-this', 'intake')
      for (const refused of [
        () => none.find(),
        () => none.read(name, 100),
        () => none.write(name, bytes),
        () => none.writeParts(name, [bytes]),
        () => none.has(name),
        () => none.remove(name),
        () => Array.fromAsync(none.readParts(name)),
        () => Array.fromAsync(none.list()),
        () => Array.fromAsync(none.drafts()),
      ]) {
        await assert.rejects(refused, (error) => code('STORE_UNREACHABLE')(error) && /intake store/.test(String(error)))
      }
    })

    test('it lists what it has, with length and age', async (t) => {
      const store = await open(t)
      const began = Date.now()
      await store.writeAll([{ sha256: name, bytes }])
      const [object] = (await Array.fromAsync(store.list())).flat()
      assert.deepEqual([object?.sha256, object?.bytes], [name, bytes.length])
      const writtenAt = object?.writtenAt ?? 0
      assert.ok(writtenAt > began - 5000 && writtenAt < Date.now() + 5000, 'the server tells seconds')
    })

    test('an old object that is wanted once more is young again, and what is old is taken away alone', async (t) => {
      const store = await open(t)
      const [whole = bytes] = large
      const ageOf = async (sha256: string): Promise<number> => {
        const found = (await Array.fromAsync(store.list())).flat().find((each) => each.sha256 === sha256)
        return Date.now() - (found?.writtenAt ?? Number.NaN)
      }
      const week = 7 * 24 * 3_600_000
      for (const [object, write] of [
        [bytes, () => store.write(name, bytes)],
        [bytes, () => store.writeParts(name, [bytes])],
        [whole, () => store.writeParts(hash('sha256', whole), [whole])],
      ] as const) {
        const sha256 = hash('sha256', object)
        const before = new Date(Date.now() - 2 * week)
        await write()
        assert.equal(await store.removeOld(sha256, Date.now() - week), false)
        utimesSync(join(shelves.get(store) ?? '', sha256.slice(0, 2), sha256), before, before)
        assert.ok((await ageOf(sha256)) > week)
        await write()
        assert.ok((await ageOf(sha256)) < 60_000)
        assert.ok((await store.read(sha256, object.length)).equals(object))
        assert.equal(await store.removeOld(sha256, Date.now() - week), false)
        utimesSync(join(shelves.get(store) ?? '', sha256.slice(0, 2), sha256), before, before)
        assert.equal(await store.removeOld(sha256, Date.now() - week), true)
        assert.equal(await store.removeOld(sha256, Date.now() - week), false)
        assert.equal(await store.has(sha256), false)
      }
      assert.equal(await drafts(store), 0)
    })

    test('what is begun is a draft with an age, and can be taken away while somebody is at it', async (t) => {
      const store = await open(t)
      const [, whole = bytes] = large
      const abandoning = async function* () {
        yield whole
        yield whole
        for await (const some of store.drafts()) for (const draft of some) await draft.abandon()
        assert.equal(await drafts(store), 0)
        throw new RangeError('its draft is gone')
      }
      await assert.rejects(store.writeParts(absent, abandoning()), RangeError)
      assert.deepEqual([await listed(store), await drafts(store)], [[], 0])
    })
  })
}
