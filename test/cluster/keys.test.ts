import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { type KeyFiles, listKeys, newKey, revokeKey, rotateKeys } from '../../services/cluster/keys.ts'
import { createKeyLookup } from '../../services/domain/keyring.ts'
import { holdLock } from '../../services/platform/hold-lock.ts'
import { readKeyring } from '../../services/platform/keyring-file.ts'
import { readSigningKey } from '../../services/platform/signing-key.ts'
import { startSluice } from '../integration/gate-process.ts'

const NOW = Date.UTC(2026, 10, 28)
const HOUR = 3_600_000

async function makeFiles(t: TestContext): Promise<KeyFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-keys-'))
  t.after(() => rm(folder, { recursive: true }))
  return { signingKey: join(folder, 'keys', 'signing.pem'), keyring: join(folder, 'keys', 'keyring.json') }
}

test('a key is made, rotated and revoked; at each moment exactly the right ones count', async (t) => {
  const files = await makeFiles(t)
  const first = await newKey(files, NOW)
  assert.equal(first.state, 'in use')
  assert.equal(readSigningKey(files.signingKey).id, first.id)
  assert.equal((await stat(files.signingKey)).mode & 0o777, 0o600)
  await assert.rejects(rotateKeys(files, HOUR, NOW), { code: 'CONFIG_INVALID', message: /no key waits/ })

  const second = await newKey(files, NOW + 10)
  assert.equal(second.state, 'next')
  await assert.rejects(newKey(files, NOW + 11), { code: 'CONFIG_INVALID', message: /waits already/ })
  assert.deepEqual(states(files, NOW + 12), { [first.id]: 'in use', [second.id]: 'next' })
  assert.equal(readSigningKey(files.signingKey).id, first.id)

  await rotateKeys(files, HOUR, NOW + 20)
  assert.equal(readSigningKey(files.signingKey).id, second.id)
  assert.deepEqual(states(files, NOW + 21), { [first.id]: 'kept', [second.id]: 'in use' })
  assert.deepEqual(states(files, NOW + 20 + HOUR), { [first.id]: 'retired', [second.id]: 'in use' })
  const afterRotation = createKeyLookup(readKeyring(files.keyring))
  assert.equal(typeof afterRotation(first.id, NOW + 19 + HOUR), 'object')
  assert.equal(afterRotation(first.id, NOW + 20 + HOUR), 'KEY_RETIRED')
  assert.equal(typeof afterRotation(second.id, NOW + 2 * HOUR), 'object')

  await assert.rejects(revokeKey(files, 'zz', 'lost', NOW), { message: /no key begins with zz/ })
  await assert.rejects(revokeKey(files, '', 'lost', NOW), { message: /no key begins with/ })
  await revokeKey(files, second.id.slice(0, 12), 'its machine was broken into', NOW + 30)
  assert.equal(createKeyLookup(readKeyring(files.keyring))(second.id, NOW + 15), 'KEY_REVOKED')
  assert.equal(states(files, NOW + 31)[second.id], 'revoked')

  const third = await newKey(files, NOW + 40)
  assert.equal(third.state, 'next')
  await rotateKeys(files, HOUR, NOW + 41)
  assert.equal(states(files, NOW + 42)[third.id], 'in use')
})

test('a key that waits can be revoked, and another one made in its place', async (t) => {
  const files = await makeFiles(t)
  await newKey(files, NOW)
  const second = await newKey(files, NOW + 1)
  await revokeKey(files, second.id, 'seen by others', NOW + 2)
  assert.equal((await newKey(files, NOW + 3)).state, 'next')
})

test('killed between the two files that it writes, each can be called again', async (t) => {
  const files = await makeFiles(t)
  const next = join(dirname(files.signingKey), 'next.pem')
  for (const file of [files.keyring, files.signingKey]) await cutOff(file, () => newKey(files, NOW))
  const first = await newKey(files, NOW)
  assert.equal(states(files, NOW)[first.id], 'in use')
  for (const file of [files.keyring, next]) await cutOff(file, () => newKey(files, NOW + 1))
  const second = await newKey(files, NOW + 2)
  assert.equal(states(files, NOW + 2)[second.id], 'next')

  // The keyring says already when the first one ends.
  const { keys, ...ring } = readKeyring(files.keyring)
  const until = NOW + HOUR
  const ended = keys.map((key) => (key.id === first.id ? { ...key, until } : key))
  await writeFile(files.keyring, JSON.stringify({ ...ring, keys: ended }))
  assert.deepEqual(await rotateKeys(files, 5 * HOUR, NOW + 3), { id: second.id, retired: first.id, until })
  assert.equal(readSigningKey(files.signingKey).id, second.id)
})

const inUse = { code: 'CONFIG_INVALID', message: /another `sluice keys`/ }

/** Calls again whoever was refused because another was at it. */
async function whenFree<Result>(work: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!inUse.message.test(String(error))) throw error
    }
    await wait(1)
  }
}

