import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import fc from 'fast-check'
import { SluiceError } from '../../services/domain/errors.ts'
import { entryFromText, entryText } from '../../services/domain/hash-list.ts'
import { packEntries } from '../../services/domain/packed-entries.ts'
import type { HashListEntry } from '../../services/domain/records.ts'
import { keepVersion, readKeptVersion } from '../../services/platform/kept-versions.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import type { Store } from '../../services/platform/stores/store.ts'

async function listsStore(t: TestContext): Promise<Store & { folder: string }> {
  const root = mkdtempSync(join(tmpdir(), 'sluice-kept-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const store = createFileStore(root, 'lists')
  await store.make()
  return { ...store, folder: join(root, 'lists') }
}

const bytes = fc.uint8Array({ minLength: 0, maxLength: 40 }).map((value) => Buffer.from(value))
const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const anyEntry: fc.Arbitrary<HashListEntry> = fc.record({
  list: fc.constant('known'),
  id: fc.stringMatching(/^[A-Za-z0-9._:-]{1,20}$/),
  signals: fc.array(fc.record({ signal: fc.constantFrom('md5', 'pdq', 'photodna', 'a:b'), value: bytes }), {
    maxLength: 4,
  }),
  classification: fc.option(text),
  opinions: fc.array(fc.record({ member: text, opinion: fc.constantFrom('positive', 'negative', 'other') }), {
    maxLength: 3,
  }),
  withdrawn: fc.boolean(),
})
const anyEntries = fc.uniqueArray(anyEntry, { selector: ({ id }) => id, maxLength: 30 })

const isMissing = (what: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === 'VERSION_MISSING' && what.test(error.message)

test('the text of an entry tells the entry', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      assert.equal(entryText(entryFromText('known', entryText(entry))), entryText(entry))
    }),
  )
  for (const wrong of ['', '[]', '{}', '["a",[],null,[]]', '["a",["md5:zz"],1]']) {
    assert.throws(() => entryFromText('known', wrong), RangeError, wrong)
  }
})

test('whatever version is kept is read again as it was, under its digest', async (t) => {
  const store = await listsStore(t)
  await fc.assert(
    fc.asyncProperty(anyEntries, async (entries) => {
      const packed = packEntries('known', entries).byId()
      const digest = packed.digest()
      await keepVersion(store, packed, digest)
      await keepVersion(store, packed, digest)
      const found = await readKeptVersion(store, { list: 'known', version: 'v1', digest, entries: packed.length })
      assert.deepEqual([...found.byId()].map(entryText), [...packed].map(entryText))
    }),
    { numRuns: 30 },
  )
})

test('a version that is missing, cut short, changed or of another length is refused, and says where to look', async (t) => {
  const store = await listsStore(t)
  const entries = Array.from(
    { length: 50 },
    (_, n): HashListEntry => ({
      list: 'known',
      id: `e${n}`,
      signals: [{ signal: 'md5', value: Buffer.alloc(16, n) }],
      classification: null,
      opinions: [],
      withdrawn: false,
    }),
  )
  const packed = packEntries('known', entries).byId()
  const digest = packed.digest()
  const manifest = { list: 'known', version: 'v1', digest, entries: 50 }
  await assert.rejects(
    readKeptVersion(store, manifest),
    isMissing(/not in the lists store.*sluice lists versions known/),
  )

  const path = join(store.folder, digest.slice(0, 2), digest)
  await keepVersion(store, packed, digest)
  await assert.rejects(readKeptVersion(store, { ...manifest, entries: 51 }), isMissing(/damaged/))
  const whole = Buffer.from([...packed].map((entry) => `${entryText(entry)}\n`).join(''))
  const changed = Buffer.from(whole)
  changed[whole.indexOf('md5:') + 4] = 0x66
  for (const damaged of [whole.subarray(0, 700), whole.subarray(0, whole.length - 1), changed, Buffer.from('x')]) {
    writeFileSync(path, damaged)
    await assert.rejects(readKeptVersion(store, manifest), isMissing(/damaged/))
  }
})
