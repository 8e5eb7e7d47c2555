import { promisify } from 'node:util'
import { brotliDecompress, constants, gunzip, inflate, inflateRaw, zstdDecompress } from 'node:zlib'
import { codeOf } from '../../platform/error-code.ts'
import { type Field, fieldOf, fieldsOf, linesOf, parseFields, textOf } from './fields.ts'

/** An HTTP request or response as a recorder wrote it: its first line, its fields, and the bytes behind its head. */
export type HttpMessage = { firstLine: string; fields: Field[]; body: Buffer }

const HEAD_END = Buffer.from('\r\n\r\n')
const BARE_HEAD_END = Buffer.from('\n\n')

const LONGEST_HEAD = 262_144

/**
 * @param block of a record of `application/http`; a head without an end is all of it
 * @returns null when the head is longer than 256 KiB
 */
export function parseHttpMessage(block: Buffer): HttpMessage | null {
  const start = block.subarray(0, LONGEST_HEAD)
  const ends = [HEAD_END, BARE_HEAD_END].map((end) => ({ at: start.indexOf(end), length: end.length }))
  const [end = { at: start.length, length: 0 }] = ends.filter(({ at }) => at >= 0).sort((a, b) => a.at - b.at)
  if (end.at === LONGEST_HEAD) return null
  const [firstLine = '', ...lines] = linesOf(textOf(block.subarray(0, end.at)))
  return { firstLine, fields: parseFields(lines), body: block.subarray(end.at + end.length) }
}

/** The status of a response; null where its first line is no status line. */
export function statusOf({ firstLine }: HttpMessage): number | null {
  const status = /^(?:HTTP\/\d+(?:\.\d+)?|ICY) +(\d{3})(?: |$)/i.exec(firstLine)?.[1]
  return status === undefined ? null : Number(status)
}

/** A body as it was before it was sent. */
export type Body = {
  bytes: Buffer
  /** less came than was announced, or the announcement is contradicted */
  cut: boolean
}

/**
 * Undoes the transfer and content encodings of a response. Recorders that have undone one have often left the field that tells of it: what is
 * not encoded is taken as it stands.
 * @param longest bytes that it may unpack to
 * @returns what was expected instead, where it can't be undone
 */
export async function bodyOf({ fields, body }: HttpMessage, longest: number): Promise<Body | string> {
  const chunked = isChunked(fields) ? joinChunks(body) : null
  let bytes = chunked?.bytes ?? body
  let cut = chunked?.cut ?? disagrees(fields, bytes)
  const codings = fieldsOf(fields, 'content-encoding')
    .flatMap((value) => value.toLowerCase().split(','))
    .map((name) => name.trim())
  const applied = codings.filter((name) => name !== '' && name !== 'identity')
  if (applied.length > MOST_CODINGS) return `expected at most ${MOST_CODINGS} content encodings`
  for (const name of applied.reverse()) {
    const coding = contentCodings.get(name)
    if (coding === undefined) return `expected a content encoding of ${[...contentCodings.keys()].join(', ')}`
    const undone = await undo(coding, bytes, longest)
    if (undone === null) {
      // Then the announced length is of other bytes, and tells nothing of these.
      cut = chunked?.cut ?? false
      continue
    }
    if (typeof undone === 'string') return undone
    bytes = undone.bytes
    cut ||= undone.cut
  }
  return { bytes, cut }
}

/** Several are rare, and each could unpack to a thousand times as much. */
const MOST_CODINGS = 3

type Options = { maxOutputLength: number; finishFlush: number }
type Decode = (bytes: Buffer, options: Options) => Promise<Buffer>
type Coding = {
  decode: Decode
  /** whether bytes begin as what is so encoded does; null where nothing tells */
  begins: ((bytes: Buffer) => boolean) | null
  /** for what is whole, and for what is cut short */
  flush: { whole: number; cut: number }
}

