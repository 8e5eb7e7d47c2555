import { createRequire } from 'node:module'
import type { KafkaMessage } from 'kafkajs'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { registerCodecs, TooLong } from './codecs.ts'

/** Of all compressed batches of one answer of a broker together, unpacked: many times what a door's message may be. */
const ANSWER_BYTES = 67_108_864
/** Of all batches of one answer: as objects, records take hundreds of times what they take packed. */
const ANSWER_RECORDS = 500_000
/** The library hands on the records of a batch as arguments of one call, and the stack has room for a hundred thousand or so. */
const PORTION_RECORDS = 10_000

const UNREADABLE = Symbol('why the batch of this record can not be read')

/** Offsets of the fields of a record batch, in bytes. */
const field = {
  length: 8,
  epoch: 12,
  magic: 16,
  attributes: 21,
  lastOffsetDelta: 23,
  producerId: 43,
  count: 57,
  end: 61,
}
const COMPRESSION = 0x07
const IN_TRANSACTION = 0x10
/** The library's own name for "what follows is not whole: fetch again from here". */
const COME_AGAIN = 'KafkaJSPartialMessageError'

const cursor = z.custom<{ buffer: Buffer; offset: number }>(
  (found) =>
    Buffer.isBuffer(Reflect.get(Object(found), 'buffer')) && Number.isInteger(Reflect.get(Object(found), 'offset')),
)
type Decoded = { records: object[] }
const batchDecoder = z.custom<(from: unknown) => Promise<Decoded>>((found) => typeof found === 'function')

/** What the batches of one answer have taken already. Their bytes are slices of it. */
const spent = new WeakMap<ArrayBufferLike, { bytes: number; records: number }>()
/** What has been decoded of a batch and is not handed on yet, by the decoder that stands at its beginning meanwhile. */
const remaining = new WeakMap<object, { records: object[]; end: number }>()
let isDone = false

/**
 * Makes kafkajs survive every record batch that a broker may hand out, however many records it has: all compressions are read, under a limit, and a batch
 * that can't be unpacked stands in its place as one record, which {@link unreadable} tells from all others. Of its own accord the library
 * would throw, and its consumer stop or fetch the same for ever, whatever lies on the other partitions.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function guardRecordBatches(): void {
  if (isDone) return
  const { cache, resolve } = createRequire(import.meta.url)
  const require = createRequire(import.meta.url)
  const path = resolve('kafkajs/src/protocol/recordBatch/v0/decoder.js')
  if (cache[resolve('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js')] !== undefined) {
    throw new Error('kafkajs has been used before its record batches were guarded')
  }
  const decode = batchDecoder.parse(require(path))
  const module = cache[path]
  if (module === undefined) throw new Error('kafkajs is not as expected: it has no decoder of record batches')
  module.exports = async (from: unknown) => inPortions(Object(from), () => decodeGuarded(decode, Object(from)))
  registerCodecs(
    (packed) => ANSWER_BYTES - spentOf(packed).bytes,
    (packed, bytes) => {
      spentOf(packed).bytes += bytes
    },
  )
  isDone = true
}

/** Why the batch that this record stands for can't be read; null for a record like any other. */
export function unreadable(message: KafkaMessage): SluiceError | null {
  const fault: unknown = Reflect.get(message, UNREADABLE)
  return fault instanceof SluiceError ? fault : null
}

/** Hands on a part of a long batch, and leaves the decoder at the batch's beginning until all of it has been asked for. */
async function inPortions(from: object, decode: () => Promise<Decoded>): Promise<Decoded> {
  const { offset } = cursor.parse(from)
  const known = remaining.get(from)
  const { records } = known ?? (await decode())
  if (records.length <= PORTION_RECORDS) {
    if (known !== undefined) Reflect.set(from, 'offset', known.end)
    remaining.delete(from)
    return { records }
  }
  remaining.set(from, { records: records.slice(PORTION_RECORDS), end: known?.end ?? cursor.parse(from).offset })
  Reflect.set(from, 'offset', offset)
  return { records: records.slice(0, PORTION_RECORDS) }
}

async function decodeGuarded(decode: (from: unknown) => Promise<Decoded>, from: object): Promise<Decoded> {
  const { buffer, offset } = cursor.parse(from)
  const batch = buffer.subarray(offset)
  const isWhole = batch.length >= field.end && batch.length >= field.epoch + batch.readInt32BE(field.length)
  if (!isWhole) return await decode(from)
  const isCompressed = (batch.readInt16BE(field.attributes) & COMPRESSION) !== 0
  const answer = spentOf(batch)
  const isFirst = answer.bytes === 0 && answer.records === 0
  try {
    answer.records += batch.readInt32BE(field.count)
    // One that is not compressed can be no longer than the topic lets it be.
    if (answer.records > ANSWER_RECORDS && (isCompressed || !isFirst)) throw new TooLong()
    return await decode(from)
  } catch (error) {
    if (error instanceof TooLong && !isFirst) throw comeAgain()
    Reflect.set(from, 'offset', offset + field.epoch + batch.readInt32BE(field.length))
    return standIn(batch, error)
  }
}

/** Later, when the batches before it are done with, this one may have the whole of an answer to itself. */
function comeAgain(): Error {
  const error = new Error('the answer has as much in it as may be unpacked at once')
  error.name = COME_AGAIN
  return error
}

/** One record at the batch's last offset: whoever reads on from anywhere in the batch meets it. */
function standIn(batch: Buffer, cause: unknown): Decoded {
  const first = batch.readBigInt64BE(0)
  const last = first + BigInt(batch.readInt32BE(field.lastOffsetDelta))
  const why =
    cause instanceof TooLong
      ? `unpacks to more than ${ANSWER_BYTES / 1_048_576} MiB or ${ANSWER_RECORDS} records`
      : 'is damaged'
  const fault = new SluiceError(
    'BATCH_UNREADABLE',
    `the record batch from offset ${first} to ${last} ${why}: nothing of it was read`,
    { cause },
  )
  const batchContext = {
    inTransaction: (batch.readInt16BE(field.attributes) & IN_TRANSACTION) !== 0,
    producerId: batch.readBigInt64BE(field.producerId).toString(),
  }
  return {
    records: [
      {
        offset: last.toString(),
        timestamp: '0',
        attributes: 0,
        key: null,
        value: null,
        headers: {},
        isControlRecord: false,
        batchContext,
        [UNREADABLE]: fault,
      },
    ],
  }
}

function spentOf(slice: Buffer): { bytes: number; records: number } {
  const found = spent.get(slice.buffer) ?? { bytes: 0, records: 0 }
  spent.set(slice.buffer, found)
  return found
}
