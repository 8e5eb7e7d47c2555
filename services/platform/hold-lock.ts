import { DatabaseSync } from 'node:sqlite'

/**
 * Takes a lock that the system lets go when this process ends, however it ends. SQLite knows how, on every system: its file stays empty.
 * @param file made where there is none; two processes of one machine never hold it together
 * @returns lets it go; null where another process holds it
 * @throws {Error} of the file system's, where the file can't be made
 */
export function holdLock(file: string): (() => void) | null {
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
    return () => database.close()
  } catch (error) {
    database.close()
    if (Reflect.get(Object(error), 'errcode') === BUSY) return null
    throw error
  }
}

/** SQLITE_BUSY */
const BUSY = 5
