import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** An authority of a test's own, and what it vouches for; PEM files. */
export type Authority = {
  /** its certificate */
  file: string
  /** Makes a certificate and its key. @param name whose; @param names where it is found, as OpenSSL says it */
  issue(name: string, names?: string): { certificate: string; key: string }
}

/** For a test's `skip` option: false, or why it can't run. @throws {Error} in CI, where nothing is skipped */
export function skipWithoutOpenssl(): string | false {
  try {
    openssl('.', 'version')
    return false
  } catch {
    const sentence = 'there is no openssl to make certificates with: install it'
    if (process.env.CI) throw new Error(sentence)
    return sentence
  }
}

/** @param folder where its files are made */
export function makeAuthority(folder: string, name: string): Authority {
  const [key, file] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)]
  openssl(folder, 'req', '-x509', ...NEW_KEY, '-keyout', key, '-out', file, '-subj', `/CN=${name}`, '-days', '2')
  return {
    file,
    issue(whose, names = 'IP:127.0.0.1') {
      const at = (ending: string): string => join(folder, `${name}-${whose}.${ending}`)
      writeFileSync(at('ext'), `subjectAltName=${names}\n`)
      openssl(folder, 'req', ...NEW_KEY, '-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${whose}`)
      const signed = ['-req', '-in', at('csr'), '-CA', file, '-CAkey', key, '-CAcreateserial', '-extfile', at('ext')]
      openssl(folder, 'x509', ...signed, '-out', at('pem'), '-days', '2')
      return { certificate: at('pem'), key: at('key') }
    },
  }
}

const OPENSSL = 'openssl'
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function openssl(folder: string, ...words: string[]): void {
  execFileSync(OPENSSL, words, { cwd: folder, stdio: 'pipe' })
}
