import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { SluiceError } from '../domain/errors.ts'
import { derOf, type Keyring, type KnownKey, keyId, parseKeyring } from '../domain/keyring.ts'
import { holdLock } from '../platform/hold-lock.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import type { Settings } from '../platform/settings.ts'
import { readSigningKey } from '../platform/signing-key.ts'
import { writeDurably } from '../platform/write-durably.ts'

/** Where the keys lie: the private one that is in use, and the public ones. */
export type KeyFiles = Pick<Settings, 'signingKey' | 'keyring'>

/** What becomes of a key, as a person sees it. */
export type KeyState = 'in use' | 'next' | 'kept' | 'retired' | 'revoked'

/**
 * Makes a key. The first one is in use from then on; a later one waits beside it, on the keyring already, so that readers can have it before
 * the first receipt is signed with it.
 * @returns its name, and what it is
 * @throws {SluiceError} CONFIG_INVALID when one waits already, or files that belong together are not both there
 */
export async function newKey(files: KeyFiles, now: number): Promise<{ id: string; state: 'in use' | 'next' }> {
  return await alone(files, async () => {
    const isFirst = !existsSync(files.signingKey)
    const keyring: Keyring =
      isFirst && !existsSync(files.keyring) ? { version: 1, keys: [] } : readKeyring(files.keyring)
    const file = isFirst ? files.signingKey : nextFile(files)
    if (existsSync(file)) {
      const { id } = readSigningKey(file)
      throw new SluiceError('CONFIG_INVALID', `the key ${id} waits already: put it in use with \`sluice keys rotate\``)
    }
    const { privateKey } = generateKeyPairSync('ed25519')
    const id = keyId(privateKey)
    const known: KnownKey = {
      id,
      publicKey: derOf(privateKey).toString('base64'),
      from: now,
      until: null,
      revoked: null,
    }
    // The public one first: cut off before the other, this can be done again, and nobody has what would sign by the one that is left.
    await writeKeyring(files.keyring, { ...keyring, keys: [...keyring.keys, known] })
    await writePrivate(file, privateKey)
    return { id, state: isFirst ? 'in use' : 'next' }
  })
}

/**
 * Puts the key that waits in use, and retires the one before it: gates change within seconds, and what the old key signs until then still counts.
 * Its private part is destroyed.
 * @param overlapMs for how long from now the old one counts, whole milliseconds
 * @throws {SluiceError} CONFIG_INVALID when none waits
 */
export async function rotateKeys(
  files: KeyFiles,
  overlapMs: number,
  now: number,
): Promise<{ id: string; retired: string; until: number }> {
  return await alone(files, async () => {
    const keyring = readKeyring(files.keyring)
    if (!existsSync(nextFile(files))) {
      const sentence =
        'no key waits to be put in use: `sluice keys new` makes one; hand the keyring to all readers before you rotate'
      throw new SluiceError('CONFIG_INVALID', sentence)
    }
    const next = readSigningKey(nextFile(files))
    if (!keyring.keys.some(({ id, revoked }) => id === next.id && revoked === null)) {
      const sentence = `the key that waits, ${next.id}, is not on the keyring or revoked: remove ${nextFile(files)}, and make another one`
      throw new SluiceError('CONFIG_INVALID', sentence)
    }
    const { id: retired } = readSigningKey(files.signingKey)
    // Cut off before the last step and done again, it keeps to what readers may have heard.
    const until = keyring.keys.find(({ id }) => id === retired)?.until ?? now + overlapMs
    const keys = keyring.keys.map((key) => (key.id === retired ? { ...key, until } : key))
    await writeKeyring(files.keyring, { ...keyring, keys })
    await rename(nextFile(files), files.signingKey)
    return { id: next.id, retired, until }
  })
}

/**
 * Takes a key's word away, for ever: nothing that it signed holds from the moment at which a reader has this keyring.
 * @param name the whole of it, or its first digits
 * @throws {SluiceError} CONFIG_INVALID when there is none, or several, of that name
 */
export async function revokeKey(files: KeyFiles, name: string, why: string, now: number): Promise<{ id: string }> {
  return await alone(files, async () => {
    const keyring = readKeyring(files.keyring)
    // What a variable that is not set leaves is nobody's name, also where there is only one key.
    const found = keyring.keys.filter(({ id }) => name !== '' && id.startsWith(name))
    const [key] = found
    if (key === undefined || found.length > 1) {
      const names = keyring.keys.map(({ id }) => id).join(', ')
      const sentence = `${found.length > 1 ? 'several keys begin' : 'no key begins'} with ${name}: expected one of ${names}`
      throw new SluiceError('CONFIG_INVALID', sentence)
    }
    const revoked = key.revoked ?? { at: now, why }
    await writeKeyring(files.keyring, {
      ...keyring,
      keys: keyring.keys.map((each) => (each === key ? { ...each, revoked } : each)),
    })
    if (existsSync(nextFile(files)) && readSigningKey(nextFile(files)).id === key.id) await rm(nextFile(files))
    return { id: key.id }
  })
}

/** Every key there ever was, the oldest first, and what it is now. */
export function listKeys(files: KeyFiles, now: number): Array<KnownKey & { state: KeyState }> {
  const keyring = readKeyring(files.keyring)
  const [inUse, next] = [files.signingKey, nextFile(files)].map((file) =>
    existsSync(file) ? readSigningKey(file).id : null,
  )
  return keyring.keys.map((key) => ({ ...key, state: stateOf(key, { inUse, next }, now) }))
}

function stateOf(
  { id, revoked, until }: KnownKey,
  { inUse, next }: { inUse?: string | null | undefined; next?: string | null | undefined },
  now: number,
): KeyState {
  if (revoked !== null) return 'revoked'
  if (until !== null && until <= now) return 'retired'
  if (id === inUse) return 'in use'
  return id === next ? 'next' : 'kept'
}

/** Two at once would each write the keyring without what the other has written: a key that one of them revoked would count again. */
async function alone<Result>({ keyring }: KeyFiles, work: () => Promise<Result>): Promise<Result> {
  await mkdir(dirname(keyring), { recursive: true })
  const release = holdLock(`${keyring}.lock`)
  if (release === null) {
    throw new SluiceError('CONFIG_INVALID', `another \`sluice keys\` is at ${keyring}: call this again when it is done`)
  }
  try {
    return await work()
  } finally {
    release()
  }
}

/** Beside the one in use, so that one step puts it in its place. */
function nextFile({ signingKey }: KeyFiles): string {
  return join(dirname(signingKey), 'next.pem')
}

async function writePrivate(file: string, key: KeyObject): Promise<void> {
  const text = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  await writeDurably(file, text, 0o600)
}

/** @throws {SluiceError} CONFIG_INVALID where it would not be read as it is meant: no gate or reader could go on with it */
async function writeKeyring(file: string, keyring: Keyring): Promise<void> {
  const text = `${JSON.stringify(keyring, null, 2)}\n`
  const read = parseKeyring(text)
  if (!isDeepStrictEqual(read, keyring)) {
    const why = typeof read === 'string' ? read : 'a time in it is no number'
    const sentence = `the keyring ${file} is left as it is, what would be written could not be read again: ${why}; call this with other words`
    throw new SluiceError('CONFIG_INVALID', sentence)
  }
  // Whoever could write it could have anything cleared.
  await writeDurably(file, text, 0o644)
}
