import { SluiceError } from '../domain/errors.ts'

/**
 * Whether a failure of reading is the system's (a share that is away, too many open files), so that another time the same file may be read; what is
 * wrong with the file's content is none. Also of an error that has come from another thread.
 */
export function isOfSystem(error: unknown): boolean {
  return typeof Reflect.get(Object(error), 'syscall') === 'string'
}

/**
 * What ends an import whose source can't be read any further: were it told as bad, an import that goes on later would count other things than before,
 * and leave some out.
 */
export function unreadable(path: string, cause: unknown): SluiceError {
  return new SluiceError('USAGE', `${path} can't be read any further: look at the disk, then call this again`, {
    cause,
  })
}
