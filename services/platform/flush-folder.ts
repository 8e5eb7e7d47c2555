import { closeSync, constants, fsyncSync, openSync } from 'node:fs'

/** Has the disk keep what was made, renamed or removed in a folder. It waits for the disk, so it is for threads that may. */
export function flushFolder(folder: string): void {
  const handle = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
