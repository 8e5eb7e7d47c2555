import assert from 'node:assert/strict'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SluiceError } from '../../services/domain/errors.ts'
import type { DoorItem } from '../../services/gate/door.ts'
import { resolvePayload } from '../../services/gate/payload.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import type { Store } from '../../services/platform/stores/store.ts'
import { crawlItem, sha256 } from '../integration/items.ts'

const bytes = Buffer.from('some bytes')

async function openStores(t: TestContext): Promise<[intake: Store, held: Store, clean: Store] & { root: string }> {
  const root = await mkdtemp(join(tmpdir(), 'sluice-payload-'))
  t.after(() => rm(root, { recursive: true }))
  const stores = [
    createFileStore(root, 'intake'),
    createFileStore(root, 'held'),
    createFileStore(root, 'clean'),
  ] satisfies [Store, Store, Store]
  for (const store of stores) await store.make()
  return Object.assign(stores, { root })
}

function itemWith(reference: string): DoorItem {
  return { readable: true, itemId: 'item', ...crawlItem('item', { reference }), faults: [] }
}

for (const at of [0, 1, 2]) {
  test(`a referenced payload is found in ${['intake', 'held', 'clean'][at]} where the stores before it have none`, async (t) => {
    const stores = await openStores(t)
    await stores[at]?.write(sha256(bytes), bytes)
    const { payload, faults } = await resolvePayload(itemWith(sha256(bytes)), stores, 100)
    assert.deepEqual([payload?.bytes, payload?.sha256, faults], [bytes, sha256(bytes), []])
  })
}

test('a referenced payload that no store has is missing, and one that is too long is not looked for further', async (t) => {
  const stores = await openStores(t)
  const of = async (limit: number) => (await resolvePayload(itemWith(sha256(bytes)), stores, limit)).faults
  assert.deepEqual(await of(100), ['PAYLOAD_MISSING'])
  await stores[1].write(sha256(bytes), bytes)
  assert.deepEqual(await of(5), ['PAYLOAD_TOO_LARGE'])
})

test('bytes that are not those of their name are a mismatch, wherever they lie', async (t) => {
  const stores = await openStores(t)
  await stores[1].write(sha256(Buffer.from('another')), bytes)
  const { faults } = await resolvePayload(itemWith(sha256(Buffer.from('another'))), stores, 100)
  assert.deepEqual(faults, ['DIGEST_MISMATCH'])
})

test('a store that is gone is a fault of the surroundings, never passed over for the next one', async (t) => {
  const stores = await openStores(t)
  await stores[2].write(sha256(bytes), bytes)
  await rename(join(stores.root, 'held'), join(stores.root, 'held-away'))
  await assert.rejects(
    resolvePayload(itemWith(sha256(bytes)), stores, 100),
    (error) => error instanceof SluiceError && error.code === 'STORE_UNREACHABLE' && error.message.includes('held'),
  )
})
