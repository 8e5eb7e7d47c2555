import type { IHeaders } from 'kafkajs'
import { z } from 'zod'
import { mendClass } from './mend-class.ts'

/** A header as it stands in the record. */
export type RecordHeader = { name: string; value: Buffer | null }

const ORDERED = Symbol('headers in the order of the record')

type Decoder = { readVarIntArray(reader: unknown): unknown[] }
/** Not looked at one by one: a message may have millions. */
const headerList = z.custom<Array<{ key: string; value: Buffer | null }>>(Array.isArray)

/**
 * Makes kafkajs hand out a record's headers in their order, by {@link orderedHeaders} and in no other way. It decodes them to a
 * list and then folds that into an object, which mixes up repeated names and moves names like `9` to the front; what is
 * held must be kept as it came. Arrays of variable length are read for headers only, so that is where the list is caught.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function keepHeaderOrder(): void {
  const harm = 'headers of held messages would lose their order'
  mendClass<Decoder>('protocol/decoder.js', ['readVarIntArray'], harm, (prototype) => {
    const read = prototype.readVarIntArray
    prototype.readVarIntArray = function (reader) {
      const list = read.call(this, reader)
      // One for all records without headers: in a batch of nothing else they would take as much as all the rest.
      return list.length === 0 ? noHeaders : foldedInOrder(list)
    }
  })
}

/** The library's own fold copies all headers for each one: a message with ten thousand would take half a minute. */
function foldedInOrder(list: unknown[]): unknown[] {
  const folded = Object.defineProperty({}, ORDERED, { value: list })
  return Object.defineProperty(list, 'reduce', { value: () => folded })
}

const noHeaders = foldedInOrder([])

/**
 * A message's headers in their order, repeated ones and ones without value included.
 * @throws {Error} when the message was not read after {@link keepHeaderOrder}
 */
export function orderedHeaders(headers: IHeaders): RecordHeader[] {
  return headerList.parse(Reflect.get(headers, ORDERED)).map(({ key, value }) => ({ name: key, value }))
}

/** What a message's headers take in the record, in bytes, about; 0 for what was not read from one. */
export function headersLength(headers: IHeaders): number {
  let length = 0
  for (const { key, value } of headerList.parse(Reflect.get(headers, ORDERED) ?? [])) {
    length += 2 + key.length + (value?.length ?? 0)
  }
  return length
}

/**
 * A message's headers for a producer: written in their order, repeated ones and ones without value included. The library makes a list of them from an
 * object's fields, each of which may hold several values: this object has one field, whose values are all headers with their own names.
 */
export function headersInOrder(headers: readonly RecordHeader[]): IHeaders {
  const entries = headers.map(({ name, value }) => (value === null ? withoutValue(name) : { key: name, value }))
  return { all: Object.defineProperty<string[]>([], 'map', { value: () => entries }) }
}

/** The library measures each value before it asks whether there is one, and can't measure what is not there. */
function withoutValue(key: string): { key: string; value: string | null } {
  const asked = { times: 0 }
  return {
    key,
    get value() {
      asked.times += 1
      // Measured, looked at, written; and again where it is sent again.
      return asked.times % 3 === 1 ? '' : null
    },
  }
}
