import { crc32 } from 'node:zlib'

const VERSION = 20
const UTF8_NAMES = 0x0800
const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46
const END_BYTES = 22
/** 1 January 1980, the first day that it knows. */
const FIRST_DAY = 0x21

/** A zip archive of a few small files, uncompressed (APPNOTE.TXT 4.3, method 0). @param files name to content */
export function storedZip(files: ReadonlyMap<string, Uint8Array>): Buffer {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offset = 0
  for (const [path, bytes] of files) {
    const name = Buffer.from(path)
    // From the version that is needed up to the length of the extra field, both headers are the same.
    const common = Buffer.alloc(26)
    common.writeUInt16LE(VERSION, 0)
    common.writeUInt16LE(UTF8_NAMES, 2)
    common.writeUInt16LE(FIRST_DAY, 8)
    common.writeUInt32LE(crc32(bytes), 10)
    common.writeUInt32LE(bytes.length, 14)
    common.writeUInt32LE(bytes.length, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.alloc(LOCAL_BYTES)
    local.writeUInt32BE(0x504b0304, 0)
    common.copy(local, 4)
    const central = Buffer.alloc(CENTRAL_BYTES)
    central.writeUInt32BE(0x504b0102, 0)
    central.writeUInt16LE(VERSION, 4)
    common.copy(central, 6)
    central.writeUInt32LE(offset, 42)
    parts.push(local, name, bytes)
    directory.push(central, name)
    offset += LOCAL_BYTES + name.length + bytes.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(END_BYTES)
  end.writeUInt32BE(0x504b0506, 0)
  end.writeUInt16LE(files.size, 8)
  end.writeUInt16LE(files.size, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, listed, end])
}
