import kafkajs from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'

/** The client library wraps what it has tried several times: whether this failure, or what caused it, is so. */
function isAny(failure: unknown, matches: (error: Error) => boolean): boolean {
  return failure instanceof Error && (matches(failure) || isAny(failure.cause, matches))
}

/** Whether the brokers said exactly this, e.g. `UNKNOWN_TOPIC_OR_PARTITION`. */
export function isRefusal(failure: unknown, type: string): boolean {
  return isAny(failure, (error) => error instanceof kafkajs.KafkaJSProtocolError && error.type === type)
}

/** Whether no broker was found that coordinates a group: brokers are starting, or forbid the group, which the client library does not tell apart. */
export function isWithoutCoordinator(failure: unknown): boolean {
  return isAny(failure, (error) => error.name === 'KafkaJSGroupCoordinatorNotFound')
}

/** Whether the client library calls a failure, or what caused it, worth another try. */
export function isPassing(failure: unknown): boolean {
  return isAny(failure, (error) => error instanceof kafkajs.KafkaJSError && error.retriable)
}

/** What it means for a person that a topic could not be asked for. @param topic full name, with prefix */
export function topicFailure(cause: unknown, topic: string): SluiceError {
  if (cause instanceof SluiceError) return cause
  if (isRefusal(cause, 'TOPIC_AUTHORIZATION_FAILED')) {
    return new SluiceError('ACCESS_DENIED', `the brokers do not let this principal near ${topic}`, { cause })
  }
  if (!isRefusal(cause, 'UNKNOWN_TOPIC_OR_PARTITION'))
    return new SluiceError('BROKER_UNREACHABLE', undefined, { cause })
  return new SluiceError('TOPICS_MISSING', `there is no topic ${topic}: make it with \`sluice topics apply\``, {
    cause,
  })
}
