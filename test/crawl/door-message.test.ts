import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { doorMessage, referringMessage } from '../../services/crawl/door-message.ts'
import { acquisition, envelope, item, origin, supply } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { createRegistry } from '../../services/platform/registry.ts'
import { readSettings } from '../../services/platform/settings.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import { crawlItem } from '../integration/items.ts'

const parts = {
  // Not asked: what is wrong is seen before.
  registry: createRegistry(readSettings({ SLUICE_BROKERS: '127.0.0.1:1', SLUICE_REGISTRY: 'http://127.0.0.1:1' })),
  intake: null,
  inlineBytes: 1000,
  topicLimit: 1000,
  source: '/test',
}

test('a message without bytes of its own needs a whole reference', async () => {
  for (const reference of [undefined, '', 'abc', 'A'.repeat(64), `../${'0'.repeat(61)}`]) {
    const { envelope } = crawlItem('item', reference === undefined ? {} : { reference })
    await assert.rejects(
      referringMessage(envelope, parts),
      (error) => error instanceof SluiceError && error.code === 'REFERENCE_INVALID',
    )
  }
})

/** What a crawler in JavaScript may give, and no compiler sees. */
const given = (value: unknown): never => value as never
const secret = 'somebody-in-particular'
const misfits: { what: string; field: string; groups: Partial<Envelope> }[] = [
  {
    what: 'no number',
    field: 'origin.uploadedAtClaimed',
    groups: { origin: origin({ uploadedAtClaimed: Number.NaN }) },
  },
  {
    what: 'a fraction of a millisecond',
    field: 'origin.uploadedAtClaimed',
    groups: { origin: origin({ uploadedAtClaimed: 7070.5 }) },
  },
  {
    what: 'an id that is a number',
    field: 'origin.uploaderId',
    groups: { origin: origin({ uploaderId: given(7070) }) },
  },
  {
    what: 'an object',
    field: 'origin.uploaderHandle',
    groups: { origin: origin({ uploaderHandle: given({ secret }) }) },
  },
  {
    what: 'a text as a list',
    field: 'acquisition.redirects',
    groups: { acquisition: acquisition({ redirects: given(secret) }) },
  },
  {
    what: 'a text as a number',
    field: 'supply.row',
    groups: { supply: supply({ kind: 'web-crawl', row: given(secret) }) },
  },
  { what: 'a number in extra', field: 'extra.mood', groups: { extra: { mood: given(7070) } } },
]
for (const { what, field, groups } of misfits) {
  test(`${what} in ${field} is the item's fault: the field is named and the value is not, and nothing is written before`, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'sluice-door-message-'))
    t.after(() => rm(root, { recursive: true, force: true }))
    const intake = createFileStore(root, 'intake')
    await intake.make()
    const wrong = envelope({ ...groups, item: item({ id: 'boats-1' }) })
    const reference = { reference: '0'.repeat(64), size: 1, md5: null, sha1: null, sha256: null }
    for (const message of [
      () => doorMessage({ envelope: wrong, payload: Buffer.alloc(2000) }, { ...parts, intake }),
      () => doorMessage({ envelope: wrong, payload: Buffer.alloc(1) }, parts),
      () => referringMessage({ ...wrong, payload: reference }, parts),
    ]) {
      await assert.rejects(message, (error) => {
        assert.ok(error instanceof SluiceError)
        assert.deepEqual([error.code, error.fault], ['MESSAGE_UNDECODABLE', 'item'])
        assert.ok(
          error.message.startsWith(`item boats-1 has a value of another type in envelope.${field}: `),
          error.message,
        )
        assert.doesNotMatch(inspect(error), /NaN|7070|somebody/)
        return true
      })
    }
    assert.deepEqual(await Array.fromAsync(intake.list()), [])
  })
}
