import { pino } from 'pino'

export type Log = ReturnType<typeof createLog>

/**
 * The one place where loggers are made. Lines are events with a code, coordinates and item ids; content never gets in:
 * fields that could hold any are removed should somebody pass them, and errors are logged by code and sentence alone.
 * @param level least level that is written: debug, info, warn, error or silent
 */
export function createLog(level: string) {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: ['payload', 'inline', 'envelope', 'value', 'headers', 'url', 'origin', 'acquisition'].flatMap(
          (field) => [field, `*.${field}`],
        ),
        remove: true,
      },
      serializers: { err: describeError },
    },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** Name, code and message of an error and of what caused it; no stack, no properties that a library hung on it. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  return {
    name: error.name,
    ...('code' in error ? { code: error.code } : {}),
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}
