import { openFile } from '../../platform/files/files.ts'

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

/** @throws {Error} of the system, when it can't be opened; {SluiceError} STORE_UNREACHABLE */
export async function openFileWindow(path: string): Promise<FileWindow> {
  const file = await openFile(path)
  const { size } = file
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
      const few = Buffer.alloc(length)
      let read = 0
      while (read < length) {
        const { bytesRead } = await file.read(few, read, length - read, position + read)
        if (bytesRead === 0) break
        read += bytesRead
      }
      return few.subarray(0, read)
    },
    close: () => file.close(),
  }
}
