import { createReadStream } from 'node:fs'
import { access, constants, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileStatus, OpenFile } from './file.ts'

/** Whether a name is that of something in a bucket: `s3://bucket/key`. */
export function isInBucket(name: string): boolean {
  return name.startsWith('s3://')
}

/**
 * What lies under a name; null where nothing does, or nothing that may be looked at.
 * @throws {SluiceError} STORE_UNREACHABLE, USAGE
 */
export async function fileStatus(name: string): Promise<FileStatus | null> {
  if (isInBucket(name)) return await (await inBuckets()).objectStatus(name)
  const found = await stat(name).catch(() => null)
  if (found === null) return null
  const kind = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other'
  return { kind, size: found.size, identity: `${found.size} ${found.mtimeMs}` }
}

/** Whether there is a file of this name that may be read. @throws {SluiceError} STORE_UNREACHABLE */
export async function isReadable(name: string): Promise<boolean> {
  if ((await fileStatus(name))?.kind !== 'file') return false
  // Of an object in a bucket more is told only by reading it.
  if (isInBucket(name)) return true
  return await access(name, constants.R_OK).then(
    () => true,
    () => false,
  )
}

/** @throws {Error} of the system, when it can't be opened; {SluiceError} STORE_UNREACHABLE */
export async function openFile(name: string): Promise<OpenFile> {
  if (isInBucket(name)) return await (await inBuckets()).openObject(name)
  const file = await open(name, 'r')
  const { size } = await file.stat()
  return {
    size,
    read: (buffer, offset, length, position) => file.read(buffer, offset, length, position),
    close: () => file.close(),
  }
}

/** All bytes of a file, in parts. @throws {Error} of the system; {SluiceError} STORE_UNREACHABLE */
export async function* bytesOfFile(name: string): AsyncGenerator<Buffer> {
  if (isInBucket(name)) yield* (await inBuckets()).bytesOfObject(name)
  else for await (const chunk of createReadStream(name)) yield chunk
}

/** Names of what lies directly in a folder, in no order. @throws {Error} of the system; {SluiceError} STORE_UNREACHABLE */
export async function namesIn(folder: string): Promise<string[]> {
  return isInBucket(folder) ? await (await inBuckets()).namesInBucket(folder) : await readdir(folder)
}

/** The paths of all objects below a folder in a bucket, in the order of their names. @throws {SluiceError} STORE_UNREACHABLE */
export async function* objectsBelow(folder: string): AsyncGenerator<string> {
  yield* (await inBuckets()).objectsBelow(folder)
}

/** The name of something below a folder. @param path with / between names */
export function nameBelow(folder: string, path: string): string {
  return isInBucket(folder) ? `${folder.replace(/\/+$/, '')}/${path}` : join(folder, path)
}

/** The client of S3 is loaded by those alone who need it. */
function inBuckets(): Promise<typeof import('./s3-files.ts')> {
  return import('./s3-files.ts')
}
