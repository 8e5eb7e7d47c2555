import { pino } from 'pino'
import { SluiceError } from '../domain/errors.ts'

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
      // Pino adds the message of what is under this key to the line, as it is: so it is one that nobody uses.
      errorKey: 'unused',
    },
    pino.destination({ dest: 2, sync: true }),
  )
}

/**
 * Name, code, place and cause of an error. What it says is written only where nobody else's values get into it: in our own
 * errors, and in those of Kafka's client and the operating system. Libraries like to quote what they could not digest.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { name: typeof error }
  const speaks = error instanceof SluiceError || error.name.startsWith('KafkaJS') || 'syscall' in error
  return {
    name: error.name,
    ...('code' in error ? { code: error.code } : {}),
    ...(speaks ? { message: error.message } : { at: /^ +at .*/m.exec(error.stack ?? '')?.[0].trim() }),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}
