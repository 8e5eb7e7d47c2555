import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { SluiceError } from '../../services/domain/errors.ts'
import { checkGiven, readSettings } from '../../services/platform/settings.ts'

const good = { SLUICE_BROKERS: 'a:1, b:2', SLUICE_REGISTRY: 'http://r:8080/apis/' }

test('settings come from the environment, the rest has defaults', () => {
  const settings = readSettings({ ...good, SLUICE_LISTEN: '[::1]:0', SLUICE_CHUNK_ITEMS: '7' })
  assert.deepEqual(settings.brokers, ['a:1', 'b:2'])
  assert.equal(settings.registry, 'http://r:8080/apis')
  assert.deepEqual(settings.listen, { host: '::1', port: 0 })
  assert.equal(settings.chunkItems, 7)
  assert.equal(settings.prefix, '')
})

test('a wrong setting is named with what was expected', () => {
  const cases: Array<[Record<string, string>, RegExp]> = [
    [{ SLUICE_BROKERS: 'nowhere' }, /SLUICE_BROKERS.*expected host:port/],
    [{ SLUICE_REGISTRY: 'ftp://x' }, /SLUICE_REGISTRY.*http/],
    [{ SLUICE_PREFIX: 'a/b' }, /SLUICE_PREFIX.*at most 64/],
    [{ SLUICE_LISTEN: '9464' }, /SLUICE_LISTEN.*host:port/],
    [{ SLUICE_CHUNK_ITEMS: 'many' }, /SLUICE_CHUNK_ITEMS.*number/],
    [{ SLUICE_SCANNERS: '0' }, /SLUICE_SCANNERS/],
    [{ SLUICE_STORES: 's3://Not_A_Bucket' }, /SLUICE_STORES.*s3:\/\/NAME/],
    [{ SLUICE_STORES: 's3://name/../other' }, /SLUICE_STORES.*s3:\/\/NAME/],
    [{ SLUICE_STORES: `s3://${'n'.repeat(57)}` }, /SLUICE_STORES.*s3:\/\/NAME/],
    [{ SLUICE_STORES: 'https://s3.example.org/name' }, /SLUICE_STORES.*s3:\/\/NAME/],
    [{ SLUICE_S3_ENDPOINT: 's3.example.org' }, /SLUICE_S3_ENDPOINT.*http/],
    [{ SLUICE_KAFKA_SASL: 'plain' }, /go together/],
    [{ SLUICE_KAFKA_SASL: 'plain', SLUICE_KAFKA_CREDENTIALS: '/nowhere/at/all' }, /one line, user:password/],
  ]
  for (const [wrong, expected] of cases) {
    assert.throws(
      () => readSettings({ ...good, ...wrong }),
      (error) => error instanceof SluiceError && error.code === 'CONFIG_INVALID' && expected.test(error.message),
      JSON.stringify(wrong),
    )
  }
})

test('what a program gives takes the place of what its environment says', () => {
  const given = checkGiven({ brokers: ['c:3'], registry: 'https://r/', tls: true, prefix: undefined, inlineBytes: 5 })
  const settings = readSettings({ ...good, SLUICE_PREFIX: 'p.' }, given)
  assert.deepEqual(settings.brokers, ['c:3'])
  assert.equal(settings.registry, 'https://r')
  assert.equal(settings.tls, true)
  assert.equal(settings.prefix, 'p.')
  assert.equal(settings.inlineBytes, 5)
  assert.deepEqual(readSettings({}, given).brokers, ['c:3'])
})

test('a wrong setting of a program is named with what was expected', () => {
  const cases: Array<[unknown, RegExp]> = [
    [{ brokers: ['nowhere'] }, /brokers\.0: expected host:port/],
    [{ brokers: 'a:1' }, /brokers: .*expected array/],
    [{ broker: ['a:1'] }, /broker/],
    [{ registry: 'ftp://x' }, /registry: expected an http/],
    [{ sasl: { mechanism: 'scram-sha-512', username: 'x' } }, /sasl\.password/],
    [{ s3Endpoint: 's3.example.org' }, /s3Endpoint/],
    [{ inlineBytes: 5_000_000 }, /inlineBytes/],
    [{ stores: 's3://Not_A_Bucket' }, /stores: expected a folder, or s3/],
  ]
  for (const [wrong, expected] of cases) {
    assert.throws(
      () => checkGiven(wrong),
      (error) => error instanceof SluiceError && error.code === 'CONFIG_INVALID' && expected.test(error.message),
      JSON.stringify(wrong),
    )
  }
})

test('of a folder with users each command takes its own, unless it is told who it is, or has credentials of its own', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-settings-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const name of ['gate', 'on-call']) writeFileSync(join(folder, name), `${name}:secret of ${name}\n`)
  const file = join(folder, 'other')
  writeFileSync(file, 'other:secret')
  const users = { ...good, SLUICE_KAFKA_USERS: folder }
  const who = (more: Record<string, string>) => readSettings({ ...users, ...more }).sasl
  const scram = 'scram-sha-512'
  assert.deepEqual(who({ SLUICE_PRINCIPAL: 'gate' }), {
    mechanism: scram,
    username: 'gate',
    password: 'secret of gate',
  })
  assert.equal(who({ SLUICE_PRINCIPAL: 'on-call', SLUICE_KAFKA_SASL: 'plain' })?.mechanism, 'plain')
  const own = { SLUICE_PRINCIPAL: 'gate', SLUICE_KAFKA_SASL: scram, SLUICE_KAFKA_CREDENTIALS: file }
  assert.equal(who(own)?.username, 'other')
  assert.throws(() => who({}), { code: 'CONFIG_INVALID', message: /SLUICE_PRINCIPAL is not set/ })
  assert.throws(() => who({ SLUICE_PRINCIPAL: 'lists' }), { code: 'CONFIG_INVALID', message: /principal lists,/ })
  assert.throws(() => who({ SLUICE_PRINCIPAL: 'root' }), { code: 'CONFIG_INVALID', message: /SLUICE_PRINCIPAL/ })
  assert.equal(readSettings({ ...good, SLUICE_PRINCIPAL: 'gate' }).sasl, null, 'other clusters are asked as nobody')
})

test('credentials are read from a file, and a password may hold colons', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-settings-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'credentials')
  writeFileSync(file, 'gate:se:cret\n')
  const settings = readSettings({ ...good, SLUICE_KAFKA_SASL: 'scram-sha-512', SLUICE_KAFKA_CREDENTIALS: file })
  assert.deepEqual(settings.sasl, { mechanism: 'scram-sha-512', username: 'gate', password: 'se:cret' })
})
