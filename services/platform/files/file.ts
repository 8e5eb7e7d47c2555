/** What lies under a name. @property identity changes when it does, e.g. its size and time of change */
export type FileStatus = { kind: 'file' | 'folder' | 'other'; size: number; identity: string }

/** A file that is read here and there. */
export type OpenFile = {
  /** bytes, when it was opened */
  size: number
  /** As the system's own: fewer bytes than asked for may come, none at the end only. */
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  close(): Promise<void>
}
