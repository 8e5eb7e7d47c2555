import { constants, crc32, createInflateRaw, type InflateRaw, inflateRawSync } from 'node:zlib'
import { z } from 'zod'
import { codeOf } from '../../platform/error-code.ts'
import { type FileWindow, openFileWindow } from './file-window.ts'

/*
 * A WARC's bytes as they are without compression, each with its place in the file. The format's library for Node (warcio) is not used: it takes a
 * damaged gzip member for text that is not packed, finds no next record, and bounds neither a line nor what it unpacks at once.
 */

/** Where a byte lies. */
export type Place = {
  /** in the file; where it is packed: of the first byte of its gzip member */
  offset: number
  /** unpacked bytes of that member before it; 0 where the file is not packed */
  within: number
}

/** Some bytes, unpacked; good until the next are asked for. */
type Chunk = Place & { bytes: Buffer; firstOfMember: boolean }

/** What is wrong in the file: from where, and what was expected there. */
export type Damage = { offset: number; expected: string }

type Source = {
  /** The next bytes, at least one; null at the end, or where damage begins. */
  next(): Promise<Chunk | null>
  damage(): Damage | null
  /** Goes on behind damage, where a record may begin. */
  passDamage(): Promise<void>
  /** Ends what is under way. */
  stop(): Promise<void>
}

/** What a record begins with. */
export const RECORD_START = Buffer.from('WARC/1.')
/** What stands behind a record's block. */
export const RECORD_END = Buffer.from('\r\n\r\n')
/** Behind a record more line ends than it should have are passed over, so many bytes of them in one look. */
const LOOK_BEHIND_RECORD = 64
const VERSION_LINE_BYTES = RECORD_START.length + 3
const CR = 13
const LF = 10

/** 1f 8b, and deflate, the only method there is. */
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b, 8])
const [HEADER_CHECKSUM, EXTRA, NAME, COMMENT, RESERVED] = [2, 4, 8, 16, 0xe0] as const
const GZIP_TRAILER = 8
const LONGEST_GZIP_HEADER = 4096
const INFLATE_CHUNK = 65_536
/** A member of so many bytes is unpacked at once, if it unpacks to no more than so many. */
const SMALL_MEMBER = 131_072
const LONGEST_SMALL = 1_048_576
/** Enough of a member to see what it begins with: they unpack to half a megabyte at most. */
const TRIED_BYTES = 512
/** How far before the place where damage was noticed the next member is looked for. Bounded, or members could be made that are tried for ever. */
const LOOK_BACK = 262_144
/** So many damaged members have the next one looked for close behind them, and one more for so many bytes of the file; behind others, less close. */
const TRIES_AT_LEAST = 500
const BYTES_A_TRY = 100_000
const versionLine = /^WARC\/1\.\d\r\n/

/** A WARC's bytes, read from one end to the other. */
export type Unpacked = Awaited<ReturnType<typeof openUnpacked>>

/** @throws {Error} of the system, when the file can't be opened or read */
export async function openUnpacked(path: string) {
  const window = await openFileWindow(path)
  const packed = isGzip(await window.at(0, 2))
  const source = packed ? packedSource(window) : plainSource(window)
  let chunk: Chunk = { bytes: Buffer.alloc(0), offset: 0, within: 0, firstOfMember: false }
  let at = 0
  /** begins the next member */
  let pending: Chunk | null = null

  const rest = (): Buffer => chunk.bytes.subarray(at)
  const take = (count: number): void => {
    at += count
  }
  const place = (): Place =>
    packed ? { offset: chunk.offset, within: chunk.within + at } : { offset: chunk.offset + at, within: 0 }
  const atMember = (): boolean => chunk.firstOfMember && at === 0

  async function next(): Promise<Chunk | null> {
    const found = pending ?? (await source.next())
    pending = null
    return found
  }

  async function more(): Promise<boolean> {
    if (at < chunk.bytes.length) return true
    const found = await next()
    if (found === null) return false
    chunk = found
    at = 0
    return true
  }

  /** As many bytes as asked for, or as many as the file or the gzip member still has. */
  async function peek(least: number): Promise<Buffer> {
    while (await more()) {
      if (rest().length >= least) break
      const had = { ...place(), bytes: Buffer.from(rest()), firstOfMember: atMember() }
      const found = await next()
      chunk = had
      at = 0
      if (found === null) break
      if (found.firstOfMember) {
        pending = found
        break
      }
      chunk = { ...had, bytes: Buffer.concat([had.bytes, found.bytes]) }
    }
    return rest()
  }

  async function startsWith(text: Buffer): Promise<boolean> {
    return (await peek(text.length)).subarray(0, text.length).equals(text)
  }

  async function passDamage(): Promise<void> {
    at = chunk.bytes.length
    pending = null
    await source.passDamage()
  }

  return {
    packed,
    size: window.size,
    /** Makes {@link rest} hold something, where there is more. @returns false at the end, or where damage begins */
    more,
    /** what is read and not taken; good until the next call of anything that reads */
    rest,
    take,
    /** of the next byte, once {@link more} said that there is one */
    place,
    /** whether the next byte is the first of a gzip member */
    atMember,
    startsWith,
    /** what is wrong behind the last bytes; null: nothing */
    damage: source.damage,

    /** Goes on to where a record begins, or may begin, from the next byte on. @returns false where there is none */
    async findRecord(): Promise<boolean> {
      for (;;) {
        if (!(await more())) {
          if (source.damage() === null) return false
          // Behind it there may be more of it.
          await passDamage()
          continue
        }
        const found = rest().indexOf(RECORD_START)
        if (found >= 0) {
          take(found)
          const line = await peek(VERSION_LINE_BYTES)
          if (versionLine.test(line.toString('latin1', 0, VERSION_LINE_BYTES))) return true
          take(1)
          continue
        }
        const had = rest().length
        if (had >= RECORD_START.length) take(had - RECORD_START.length + 1)
        else if ((await peek(RECORD_START.length)).length === had) take(had)
      }
    },

    /**
     * Whether the file goes on, so many bytes from here, as it must behind a record. Where it is packed only reading on can tell: then true.
     */
    async endsRecord(length: number): Promise<boolean> {
      if (packed) return true
      const behind = await window.look(place().offset + length, LOOK_BEHIND_RECORD)
      if (!behind.subarray(0, RECORD_END.length).equals(RECORD_END)) return false
      const start = behind.findIndex((byte, at) => at >= RECORD_END.length && byte !== CR && byte !== LF)
      return start < 0 || RECORD_START.equals(behind.subarray(start, start + RECORD_START.length))
    },
    async close(): Promise<void> {
      await source.stop()
      await window.close()
    },
  }
}