test('while one is at it, another is refused and changes nothing; of two at once neither undoes what the other did', async (t) => {
  const files = await makeFiles(t)
  const { id } = await newKey(files, NOW)
  const letGo = holdLock(`${files.keyring}.lock`)
  assert.ok(letGo)
  await assert.rejects(newKey(files, NOW + 1), inUse)
  assert.deepEqual(states(files, NOW + 1), { [id]: 'in use' })
  letGo()

  const [, second] = await Promise.all([
    whenFree(() => revokeKey(files, id, 'lost', NOW + 2)),
    whenFree(() => newKey(files, NOW + 2)),
  ])
  assert.deepEqual(states(files, NOW + 3), { [id]: 'revoked', [second.id]: 'next' })
  // What a killed one leaves behind locks nobody out.
  assert.ok(existsSync(`${files.keyring}.lock`))
  assert.equal((await rotateKeys(files, HOUR, NOW + 4)).id, second.id)
})

test('a keyring that could not be read again is not written: the one before stays, and so do both keys', async (t) => {
  const files = await makeFiles(t)
  const first = await newKey(files, NOW)
  const second = await newKey(files, NOW + 1)
  const before = await readFile(files.keyring, 'utf8')
  const refused = { code: 'CONFIG_INVALID', message: /left as it is/ }
  for (const overlapMs of [60_001.2, -NOW * 2, Number.POSITIVE_INFINITY, Number.NaN, 1e300]) {
    await assert.rejects(rotateKeys(files, overlapMs, NOW + 2), refused, `${overlapMs}`)
  }
  await assert.rejects(revokeKey(files, first.id, 'lost', NOW + 0.5), refused)
  assert.equal(await readFile(files.keyring, 'utf8'), before)
  assert.deepEqual(states(files, NOW + 3), { [first.id]: 'in use', [second.id]: 'next' })
})

test('an overlap is any part of an hour, to the millisecond, and at most a year', async (t) => {
  const files = await makeFiles(t)
  const environment = { SLUICE_SIGNING_KEY: files.signingKey, SLUICE_KEYRING: files.keyring }
  const keys = async (...words: string[]) => {
    const command = startSluice(['keys', ...words], environment)
    return { code: (await command.ended).code, stdout: command.stdout(), stderr: command.stderr() }
  }
  const first = await newKey(files, NOW)
  const second = await newKey(files, NOW)
  for (const overlap of ['Infinity', '1e300', '8761', '-1', ' ', 'soon']) {
    const { code, stderr } = await keys('rotate', `--overlap=${overlap}`)
    assert.deepEqual([overlap, code], [overlap, 2])
    assert.match(stderr, /expected hours, from 0 to 8760/)
  }
  assert.deepEqual(states(files, NOW), { [first.id]: 'in use', [second.id]: 'next' })

  const from = Date.now()
  const rotated = await keys('rotate', '--overlap', '0.016667', '--json')
  assert.equal(rotated.code, 0, rotated.stderr)
  const { until } = JSON.parse(rotated.stdout)
  assert.ok(until >= from + 60_001 && until <= Date.now() + 60_001, `${until - from} ms`)
  const listed = await keys('list', '--json')
  assert.equal(listed.code, 0, listed.stderr)
  assert.equal(JSON.parse(listed.stdout)[0].until, until)
})

test('nobody but its owner may write a keyring, whatever the process leaves to others', async (t) => {
  const files = await makeFiles(t)
  const before = process.umask(0)
  try {
    await newKey(files, NOW)
  } finally {
    process.umask(before)
  }
  assert.equal((await stat(files.keyring)).mode & 0o777, 0o644)
  assert.equal((await stat(files.signingKey)).mode & 0o777, 0o600)
})

test('a private key that others may read, that is damaged or not there is refused, and what it holds is not told', async (t) => {
  const files = await makeFiles(t)
  assert.throws(() => readSigningKey(files.signingKey), { code: 'CONFIG_INVALID', message: /sluice keys new/ })
  assert.throws(() => readKeyring(files.keyring), { code: 'CONFIG_INVALID', message: /there is no keyring/ })
  await newKey(files, NOW)
  await chmod(files.signingKey, 0o640)
  assert.throws(() => readSigningKey(files.signingKey), { code: 'CONFIG_INVALID', message: /others may use/ })
  await chmod(files.signingKey, 0o600)
  const secret = await readFile(files.signingKey, 'utf8')
  await writeFile(files.signingKey, secret.replace(/[A-Z]/g, '!'))
  assert.throws(
    () => readSigningKey(files.signingKey),
    (error: Error) => {
      assert.match(error.message, /is no signing key/)
      assert.equal(error.cause, undefined)
      return true
    },
  )
  await writeFile(files.keyring, '{}')
  assert.throws(() => readKeyring(files.keyring), {
    code: 'CONFIG_INVALID',
    message: /not as `sluice keys` writes it: version/,
  })
})

/** As if killed before this file is written: what is in the way of its draft stays until it has failed. */
async function cutOff(file: string, work: () => Promise<unknown>): Promise<void> {
  const draft = `${file}.${process.pid}`
  await mkdir(draft, { recursive: true })
  await assert.rejects(work(), { code: 'EISDIR' })
  await rmdir(draft)
}

function states(files: KeyFiles, now: number): Record<string, string> {
  return Object.fromEntries(listKeys(files, now).map(({ id, state }) => [id, state]))
}
