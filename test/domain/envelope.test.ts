import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { emptyEnvelope, isItemId, trainingView } from '../../services/domain/envelope.ts'
import type { Envelope } from '../../services/domain/records.ts'

const schemas = join(import.meta.dirname, '../../schemas')

test('item ids are 1 to 64 letters, digits, dots, dashes and underscores', () => {
  for (const id of ['a', 'A-1_b.c', 'x'.repeat(64)]) assert.ok(isItemId(id), id)
  for (const id of ['', 'x'.repeat(65), 'a b', 'a/b', 'ä', 'a\n', '\u0000'])
    assert.ok(!isItemId(id), JSON.stringify(id))
})

test('nothing of where an item was found, or who uploaded it, is in its training view', () => {
  const secret = 'MUST-NOT-BE-SEEN'
  const envelope: Envelope = {
    ...emptyEnvelope(),
    item: { id: 'a', mediaTypeClaimed: secret, collectedAt: 5 },
    acquisition: {
      crawler: secret,
      run: secret,
      requestedUrl: secret,
      finalUrl: secret,
      redirects: [secret],
      status: 200,
      responseHeaders: [{ name: secret, value: secret }],
      remoteAddress: secret,
      fetchedAt: 1,
      fetchedMd5: secret,
      fetchedSha1: secret,
      fetchedSha256: secret,
      warcFile: secret,
      warcOffset: 1,
      warcRecordId: secret,
      truncated: secret,
    },
    origin: {
      pageUrl: secret,
      pageTitle: secret,
      caption: 'a boat',
      uploaderId: secret,
      uploaderHandle: secret,
      uploaderProfileUrl: secret,
      uploadedAtClaimed: 1,
      platform: secret,
    },
    extra: { secret },
  }
  const view = trainingView(envelope)
  assert.doesNotMatch(JSON.stringify(view), new RegExp(secret))
  assert.equal(view.caption, 'a boat')
  assert.equal(view.collectedAt, 5)
})

test('the training view in the schema is the one in the code', () => {
  const schema: { fields: Array<{ name: string; type: { fields: Array<{ name: string }> } }> } = JSON.parse(
    readFileSync(join(schemas, 'clean-item.avsc'), 'utf8'),
  )
  const fields = schema.fields.find(({ name }) => name === 'training')?.type.fields.map(({ name }) => name)
  assert.deepEqual(Object.keys(trainingView(emptyEnvelope())), fields)
})
