import { statSync } from 'node:fs'
import { SluiceError } from '../domain/errors.ts'
import { createKeyLookup } from '../domain/keyring.ts'
import { codeOf } from '../platform/error-code.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import type { Log } from '../platform/log.ts'
import type { Settings } from '../platform/settings.ts'
import { readSigningKey, type SigningKey } from '../platform/signing-key.ts'

const LOOK_MS = 1000

export type Signer = {
  /**
   * @param at the moment that is signed, milliseconds since the epoch
   * @throws {SluiceError} SIGNING_KEY_UNUSABLE, also where the key does not count at that moment: no reader would ever get past such a receipt
   */
  key(at: number): SigningKey
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
  // Before they are read: what changes meanwhile is seen at the next look.
  let seen = stateOf()
  let inUse = readUsable()
  let problem: SluiceError | null = null

  function readUsable(): { key: SigningKey; keyFor: ReturnType<typeof createKeyLookup> } {
    const read = { key: readSigningKey(signingKey), keyFor: createKeyLookup(readKeyring(keyring)) }
    checkCounts(read, Date.now())
    return read
  }

  /** A key is retired by time alone, with no file changed. */
  function checkCounts({ key, keyFor }: typeof inUse, at: number): void {
    const found = keyFor(key.id, at)
    if (typeof found !== 'string') return
    const sentence = `the signing key ${signingKey}, ${key.id}, does not count by the keyring ${keyring} (${found}): see \`sluice keys list\``
    throw new SluiceError('CONFIG_INVALID', sentence)
  }

  /** Changes whenever one of the two files does. */
  function stateOf(): string {
    return [signingKey, keyring].map((file) => versionOf(file)).join(' ')
  }

  function look(): void {
    const now = stateOf()
    try {
      if (now === seen && problem === null) return void checkCounts(inUse, Date.now())
      seen = now
      const next = readUsable()
      if (next.key.id !== inUse.key.id) log.info({ event: 'signing-key', key: next.key.id })
      inUse = next
      problem = null
    } catch (cause) {
      if (problem === null) log.warn({ event: 'signing-key-unusable', err: cause })
      problem = unusable(cause)
    }
  }

  const looking = setInterval(look, LOOK_MS).unref()
  log.info({ event: 'signing-key', key: inUse.key.id })
  return {
    key(at) {
      if (problem !== null) throw problem
      try {
        checkCounts(inUse, at)
      } catch (cause) {
        throw unusable(cause)
      }
      return inUse.key
    },
    problem: () => problem,
    stop: () => clearInterval(looking),
  }
}

function unusable(cause: unknown): SluiceError {
  const sentence = cause instanceof SluiceError ? cause.message : undefined
  return new SluiceError('SIGNING_KEY_UNUSABLE', sentence, { cause })
}

/** What changes with a file. Why it can't be looked at is for the one who reads it to tell. */
function versionOf(file: string): string {
  try {
    const { ino, mtimeMs, size, mode } = statSync(file)
    return `${ino}/${mtimeMs}/${size}/${mode}`
  } catch (error) {
    return `${codeOf(error)}`
  }
}
