import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { SluiceError } from '../../services/domain/errors.ts'
import { createFileStore, type FileStore } from '../../services/platform/stores/file-store.ts'
import { createFileThreads } from '../../services/platform/stores/file-threads.ts'
import type { StoreName } from '../../services/platform/stores/store.ts'

async function made(root: string, store: StoreName = 'intake'): Promise<FileStore> {
  const fresh = createFileStore(root, store)
  await fresh.make()
  return fresh
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-store-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const code = (expected: string) => (error: unknown) => error instanceof SluiceError && error.code === expected
const bytes = Buffer.from('some bytes')
const name = hash('sha256', bytes)
const absent = hash('sha256', 'something else')
const pathOf = (root: string, sha256: string): string => join(root, 'intake', sha256.slice(0, 2), sha256)

test('what was written is read back, also when it is written twice at the same time', async (t) => {
  const root = folder(t)
  const store = await made(root)
  await Promise.all([store.write(name, bytes), store.write(name, bytes)])
  await store.write(name, bytes)
  assert.deepEqual(await store.read(name, 100), bytes)
  assert.deepEqual(readdirSync(dirname(pathOf(root, name))), [name], 'no draft is left behind')
})

test('a reference that climbs, is upper case, too short or empty names nothing', async (t) => {
  const store = await made(folder(t))
  for (const reference of ['../../etc/passwd', name.toUpperCase(), name.slice(1), '', `${name}/`, `${name}\n`]) {
    await assert.rejects(store.read(reference, 100), code('REFERENCE_INVALID'), JSON.stringify(reference))
    await assert.rejects(store.write(reference, bytes), code('REFERENCE_INVALID'), JSON.stringify(reference))
  }
})

test('a missing object is the fault of the item, a missing store that of the surroundings', async (t) => {
  const root = folder(t)
  const store = await made(root)
  await assert.rejects(store.read(absent, 100), code('PAYLOAD_MISSING'))
  await store.write(name, bytes)
  renameSync(join(root, 'intake'), join(root, 'gone'))
  await assert.rejects(store.read(name, 100), code('STORE_UNREACHABLE'))
  await assert.rejects(store.write(absent, bytes), code('STORE_UNREACHABLE'))
  renameSync(join(root, 'gone'), join(root, 'intake'))
  assert.deepEqual(await store.read(name, 100), bytes)
})

test('an empty folder, where a disk should be mounted, is no store', async (t) => {
  const root = folder(t)
  mkdirSync(join(root, 'intake'))
  await assert.rejects(createFileStore(root, 'intake').read(name, 100), code('STORE_UNREACHABLE'))
  await assert.rejects(createFileStore(root, 'intake').write(name, bytes), code('STORE_UNREACHABLE'))
})

test('a file where a folder of objects should be makes no store unreachable', async (t) => {
  const root = folder(t)
  const store = await made(root)
  writeFileSync(dirname(pathOf(root, name)), '')
  await assert.rejects(store.read(name, 100), code('PAYLOAD_MISSING'))
})

test('an object over the limit is refused before it is read', async (t) => {
  const store = await made(folder(t))
  await store.write(name, bytes)
  await assert.rejects(store.read(name, bytes.length - 1), code('PAYLOAD_TOO_LARGE'))
})

test('an object of any size is copied piece by piece, and gets the name that its bytes deserve', async (t) => {
  const root = folder(t)
  const [intake, held] = [await made(root), await made(root, 'held')]
  await intake.write(name, bytes)
  assert.equal(await held.copy(intake, name, 100), name)
  assert.deepEqual(await held.read(name, 100), bytes)
  await assert.rejects(held.copy(intake, absent, 100), code('PAYLOAD_MISSING'))
  await assert.rejects(held.copy(intake, '../x', 100), code('REFERENCE_INVALID'))
  await assert.rejects(held.copy(intake, name, 5), code('PAYLOAD_TOO_LARGE'))
  assert.deepEqual(readdirSync(join(root, 'held')), ['.sluice-store', name.slice(0, 2)], 'no draft is left behind')
})

test('a link, a folder or a pipe in the place of an object is no object', async (t) => {
  const root = folder(t)
  const store = await made(root)
  const outside = join(root, 'secret')
  writeFileSync(outside, 'secret')
  const path = pathOf(root, name)
  mkdirSync(dirname(path), { recursive: true })
  const placed: Array<() => void> = [
    () => symlinkSync(outside, path),
    () => mkdirSync(path),
    () => execFileSync('mkfifo', [path]),
  ]
  for (const place of placed) {
    place()
    await assert.rejects(store.read(name, 100), code('PAYLOAD_MISSING'))
    rmSync(path, { recursive: true })
  }
})

test('a store that can not be written says so', async (t) => {
  const root = folder(t)
  writeFileSync(join(root, 'intake'), 'a file where the folder should be')
  await assert.rejects(createFileStore(root, 'intake').make(), code('STORE_UNREACHABLE'))
  await assert.rejects(createFileStore(root, 'intake').write(name, bytes), code('STORE_UNREACHABLE'))
})

test('a disk that never answers is a store that is not there, after some time', async (t) => {
  const root = folder(t)
  await (await made(root)).write(name, bytes)
  const threads = createFileThreads({ most: 1, patienceMs: 50, entry: new URL('still-thread.ts', import.meta.url) })
  const still = createFileStore(root, 'intake', threads)
  await assert.rejects(still.read(name, 100), code('STORE_UNREACHABLE'))
  await assert.rejects(still.write(absent, bytes), code('STORE_UNREACHABLE'))
})

test('an object that was taken away is gone, and can be taken away again', async (t) => {
  const root = folder(t)
  const store = await made(root)
  await store.write(name, bytes)
  assert.equal(await store.has(name), true)
  await store.remove(name)
  assert.equal(await store.has(name), false)
  await assert.rejects(store.read(name, 100), code('PAYLOAD_MISSING'))
  await store.remove(name)
  await store.remove(absent)
  await assert.rejects(store.remove('../x'), code('REFERENCE_INVALID'))
  await store.write(name, bytes)
  assert.deepEqual(await store.read(name, 100), bytes)
})

test('from a store that is gone nothing is taken away, and nothing is said to be missing', async (t) => {
  const root = folder(t)
  const store = await made(root)
  await store.write(name, bytes)
  renameSync(join(root, 'intake'), join(root, 'gone'))
  await assert.rejects(store.remove(name), code('STORE_UNREACHABLE'))
  await assert.rejects(store.has(name), code('STORE_UNREACHABLE'))
  renameSync(join(root, 'gone'), join(root, 'intake'))
  assert.equal(await store.has(name), true)
})

test('an object that comes in parts is kept whole under its name, and is read in parts; of one that breaks off nothing is left', async (t) => {
  const root = folder(t)
  const store = await made(root)
  const parts = [Buffer.alloc(5_000_000, 1), Buffer.alloc(0), Buffer.alloc(3_400_000, 2), Buffer.from('the end')]
  const large = Buffer.concat(parts)
  const largeName = hash('sha256', large)
  await store.writeParts(largeName, parts)
  assert.deepEqual(Buffer.concat(await Array.fromAsync(store.readParts(largeName))), large)
  assert.deepEqual(readdirSync(dirname(pathOf(root, largeName))), [largeName])
  await store.writeParts(hash('sha256', ''), [])
  assert.deepEqual(await Array.fromAsync(store.readParts(hash('sha256', ''))), [])

  const breaking = function* () {
    yield bytes
    throw new RangeError('broken off')
  }
  await assert.rejects(store.writeParts(name, breaking()), RangeError)
  await assert.rejects(store.writeParts('../x', [bytes]), code('REFERENCE_INVALID'))
  await assert.rejects(Array.fromAsync(store.readParts(name)), code('PAYLOAD_MISSING'))
  const drafts = readdirSync(join(root, 'intake')).filter((file) => file.startsWith('.') && !file.startsWith('.sluice'))
  assert.deepEqual(drafts, [])
})