/** A file that is not packed: its bytes as they stand. */
function plainSource(window: FileWindow): Source {
  let position = 0
  return {
    async next() {
      const bytes = await window.at(position)
      if (bytes.length === 0) return null
      const chunk = { bytes, offset: position, within: 0, firstOfMember: false }
      position += bytes.length
      return chunk
    },
    damage: () => null,
    passDamage: async () => {},
    stop: async () => {},
  }
}

/** Gzip members, one behind another. Node's own gunzip does not tell where a member begins. */
function packedSource(window: FileWindow): Source {
  let position = 0
  let member: Member | null = null
  let damage: (Damage & { noticedAt: number }) | null = null
  let triesLeft = TRIES_AT_LEAST + window.size / BYTES_A_TRY

  async function openMember(): Promise<Member | null> {
    const header = gzipHeaderBytes(await window.at(position, LONGEST_GZIP_HEADER))
    if (header !== null) return await inflateMember(window, position, position + header)
    damage = { offset: position, expected: 'expected a gzip member or the end of the file', noticedAt: position }
    return null
  }

  return {
    async next() {
      while (damage === null && (member !== null || position < window.size)) {
        member ??= await openMember()
        if (member === null) break
        const { offset, within } = member
        const found = await member.next()
        if (found.kind === 'bytes') return { bytes: found.bytes, offset, within, firstOfMember: within === 0 }
        member = null
        if (found.kind === 'end') position = found.position
        else damage = { offset, expected: found.expected, noticedAt: found.position }
      }
      return null
    },
    damage: () => damage,
    async passDamage() {
      if (damage === null) return
      // A member that was cut is noticed a little way into the next one.
      const near = Math.max(damage.offset + 1, damage.noticedAt - LOOK_BACK)
      // Members that each hold the next ones would be tried for longer than anybody waits.
      position = await findMember(window, triesLeft-- > 0 ? near : damage.offset + LOOK_BACK)
      damage = null
    },
    async stop() {
      await member?.stop()
    },
  }
}

type Member = {
  offset: number
  /** unpacked bytes that were given out */
  within: number
  next(): Promise<
    | { kind: 'bytes'; bytes: Buffer }
    /** whole, its checksum right; `position` is behind it */
    | { kind: 'end'; position: number }
    /** `position` is about where that was noticed */
    | { kind: 'damage'; position: number; expected: string }
  >
  stop(): Promise<void>
}

/**
 * @param offset of the gzip member
 * @param data where its deflate stream begins
 */
