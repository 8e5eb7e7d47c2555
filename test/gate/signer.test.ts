import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { newKey } from '../../services/cluster/keys.ts'
import { createSigner } from '../../services/gate/signer.ts'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { createLog } from '../../services/platform/log.ts'
import { writeDurably } from '../../services/platform/write-durably.ts'
import { waitFor } from '../integration/waiting.ts'

test('a key whose time is over signs nothing more, though no file has changed: a rotation may have been cut off half-way', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-signer-'))
  t.after(() => rm(folder, { recursive: true }))
  const files = { signingKey: join(folder, 'signing.pem'), keyring: join(folder, 'keyring.json') }
  const now = Date.now()
  const { id } = await newKey(files, now)
  const until = now + 3_600_000
  const { keys, ...ring } = readKeyring(files.keyring)
  await writeDurably(files.keyring, JSON.stringify({ ...ring, keys: keys.map((key) => ({ ...key, until })) }))

  const signer = createSigner(files, createLog('silent'))
  t.after(() => signer.stop())
  assert.equal(signer.problem(), null)
  assert.equal(signer.key(until - 1).id, id)
  for (const at of [until, until + 1000, now - 1]) {
    assert.throws(() => signer.key(at), { code: 'SIGNING_KEY_UNUSABLE', message: /does not count .*KEY_RETIRED/ })
  }
})

test('files that can not even be looked at for a while hold signing up for as long, and end nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-signer-'))
  t.after(() => rm(folder, { recursive: true }))
  const files = { signingKey: join(folder, 'signing.pem'), keyring: join(folder, 'keyring.json') }
  const { id } = await newKey(files, Date.now())
  const signer = createSigner(files, createLog('silent'))
  t.after(() => signer.stop())
  for (const file of [files.signingKey, files.keyring]) {
    await rename(file, `${file}.away`)
    // Whoever follows it goes round in a circle, root too.
    await symlink(file, file)
    await waitFor('nothing can be signed', () => signer.problem()?.code === 'SIGNING_KEY_UNUSABLE')
    assert.throws(() => createSigner(files, createLog('silent')), { code: 'CONFIG_INVALID' })
    await rename(`${file}.away`, file)
    await waitFor('it can again', () => signer.problem() === null)
    assert.equal(signer.key(Date.now()).id, id)
  }
})
