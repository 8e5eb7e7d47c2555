import { createPrivateKey, type KeyObject } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { SluiceError } from '../domain/errors.ts'
import { keyId } from '../domain/keyring.ts'
import { codeOf } from './error-code.ts'

/** A private key and the name of its public one. */
export type SigningKey = { id: string; key: KeyObject }

/** Nobody but the owner may read or write it. */
const OTHERS = 0o077

/**
 * The private key of a file: Ed25519, PKCS #8 in PEM.
 * @throws {SluiceError} CONFIG_INVALID where it is missing, is none, or others may read it
 */
export function readSigningKey(file: string): SigningKey {
  const text = readPrivately(file)
  let key: KeyObject | null = null
  try {
    key = createPrivateKey(text)
  } catch {
    // What a broken key holds is not for an error's cause.
  }
  if (key?.asymmetricKeyType === 'ed25519') return { id: keyId(key), key }
  throw new SluiceError('CONFIG_INVALID', `${file} is no signing key: expected Ed25519, PKCS #8 in PEM`)
}

function readPrivately(file: string): string {
  let opened: number
  try {
    opened = openSync(file, 'r')
  } catch (cause) {
    const missing = codeOf(cause) === 'ENOENT'
    const sentence = missing
      ? `there is no signing key ${file}: make one with \`sluice keys new\`, or name another one by SLUICE_SIGNING_KEY`
      : `the signing key ${file} can't be read`
    throw new SluiceError('CONFIG_INVALID', sentence, { cause })
  }
  try {
    const { mode, uid } = fstatSync(opened)
    if ((mode & OTHERS) !== 0) {
      throw new SluiceError('CONFIG_INVALID', `others may use the signing key ${file}: \`chmod 600\` it, or revoke it`)
    }
    const own = process.getuid?.()
    if (own !== undefined && uid !== own && own !== 0) {
      throw new SluiceError('CONFIG_INVALID', `the signing key ${file} belongs to another user than this process`)
    }
    return readFileSync(opened, 'utf8')
  } finally {
    closeSync(opened)
  }
}