async function inflateMember(window: FileWindow, offset: number, data: number): Promise<Member> {
  const { engine, chunks } = inflateSmall(await window.at(data, SMALL_MEMBER)) ?? inflateLarge(window, data)
  let checksum = 0

  const member: Member = {
    offset,
    within: 0,
    async next() {
      try {
        const { value, done } = await chunks.next()
        if (done !== true) {
          checksum = crc32(value, checksum)
          member.within += value.length
          return { kind: 'bytes', bytes: value }
        }
      } catch (error) {
        const position = data + engine.bytesWritten
        const cut = codeOf(error) === 'Z_BUF_ERROR'
        return {
          kind: 'damage',
          position,
          expected: cut
            ? 'expected a whole gzip member, and the file ends in it'
            : 'expected a gzip member, and it can not be unpacked',
        }
      }
      const position = data + engine.bytesWritten
      const trailer = await window.look(position, GZIP_TRAILER)
      if (trailer.length < GZIP_TRAILER)
        return { kind: 'damage', position, expected: 'expected a whole gzip member, and the file ends in it' }
      if (trailer.readUInt32LE(0) !== checksum || trailer.readUInt32LE(4) !== member.within % 2 ** 32)
        return { kind: 'damage', position, expected: 'expected a gzip member that agrees with its checksum' }
      return { kind: 'end', position: position + GZIP_TRAILER }
    },
    async stop() {
      await chunks.return?.()
    },
  }
  return member
}

/** The unpacked bytes of a deflate stream; the engine tells how many it took, once they are read. */
type Inflating = { engine: { readonly bytesWritten: number }; chunks: AsyncIterator<Buffer> | Iterator<Buffer> }

const inflated = z.object({ buffer: z.instanceof(Buffer), engine: z.object({ bytesWritten: z.number() }) })

/**
 * At once, where the bytes hold all of a stream that is not long: setting up an engine takes longer than most records do.
 * @returns null when they do not
 */
function inflateSmall(bytes: Buffer): Inflating | null {
  try {
    const options = { info: true, chunkSize: INFLATE_CHUNK, maxOutputLength: LONGEST_SMALL }
    const { buffer, engine } = inflated.parse(inflateRawSync(bytes, options))
    return { engine, chunks: (buffer.length === 0 ? [] : [buffer]).values() }
  } catch {
    // Longer, or damaged: little by little it is seen what it is.
    return null
  }
}

function inflateLarge(window: FileWindow, data: number): Inflating {
  const engine = createInflateRaw({ chunkSize: INFLATE_CHUNK })
  void feed(engine, window, data)
  return { engine, chunks: engine[Symbol.asyncIterator]() }
}

/** Gives an engine what it asks for, until it has had its stream's last byte. */
async function feed(engine: InflateRaw, window: FileWindow, data: number): Promise<void> {
  try {
    for (let at = data; !engine.destroyed; ) {
      const bytes = await window.at(at)
      if (bytes.length === 0) {
        engine.end()
        return
      }
      // The buffer is filled anew only when the engine is done with it.
      await new Promise((resolve) => engine.write(bytes, resolve))
      at += bytes.length
      if (data + engine.bytesWritten < at) return
    }
  } catch (error) {
    engine.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

function isGzip(bytes: Buffer): boolean {
  return bytes[0] === GZIP_MAGIC[0] && bytes[1] === GZIP_MAGIC[1]
}

/**
 * The length of the gzip header that some bytes begin with (RFC 1952).
 * @returns null when they begin with none, or with one that is longer than they are
 */
function gzipHeaderBytes(bytes: Buffer): number | null {
  if (bytes.length < 10 || !bytes.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC)) return null
  const flags = bytes[3] ?? 0
  if ((flags & RESERVED) !== 0) return null
  let at = 10
  if ((flags & EXTRA) !== 0) {
    if (bytes.length < at + 2) return null
    at += 2 + bytes.readUInt16LE(at)
  }
  for (const flag of [NAME, COMMENT]) {
    if ((flags & flag) === 0) continue
    const end = bytes.indexOf(0, at)
    if (end < 0) return null
    at = end + 1
  }
  if ((flags & HEADER_CHECKSUM) !== 0) at += 2
  return at <= Math.min(bytes.length, LONGEST_GZIP_HEADER) ? at : null
}

/** The first place from a position on where a gzip member begins that holds a record's beginning; else the end of the file. */
async function findMember(window: FileWindow, from: number): Promise<number> {
  for (let position = from; position < window.size; ) {
    const bytes = await window.at(position, GZIP_MAGIC.length)
    const found = bytes.indexOf(GZIP_MAGIC)
    if (found < 0) {
      position += Math.max(1, bytes.length - GZIP_MAGIC.length + 1)
      continue
    }
    position += found
    if (beginsRecord(await window.at(position, LONGEST_GZIP_HEADER + TRIED_BYTES))) return position
    position += 1
  }
  return window.size
}

/** Whether some bytes are the first of a gzip member with a record's beginning in it. */
function beginsRecord(bytes: Buffer): boolean {
  const header = gzipHeaderBytes(bytes)
  if (header === null) return false
  try {
    const unpacked = inflateRawSync(bytes.subarray(header, header + TRIED_BYTES), {
      finishFlush: constants.Z_SYNC_FLUSH,
    })
    return unpacked.subarray(0, RECORD_START.length).equals(RECORD_START)
  } catch {
    return false
  }
}
