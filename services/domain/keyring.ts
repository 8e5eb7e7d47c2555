import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { EvidenceFault } from './errors.ts'

const time = z.int().nonnegative()
const knownKey = z.strictObject({
  id: z.string(),
  publicKey: z.string(),
  from: time,
  until: time.nullable(),
  revoked: z.strictObject({ at: time, why: z.string() }).nullable(),
})
const keyringSchema = z.strictObject({ version: z.literal(1), keys: z.array(knownKey) })

/**
 * A public key that receipts may be signed with.
 * @property id {@link keyId} of it
 * @property publicKey SPKI in DER, base64
 * @property from milliseconds since the epoch; what it signed before does not count
 * @property until from then on it signs nothing any more; what it signed before holds. null: still in use
 * @property revoked it may be in wrong hands: nothing that it ever signed holds
 */
export type KnownKey = z.infer<typeof knownKey>
/** The public keys that a reader trusts, as its own file says: what others could add to would prove nothing. */
export type Keyring = z.infer<typeof keyringSchema>

/** Why a key proves nothing. */
export type KeyFault = Extract<EvidenceFault, `KEY_${string}`>

/** The name of a public key: the first 16 hex digits of the sha256 over its SPKI in DER. */
export function keyId(key: KeyObject): string {
  return hash('sha256', derOf(key)).slice(0, 16)
}

export function derOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** Reads a keyring from JSON text. @returns what is wrong with it, as a text, where it is none */
export function parseKeyring(text: string): Keyring | string {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return 'it is not JSON'
  }
  const parsed = keyringSchema.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return `${issue?.path.join('.') || 'it'}: ${issue?.message}`
  }
  const { keys } = parsed.data
  for (const [index, { id, publicKey }] of keys.entries()) {
    const key = publicKeyOf(publicKey)
    if (key === null) return `keys.${index}.publicKey: expected an Ed25519 key, SPKI in DER, base64`
    if (keyId(key) !== id) return `keys.${index}.id: expected ${keyId(key)}, which is this key's`
    if (keys.findIndex((each) => each.id === id) !== index) return `keys.${index}: ${id} stands there twice`
  }
  return parsed.data
}

/** Makes the function that finds the key by which something may have been signed; the keys are read once. */
export function createKeyLookup(keyring: Keyring): (id: string, signedAt: number) => KeyObject | KeyFault {
  const keys = new Map(keyring.keys.map((known) => [known.id, { known, key: publicKeyOf(known.publicKey) }]))
  return (id, signedAt) => {
    const found = keys.get(id)
    if (!found?.key) return 'KEY_UNKNOWN'
    const { from, until, revoked } = found.known
    if (revoked !== null) return 'KEY_REVOKED'
    if (signedAt < from || (until !== null && signedAt >= until)) return 'KEY_RETIRED'
    return found.key
  }
}

function publicKeyOf(base64: string): KeyObject | null {
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), type: 'spki', format: 'der' })
    return key.asymmetricKeyType === 'ed25519' && derOf(key).toString('base64') === base64 ? key : null
  } catch {
    return null
  }
}
