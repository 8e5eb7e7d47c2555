import { isErrorCode, SluiceError } from '../domain/errors.ts'

/** An error on its way to another thread, which would else know only its message. */
export type ThreadError = {
  name: string
  message: string
  stack?: string | undefined
  /** what else the log tells of errors */
  code?: unknown
  syscall?: unknown
  cause?: ThreadError
}

/** What of an error goes to another thread: all that a log or a person is told of it. */
export function packError(error: unknown): ThreadError {
  if (!(error instanceof Error))
    return { name: 'Error', message: `something was thrown that is no error: ${typeof error}` }
  const { name, message, stack } = error
  return {
    name,
    message,
    stack,
    ...('code' in error ? { code: plain(error.code) } : {}),
    ...('syscall' in error ? { syscall: plain(error.syscall) } : {}),
    ...(error.cause === undefined ? {} : { cause: packError(error.cause) }),
  }
}

/** The error that another thread has packed; one of our own as such. */
export function unpackError({ name, message, stack, cause: packed, ...more }: ThreadError): Error {
  const options = packed === undefined ? {} : { cause: unpackError(packed) }
  if (name === 'SluiceError' && isErrorCode(more.code)) {
    return withStack(new SluiceError(more.code, message, options), stack)
  }
  return Object.assign(withStack(new Error(message, options), stack), { name, ...more })
}

function withStack(error: Error, stack: string | undefined): Error {
  if (stack !== undefined) error.stack = stack
  return error
}

function plain(value: unknown): unknown {
  return typeof value === 'number' ? value : String(value)
}
