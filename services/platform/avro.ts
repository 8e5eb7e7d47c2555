import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { LARGEST_LONG } from '../domain/envelope-json.ts'

const schemasFolder = join(import.meta.dirname, '../../schemas')

/** The text of a schema file. @param name file name in `schemas/` without its ending */
export function schemaText(name: string): string {
  return readFileSync(join(schemasFolder, `${name}.avsc`), 'utf8')
}

/** The type of a schema file. @param name file name in `schemas/` without its ending */
export function schemaType(name: string): avro.Type {
  return avro.Type.forSchema(JSON.parse(schemaText(name)))
}

/**
 * Checks that `bytes` from `offset` on have the shape of one value of `type`, with no length or count beyond the bytes that
 * are there, and no number beyond its type. The library believes counts: ten hostile bytes that announce two thousand million
 * strings would keep it busy until memory ends. And it reads 32-bit numbers of any size, but does not write them again: a lane
 * would stand before such a message for ever. Longs beyond LARGEST_LONG it would read wrongly. This walk touches each byte at most once.
 * @throws {RangeError} where they have not
 */
export function assertBounded(type: avro.Type, bytes: Buffer, offset: number): void {
  const end = walkOf(type)(bytes, offset)
  if (end !== bytes.length) throw new RangeError(`${bytes.length - end} bytes left over`)
}

/**
 * The same for the first fields of a record: nothing is said of what stands behind them.
 * @param count how many
 * @throws {RangeError} where they have not that shape
 */
export function assertBeginningBounded(
  type: avro.types.RecordType,
  count: number,
  bytes: Buffer,
  offset: number,
): void {
  let at = offset
  for (let n = 0; n < count; n++) {
    const field = type.fields[n]
    if (field !== undefined) at = walkOf(field.type)(bytes, at)
  }
}

/** Over one value: from where it begins to where it ends. */
type Walk = (bytes: Buffer, from: number) => number

/** Types do not change: what is to be walked over is found out once. */
const walks = new WeakMap<avro.Type, Walk>()

function walkOf(type: avro.Type): Walk {
  const known = walks.get(type)
  if (known !== undefined) return known
  let walk: Walk | null = null
  // Before it is made: a type may hold itself.
  walks.set(type, (bytes, from) => (walk ?? walkOf(type))(bytes, from))
  walk = makeWalk(type)
  walks.set(type, walk)
  return walk
}

function makeWalk(type: avro.Type): Walk {
  if (is(type, avro.types.RecordType)) {
    const fields = type.fields.map((field) => walkOf(field.type))
    return (bytes, from) => {
      let at = from
      for (const walk of fields) at = walk(bytes, at)
      return at
    }
  }
  if (is(type, avro.types.UnwrappedUnionType) || is(type, avro.types.WrappedUnionType)) {
    const branches = type.types.map(walkOf)
    return (bytes, from) => {
      const [index, at] = varint(bytes, from)
      const branch = branches[index]
      if (branch === undefined) throw new RangeError('a union has no such branch')
      return branch(bytes, at)
    }
  }
  if (is(type, avro.types.ArrayType)) {
    const walk = walkOf(type.itemsType)
    return (bytes, from) => walkBlocks(bytes, from, (at) => walk(bytes, at))
  }
  if (is(type, avro.types.MapType)) {
    const walk = walkOf(type.valuesType)
    return (bytes, from) => walkBlocks(bytes, from, (at) => walk(bytes, walkKey(bytes, at)))
  }
  if (is(type, avro.types.FixedType)) {
    const { size } = type
    return (bytes, from) => within(bytes, from + size)
  }
  if (is(type, avro.types.LogicalType)) return walkOf(type.underlyingType)
  switch (type.typeName) {
    case 'null':
      return (_, from) => from
    case 'boolean':
      return (bytes, from) => within(bytes, from + 1)
    case 'float':
      return (bytes, from) => within(bytes, from + 4)
    case 'double':
      return (bytes, from) => within(bytes, from + 8)
    case 'string':
    case 'bytes':
      return walkLengthPrefixed
    case 'int':
      return (bytes, from) => {
        const [value, at] = varint(bytes, from)
        if (value !== (value | 0)) throw new RangeError('a number is beyond 32 bits')
        return at
      }
    default:
      return (bytes, from) => {
        const [value, at] = varint(bytes, from)
        if (Math.abs(value) > LARGEST_LONG) throw new RangeError('a number is beyond 52 bits')
        return at
      }
  }
}

function is<T extends avro.Type>(type: avro.Type, kind: new (...args: never[]) => T): type is T {
  return type instanceof kind
}

function walkLengthPrefixed(bytes: Buffer, from: number): number {
  const [length, at] = varint(bytes, from)
  if (length < 0) throw new RangeError('a length is negative')
  return within(bytes, at + length)
}

const LOST_KEY = Buffer.from('__proto__')

/** The library would silently drop an entry of that name. */
function walkKey(bytes: Buffer, from: number): number {
  const end = walkLengthPrefixed(bytes, from)
  // However many bytes its length is written in.
  if (bytes.subarray(varint(bytes, from)[1], end).equals(LOST_KEY)) {
    throw new RangeError('a map has a key that can not be kept')
  }
  return end
}

function walkBlocks(bytes: Buffer, from: number, walkOne: (at: number) => number): number {
  let at = from
  for (;;) {
    let [count, next] = varint(bytes, at)
    if (count === 0) return next
    if (count < 0) {
      count = -count
      next = varint(bytes, next)[1]
    }
    // Items without bytes of their own (nulls) are bounded too, or a count alone could fill memory.
    if (count > bytes.length - next) throw new RangeError('a count is beyond the bytes that are there')
    for (let item = 0; item < count; item++) next = walkOne(next)
    at = next
  }
}

function within(bytes: Buffer, at: number): number {
  if (at > bytes.length) throw new RangeError('the bytes end too early')
  return at
}

/** Zigzag varint: its value and the offset behind it. */
function varint(bytes: Buffer, from: number): [number, number] {
  let value = 0
  for (let at = from, scale = 1; at < from + 10; at++, scale *= 128) {
    const byte = bytes[at]
    if (byte === undefined) throw new RangeError('the bytes end too early')
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return [value % 2 === 0 ? value / 2 : -(value + 1) / 2, at + 1]
  }
  throw new RangeError('a number is longer than ten bytes')
}
