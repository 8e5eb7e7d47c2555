import { open } from 'node:fs/promises'

const WINDOW_BYTES = 262_144

/** A file that is read here and there, through one buffer. */
export type FileWindow = {
  /** bytes, when it was opened */
  size: number
  /**
   * The bytes from a position on: at least so many, fewer only where the file ends.
   * @param least no more than the buffer holds, 256 KiB
   * @returns part of the buffer: good until the next call
   */
  at(position: number, least?: number): Promise<Buffer>
  /** A copy of a few bytes, past the buffer; fewer where the file ends. */
  look(position: number, length: number): Promise<Buffer>
  close(): Promise<void>
}

/** @throws {Error} of the system, when it can't be opened */
export async function openFileWindow(path: string): Promise<FileWindow> {
  const file = await open(path, 'r')
  const { size } = await file.stat()
  const buffer = Buffer.allocUnsafeSlow(WINDOW_BYTES)
  let from = 0
  let filled = 0

  async function fill(position: number): Promise<void> {
    from = position
    filled = 0
    while (filled < WINDOW_BYTES) {
      const { bytesRead } = await file.read(buffer, filled, WINDOW_BYTES - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
  }

  return {
    size,
    async at(position, least = 1) {
      const needed = Math.min(least, size - position)
      if (position < from || position + needed > from + filled) await fill(position)
      return buffer.subarray(position - from, filled)
    },
    async look(position, length) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
      return buffer.subarray(0, bytesRead)
    },
    close: () => file.close(),
  }
}
