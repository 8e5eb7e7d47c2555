import kafkajs from 'kafkajs'

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