const decodeInflate: Decode = promisify<Buffer, Options, Buffer>(inflate)
const decodeInflateRaw: Decode = promisify<Buffer, Options, Buffer>(inflateRaw)
const zlibFlush = { whole: constants.Z_FINISH, cut: constants.Z_SYNC_FLUSH }
const gzipCoding: Coding = {
  decode: promisify<Buffer, Options, Buffer>(gunzip),
  begins: (bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b,
  flush: zlibFlush,
}
const contentCodings = new Map<string, Coding>([
  ['gzip', gzipCoding],
  ['x-gzip', gzipCoding],
  [
    'deflate',
    {
      // Some servers send it without the header that it should have.
      decode: (bytes, options) => (hasZlibHeader(bytes) ? decodeInflate : decodeInflateRaw)(bytes, options),
      begins: null,
      flush: zlibFlush,
    },
  ],
  [
    'br',
    {
      decode: promisify<Buffer, Options, Buffer>(brotliDecompress),
      begins: null,
      flush: { whole: constants.BROTLI_OPERATION_FINISH, cut: constants.BROTLI_OPERATION_FLUSH },
    },
  ],
  [
    'zstd',
    {
      decode: promisify<Buffer, Options, Buffer>(zstdDecompress),
      begins: (bytes) => bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528,
      flush: { whole: constants.ZSTD_e_end, cut: constants.ZSTD_e_flush },
    },
  ],
])

/** RFC 1950: the method is 8, and the first two bytes are a multiple of 31. */
function hasZlibHeader(bytes: Buffer): boolean {
  return bytes.length >= 2 && ((bytes[0] ?? 0) & 15) === 8 && bytes.readUInt16BE(0) % 31 === 0
}

/** @returns null when it is not so encoded; a sentence on what was expected when it is and can't be undone */
async function undo(coding: Coding, bytes: Buffer, longest: number): Promise<Body | string | null> {
  const { decode, begins, flush } = coding
  if (bytes.length === 0 || begins?.(bytes) === false) return null
  for (const way of ['whole', 'cut'] as const) {
    try {
      const undone = await decode(bytes, { maxOutputLength: longest, finishFlush: flush[way] })
      return { bytes: undone, cut: way === 'cut' }
    } catch (error) {
      if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') return `expected a body that unpacks to at most ${longest} bytes`
    }
  }
  return begins === null ? null : 'expected a body that can be unpacked'
}

function isChunked(fields: readonly Field[]): boolean {
  return fieldsOf(fields, 'transfer-encoding').some((value) => /(^|,)\s*chunked\s*$/i.test(value))
}

/** Whether a length was announced, and it is another. */
function disagrees(fields: readonly Field[], body: Buffer): boolean {
  const announced = fieldOf(fields, 'content-length')
  return announced !== null && announced !== String(body.length) && Number(announced) !== body.length
}

const LONGEST_CHUNK_LINE = 4096
const CR = 13
const LF = 10

/** @returns null when it is not in chunks */
function joinChunks(body: Buffer): Body | null {
  const joined = Buffer.allocUnsafeSlow(body.length)
  let filled = 0
  const done = (cut: boolean): Body => ({ bytes: joined.subarray(0, filled), cut })
  for (let at = 0; ; ) {
    const end = body.subarray(at, at + LONGEST_CHUNK_LINE).indexOf(LF)
    const line = end < 0 ? '' : body.toString('latin1', at, at + end)
    const size = /^\s*([0-9a-f]{1,8})\s*(;[^\n]*)?$/i.exec(line)?.[1]
    if (size === undefined) return at === 0 ? null : done(true)
    const length = Number.parseInt(size, 16)
    if (length === 0) return done(false)
    const from = at + end + 1
    const to = Math.min(from + length, body.length)
    const separator = body[to] === CR && body[to + 1] === LF ? 2 : body[to] === LF ? 1 : 0
    // What only looks like the size of a chunk is none.
    if (at === 0 && separator === 0 && to < body.length) return null
    filled += body.copy(joined, filled, from, to)
    if (separator === 0) return done(true)
    at = to + separator
  }
}
