import { DatabaseSync } from 'node:sqlite'
import { SluiceError } from '../domain/errors.ts'

/**
 * Takes a lock that the system lets go when this process ends, however it ends. SQLite knows how, on every system: its file stays empty.
 * @param file made where there is none; two processes of one machine never hold it together
 * @returns lets it go; null where another process holds it
 * @throws {SluiceError} STORE_UNREACHABLE where the file can't be made
 */
export function holdLock(file: string): (() => void) | null {
  const database = open(file)
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return () => database.close()
  } catch (error) {
    database.close()
    if (Reflect.get(Object(error), 'errcode') === BUSY) return null
    throw unusable(file, error)
  }
}

function open(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: 0 })
  } catch (cause) {
    throw unusable(file, cause)
  }
}

function unusable(file: string, cause: unknown): SluiceError {
  return new SluiceError('STORE_UNREACHABLE', `the lock ${file} can't be taken: may this process write there?`, {
    cause,
  })
}

/** SQLITE_BUSY */
const BUSY = 5
