import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { SluiceError } from '../../services/domain/errors.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import { createFileThreads } from '../../services/platform/stores/file-threads.ts'
import type { Store, StoreName } from '../../services/platform/stores/store.ts'

async function made(root: string, store: StoreName = 'intake'): Promise<Store> {
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

test('what a slow disk needs longer for than anybody waits is copied all the same, and holds up nobody else', async (t) => {
  const root = folder(t)
  const intake = await made(root)
  await made(root, 'held')
  const film = Buffer.alloc(16 * 1_048_576, 'film')
  const sha256 = hash('sha256', film)
  await intake.write(sha256, film)
  const threads = createFileThreads({
    most: 2,
    patienceMs: 3000,
    entry: new URL('slow-disk-thread.ts', import.meta.url),
  })
  const held = createFileStore(root, 'held', threads)
  const [copied] = await Promise.all([held.copy(intake, sha256, film.length), held.write(name, bytes)])
  assert.equal(copied, sha256)
  assert.ok((await held.read(sha256, film.length)).equals(film))
})

test('what is copied takes the place of bytes that have rotted there: where it came from, it may be taken away', async (t) => {
  const root = folder(t)
  const [intake, held] = [await made(root), await made(root, 'held')]
  const film = Buffer.alloc(5_000_000, 'film')
  for (const whole of [bytes, film]) {
    const sha256 = hash('sha256', whole)
    await intake.write(sha256, whole)
    await held.write(sha256, whole)
    writeFileSync(join(root, 'held', sha256.slice(0, 2), sha256), Buffer.alloc(whole.length, 'rot'))
    assert.equal(await held.copy(intake, sha256, whole.length), sha256)
    assert.ok((await held.read(sha256, whole.length)).equals(whole))
  }
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

test('of what could not be kept no draft is left, and of what was kept neither', async (t) => {
  const root = folder(t)
  const [intake, held] = [await made(root), await made(root, 'held')]
  await Promise.all([intake.write(name, bytes), intake.write(name, bytes)])
  await held.copy(intake, name, 100)
  await assert.rejects(held.copy(intake, name, 5), code('PAYLOAD_TOO_LARGE'))
  await assert.rejects(held.writeParts(absent, [bytes]), code('DIGEST_MISMATCH'))
  await assert.rejects(held.writeParts('../x', [bytes]), code('REFERENCE_INVALID'))
  for (const store of ['intake', 'held']) {
    assert.deepEqual(readdirSync(join(root, store)), ['.sluice-store', name.slice(0, 2)])
    assert.deepEqual(readdirSync(join(root, store, name.slice(0, 2))), [name])
  }
})

/** Bytes of a file that the system has in memory, by a tool of util-linux. */
function cachedBytes(path: string): number {
  return Number(execFileSync('fincore', ['--bytes', '--noheadings', '--output=RES', path], { encoding: 'utf8' }))
}

/** Whether this system can forget a file's bytes where tests have theirs: not where files are memory themselves. */
function canLeaveCache(root: string): boolean {
  const path = join(root, 'another')
  writeFileSync(path, Buffer.alloc(100_000), { flush: true })
  try {
    if (cachedBytes(path) === 0) return false
    execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' })
    return cachedBytes(path) === 0
  } catch {
    return false
  }
}

test('what was written takes memory of the system only where it is read soon', async (t) => {
  const root = folder(t)
  if (!canLeaveCache(root)) return t.skip('this system forgets no bytes of files, or does not tell')
  const objects = [1, 2, 3].map((fill) => {
    const bytes = Buffer.alloc(100_000, fill)
    return { sha256: hash('sha256', bytes), bytes }
  })
  for (const [name, isReadSoon] of [
    ['clean', false],
    ['held', false],
    ['intake', true],
    ['lists', true],
  ] as const) {
    const store = await made(root, name)
    await store.writeAll(objects)
    for (const { sha256, bytes } of objects) {
      assert.equal(cachedBytes(join(root, name, sha256.slice(0, 2), sha256)) >= bytes.length, isReadSoon, name)
      assert.deepEqual(await store.read(sha256, bytes.length), bytes)
    }
  }
})
