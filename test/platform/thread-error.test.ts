import assert from 'node:assert/strict'
import test from 'node:test'
import kafkajs from 'kafkajs'
import { SluiceError } from '../../services/domain/errors.ts'
import { packError, unpackError } from '../../services/platform/thread-error.ts'

function cross(error: unknown): Error {
  return unpackError(structuredClone(packError(error)))
}

test('an error of our own is one also in the other thread, with its sentence and its causes', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' })
  const error = new SluiceError('BROKER_UNREACHABLE', 'nobody answers', {
    cause: new SluiceError('LISTS_STALE', 'old', { cause }),
  })
  const crossed = cross(error)
  assert.ok(crossed instanceof SluiceError && crossed.cause instanceof SluiceError)
  assert.deepEqual(
    [crossed.code, crossed.fault, crossed.message],
    ['BROKER_UNREACHABLE', 'surroundings', 'nobody answers'],
  )
  assert.deepEqual([crossed.cause.code, crossed.cause.message], ['LISTS_STALE', 'old'])
  assert.ok(crossed.cause.cause instanceof Error && !(crossed.cause.cause instanceof SluiceError))
  const { message, code, syscall } = Object.assign({ code: '', syscall: '' }, crossed.cause.cause, {
    message: crossed.cause.cause.message,
  })
  assert.deepEqual(
    { message, code, syscall },
    { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED', syscall: 'connect' },
  )
})

test('an error of a library keeps its name, by which the log knows it', () => {
  const crossed = cross(new kafkajs.KafkaJSConnectionError('Connection timeout'))
  assert.deepEqual([crossed.name, crossed.message], ['KafkaJSConnectionError', 'Connection timeout'])
  assert.match(crossed.stack ?? '', /thread-error\.test/)
})

test('what is no error says so', () => {
  assert.match(cross('text').message, /no error/)
})
