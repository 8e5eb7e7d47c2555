import { open, realpath, stat } from 'node:fs/promises'
import { sep } from 'node:path'
import { codeOf } from '../platform/error-code.ts'

/** A payload is held in memory while it is published. */
export const LONGEST_PAYLOAD = 1024 * 1024 * 1024

/**
 * Whether a path leads to a file inside a folder, however many links are on the way; a pipe, a socket or a device is no file.
 * @param root the folder's real path
 */
export async function leadsToFileInside(root: string, path: string): Promise<boolean> {
  const real = await realpath(path).catch(() => null)
  if (real === null || !real.startsWith(root.endsWith(sep) ? root : root + sep)) return false
  return (await stat(real).catch(() => null))?.isFile() ?? false
}

/** @returns the bytes, or a sentence on what was expected instead */
export async function readWhole(path: string, limit: number): Promise<Buffer | string> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      return size > limit ? `expected at most ${limit} bytes` : await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = codeOf(error)
    return `expected a file that can be read${code === null ? '' : ` (${code})`}`
  }
}
