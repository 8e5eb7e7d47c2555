import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referringMessage } from '../../services/crawl/door-message.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { createRegistry } from '../../services/platform/registry.ts'
import { readSettings } from '../../services/platform/settings.ts'
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
