import { statSync } from 'node:fs'
import { SluiceError } from '../domain/errors.ts'
import { createKeyLookup } from '../domain/keyring.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import type { Log } from '../platform/log.ts'
import type { Settings } from '../platform/settings.ts'
import { readSigningKey, type SigningKey } from '../platform/signing-key.ts'

const LOOK_MS = 1000

export type Signer = {
  /** @throws {SluiceError} SIGNING_KEY_UNUSABLE */
  key(): SigningKey
  /** Why nothing can be signed now; null where it can. */
  problem(): SluiceError | null
  stop(): void
}

/**
 * Keeps the key that receipts are signed with. It is read anew when its file or the keyring changes, so that keys can be rotated and revoked while
 * gates run; one that readers would refuse signs nothing.
 * @throws {SluiceError} CONFIG_INVALID when there is no such key at the start
 */
export function createSigner({ signingKey, keyring }: Pick<Settings, 'signingKey' | 'keyring'>, log: Log): Signer {
  let key = readUsable()
  let problem: SluiceError | null = null
  let seen = stateOf()

  function readUsable(): SigningKey {
    const read = readSigningKey(signingKey)
    const found = createKeyLookup(readKeyring(keyring))(read.id, Date.now())
    if (typeof found !== 'string') return read
    const sentence = `the signing key ${signingKey}, ${read.id}, does not count by the keyring ${keyring} (${found}): see \`sluice keys list\``
    throw new SluiceError('CONFIG_INVALID', sentence)
  }

  /** Changes whenever one of the two files does. */
  function stateOf(): string {
    return [signingKey, keyring].map((file) => versionOf(file)).join(' ')
  }

  function look(): void {
    const now = stateOf()
    if (now === seen && problem === null) return
    seen = now
    try {
      const next = readUsable()
      if (next.id !== key.id) log.info({ event: 'signing-key', key: next.id })
      key = next
      problem = null
    } catch (cause) {
      if (problem === null) log.warn({ event: 'signing-key-unusable', err: cause })
      const sentence = cause instanceof SluiceError ? cause.message : undefined
      problem = new SluiceError('SIGNING_KEY_UNUSABLE', sentence, { cause })
    }
  }

  const looking = setInterval(look, LOOK_MS).unref()
  log.info({ event: 'signing-key', key: key.id })
  return {
    key() {
      if (problem !== null) throw problem
      return key
    },
    problem: () => problem,
    stop: () => clearInterval(looking),
  }
}

function versionOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? 'missing' : `${found.ino}/${found.mtimeMs}/${found.size}/${found.mode}`
}
