import { readFileSync } from 'node:fs'
import { SluiceError } from '../domain/errors.ts'
import { type Keyring, parseKeyring } from '../domain/keyring.ts'
import { codeOf } from './error-code.ts'

/**
 * The keyring of a file.
 * @throws {SluiceError} CONFIG_INVALID, naming the file and what is wrong with it
 */
export function readKeyring(file: string): Keyring {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const missing = codeOf(cause) === 'ENOENT'
    const sentence = missing
      ? `there is no keyring ${file}: copy it from where \`sluice keys new\` made it, or name another one by SLUICE_KEYRING`
      : `the keyring ${file} can't be read`
    throw new SluiceError('CONFIG_INVALID', sentence, { cause })
  }
  const keyring = parseKeyring(text)
  if (typeof keyring !== 'string') return keyring
  throw new SluiceError('CONFIG_INVALID', `the keyring ${file} is not as \`sluice keys\` writes it: ${keyring}`)
}
