import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { readSettings, type Settings } from '../../../services/platform/settings.ts'
import { openSecuredBroker } from '../../cluster/access/secured-broker.ts'
import { startSluice } from '../../integration/gate-process.ts'
import { makeAuthority, skipWithoutOpenssl } from './certificates.ts'

test('over TLS, clients and brokers take only whom their authority vouches for; commands say so by settings', {
  skip: skipWithoutOpenssl(),
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [authority, stranger] = [makeAuthority(folder, 'authority'), makeAuthority(folder, 'stranger')]
  const [server, client, liar] = [authority.issue('broker'), authority.issue('client'), stranger.issue('client')]
  const store = join(folder, 'broker-store.pem')
  writeFileSync(store, readFileSync(server.key, 'utf8') + readFileSync(server.certificate, 'utf8'))

  const ca = readFileSync(authority.file, 'utf8')
  const proofOf = ({ certificate, key }: typeof client) => {
    return { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
  }
  const broker = await openSecuredBroker(t, {
    tls: { ca, ...proofOf(client) },
    lines: `listener.security.protocol.map=CLIENTS:SASL_SSL,BROKERS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location=${store}
listener.name.clients.ssl.truststore.type=PEM
listener.name.clients.ssl.truststore.location=${authority.file}
listener.name.clients.ssl.client.auth=required`,
  })
  const settings = broker.settingsOf('admin')
  const ask = (tls: Settings['tls']) =>
    withAdmin(createKafka({ ...settings, tls }, 'tls', undefined, { retries: 0 }), (admin) => admin.listTopics())
  assert.deepEqual(await ask(settings.tls), [])
  for (const [what, tls] of Object.entries({
    'no TLS': false,
    'an authority that the client does not know': true,
    'an authority that is another': { ...proofOf(client), ca: readFileSync(stranger.file, 'utf8') },
    'no certificate of the client': { ca },
    'a certificate of somebody else': { ca, ...proofOf(liar) },
  })) {
    await assert.rejects(ask(tls), what)
  }

  const environment = {
    SLUICE_BROKERS: broker.address,
    SLUICE_REGISTRY: 'http://127.0.0.1:1',
    SLUICE_KAFKA_USERS: broker.users,
    SLUICE_KAFKA_TLS: 'on',
    SLUICE_KAFKA_CA: authority.file,
    SLUICE_KAFKA_CERTIFICATE: client.certificate,
    SLUICE_KAFKA_KEY: client.key,
  }
  const apply = startSluice(['access', 'apply', '--json'], environment)
  assert.equal((await apply.ended).code, 0, apply.stderr())
  const plan = startSluice(['access', 'plan'], environment)
  assert.equal((await plan.ended).code, 0, plan.stdout())
})

test('TLS files that are wrong are named by their setting', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const pem = join(folder, 'ca.pem')
  writeFileSync(pem, '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n')
  const place = { SLUICE_BROKERS: 'a:1', SLUICE_REGISTRY: 'http://r:1' }
  const on = { ...place, SLUICE_KAFKA_TLS: 'on' }
  assert.equal(readSettings(on).tls, true)
  assert.equal(readSettings(place).tls, false)
  assert.deepEqual(readSettings({ ...on, SLUICE_KAFKA_CA: pem }).tls, { ca: readFileSync(pem, 'utf8') })
  for (const [wrong, message] of [
    [{ ...place, SLUICE_KAFKA_CA: pem }, /SLUICE_KAFKA_CA is set, but SLUICE_KAFKA_TLS is off/],
    [{ ...on, SLUICE_KAFKA_CA: join(folder, 'none') }, /SLUICE_KAFKA_CA names .*none: expected a file in PEM/],
    [{ ...on, SLUICE_KAFKA_CERTIFICATE: pem }, /SLUICE_KAFKA_CERTIFICATE and SLUICE_KAFKA_KEY go together/],
  ] as const) {
    assert.throws(() => readSettings(wrong), { code: 'CONFIG_INVALID', message })
  }
})
