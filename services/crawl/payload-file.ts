import { realpath, stat } from 'node:fs/promises'
import { sep } from 'node:path'
import { SluiceError } from '../domain/errors.ts'
import { codeOf } from '../platform/error-code.ts'
import { fileStatus, isInBucket, openFile } from '../platform/files/files.ts'

/** A payload is held in memory while it is published. */
export const LONGEST_PAYLOAD = 1024 * 1024 * 1024

/**
 * Whether a path leads to a file inside a folder (in a bucket nothing leads anywhere else), however many links are on the way; a pipe, a socket or a device is no file.
 * @param root the folder's real path
 */
export async function leadsToFileInside(root: string, path: string): Promise<boolean> {
  if (isInBucket(path)) return (await fileStatus(path))?.kind === 'file'
  const real = await realpath(path).catch(() => null)
  if (real === null || !real.startsWith(root.endsWith(sep) ? root : root + sep)) return false
  return (await stat(real).catch(() => null))?.isFile() ?? false
}

/** @returns the bytes, or a sentence on what was expected instead. @throws {SluiceError} STORE_UNREACHABLE */
export async function readWhole(path: string, limit: number): Promise<Buffer | string> {
  try {
    return await readAtMost(path, limit)
  } catch (error) {
    if (error instanceof SluiceError) throw error
    const code = codeOf(error)
    return `expected a file that can be read${code === null ? '' : ` (${code})`}`
  }
}

/** @returns the bytes, or a sentence where there are more of them. @throws {Error} of the system; {SluiceError} STORE_UNREACHABLE */
export async function readAtMost(path: string, limit: number): Promise<Buffer | string> {
  const file = await openFile(path)
  try {
    const { size } = file
    if (size > limit) return `expected at most ${limit} bytes`
    const bytes = Buffer.allocUnsafeSlow(size)
    let filled = 0
    while (filled < size) {
      const { bytesRead } = await file.read(bytes, filled, size - filled, filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return bytes.subarray(0, filled)
  } finally {
    await file.close()
  }
}
