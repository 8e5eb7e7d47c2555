import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappy'

/** What was packed is longer than the reader is willing to unpack. */
export class TooLong extends Error {
  override readonly name = 'TooLong'
}

/** @param limit bytes; @throws {TooLong} beyond it; any other error where the bytes are damaged */
type Unpack = (packed: Buffer, limit: number) => Promise<Buffer> | Buffer

const LZ4_MAGIC = 0x184d2204
const LZ4_WINDOW = 65_536
const XERIAL_MAGIC = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0])
const XERIAL_HEADER = 16

/** The four compressions of Kafka's record batches. None of them ever holds more than `limit` and one block. */
export const unpackers = {
  gzip: zlibUnpacker(promisify(gunzip)),
  snappy: unpackSnappy,
  lz4: unpackLz4,
  zstd: zlibUnpacker(promisify(zstdDecompress)),
} as const satisfies Readonly<Record<string, Unpack>>

/**
 * Makes kafkajs read all compressions, each under a limit: of its own accord it knows gzip alone, without any, and one message of a mebibyte
 * may then fill memory with hundreds. Only reading: nothing of ours compresses.
 * @param limitFor bytes that this packed content may unpack to
 * @param unpacked told how many it were
 */
export function registerCodecs(
  limitFor: (packed: Buffer) => number,
  unpacked: (packed: Buffer, bytes: number) => void,
): void {
  const { GZIP, Snappy, LZ4, ZSTD } = kafkajs.CompressionTypes
  for (const [type, unpack] of [
    [GZIP, unpackers.gzip],
    [Snappy, unpackers.snappy],
    [LZ4, unpackers.lz4],
    [ZSTD, unpackers.zstd],
  ] as const) {
    kafkajs.CompressionCodecs[type] = () => ({
      compress: () => Promise.reject(new TypeError('messages are written uncompressed')),
      async decompress(packed: Buffer) {
        const bytes = await unpack(packed, limitFor(packed))
        unpacked(packed, bytes.length)
        return bytes
      },
    })
  }
}

function zlibUnpacker(unzip: (packed: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>): Unpack {
  return async (packed, limit) => {
    try {
      return await unzip(packed, { maxOutputLength: limit })
    } catch (error) {
      if (error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') throw new TooLong()
      throw error
    }
  }
}

/** Blocks in the framing of the Java clients, or one block without any. */
function unpackSnappy(packed: Buffer, limit: number): Buffer {
  if (!packed.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return unpackSnappyBlock(packed, limit)
  const parts: Buffer[] = []
  let left = limit
  for (let at = XERIAL_HEADER; at < packed.length; ) {
    const length = packed.readInt32BE(at)
    const part = unpackSnappyBlock(slice(packed, at + 4, length), left)
    left -= part.length
    parts.push(part)
    at += 4 + length
  }
  return Buffer.concat(parts)
}

/** A block begins with the length of what is in it, which the library takes at its word and then holds it to. */
function unpackSnappyBlock(block: Buffer, limit: number): Buffer {
  let length = 0
  for (let at = 0, scale = 1; ; at++, scale *= 128) {
    const byte = block.readUInt8(at)
    length += (byte & 0x7f) * scale
    if (byte < 0x80) break
    if (at === 4) throw new RangeError('a length has more than five bytes')
  }
  if (length > limit) throw new TooLong()
  return Buffer.from(snappy.uncompressSync(block, { asBuffer: true }))
}

/** A frame: flags, the largest size of a block, perhaps a size and a dictionary's id, a checksum, blocks, an end mark. */
function unpackLz4(packed: Buffer, limit: number): Buffer {
  if (packed.readUInt32LE(0) !== LZ4_MAGIC) throw new RangeError('no LZ4 frame')
  const flags = packed.readUInt8(4)
  const blocksHaveChecksum = (flags & 0x10) !== 0
  const blocksStandAlone = (flags & 0x20) !== 0
  const blockBytes = 2 ** (8 + 2 * ((packed.readUInt8(5) >> 4) & 7))
  const parts: Buffer[] = []
  let left = limit
  let window: Buffer = Buffer.alloc(0)
  for (let at = 7 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0); ; ) {
    const word = packed.readUInt32LE(at)
    if (word === 0) return Buffer.concat(parts)
    const length = word & 0x7fffffff
    const block = slice(packed, at + 4, length)
    const part = word > 0x7fffffff ? block : unpackLz4Block(block, blockBytes, blocksStandAlone ? null : window)
    left -= part.length
    if (left < 0) throw new TooLong()
    parts.push(part)
    if (!blocksStandAlone) window = Buffer.concat([window, part]).subarray(-LZ4_WINDOW)
    at += 4 + length + (blocksHaveChecksum ? 4 : 0)
  }
}

/** The library wants the size in front; a block that turns out smaller is cut to what is there, a larger one refused. */
function unpackLz4Block(block: Buffer, most: number, dictionary: Buffer | null): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(most)
  return lz4.uncompressSync(Buffer.concat([size, block]), dictionary)
}

function slice(packed: Buffer, from: number, length: number): Buffer {
  if (length < 0 || from + length > packed.length) throw new RangeError('a block ends beyond the bytes that are there')
  return packed.subarray(from, from + length)
}
