import { open } from 'node:fs/promises'
import { SluiceError } from '../../domain/errors.ts'
import { codeOf } from '../../platform/error-code.ts'

const LONGEST = 4096

/**
 * The two secrets of a file with one line, `ONE:OTHER`, that nobody but this user may read.
 * @throws {SluiceError} CONFIG_INVALID, saying nothing of what is in it
 */
export async function readCredentials(path: string): Promise<[string, string]> {
  const wrong = (expected: string, cause?: unknown) => {
    return new SluiceError('CONFIG_INVALID', `the credentials in ${path}: ${expected}`, { cause })
  }
  try {
    const file = await open(path)
    try {
      const status = await file.stat()
      const isOwn = status.uid === process.getuid?.() || status.uid === 0
      if (!status.isFile() || !isOwn || (status.mode & 0o077) !== 0) {
        throw wrong('expected a file that only this user can read: chmod 600 it')
      }
      const { buffer, bytesRead } = await file.read(Buffer.alloc(LONGEST), 0, LONGEST, 0)
      const line = buffer.toString('utf8', 0, bytesRead).trim()
      const colon = line.indexOf(':')
      if (colon < 1 || line.includes('\n')) throw wrong('expected one line, two words with a colon between them')
      return [line.slice(0, colon), line.slice(colon + 1)]
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = codeOf(error)
    throw error instanceof SluiceError || code === null ? error : wrong(`the file can not be read (${code})`, error)
  }
}
