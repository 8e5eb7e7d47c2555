/** What a picture's container says of itself, read without decoding. */
export type Container = {
  /** pictures that a viewer may show one after the other */
  frames: number
  /** whether it runs to its own end mark */
  whole: boolean
}

const readers = new Map<string, (bytes: Buffer) => Container>([
  ['image/png', readPng],
  ['image/apng', readPng],
  ['image/gif', readGif],
  ['image/webp', readWebp],
])

/** Counts frames in the container, because decoders skip some of them silently. Types without frames count as one whole. */
export function readContainer(bytes: Uint8Array, mediaType: string): Container {
  const reader = readers.get(mediaType)
  if (reader === undefined) return { frames: 1, whole: true }
  return reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}

function readPng(bytes: Buffer): Container {
  let controls = 0
  let animated = false
  let stillApart = false
  let at = 8
  while (at + 12 <= bytes.length) {
    const type = bytes.toString('latin1', at + 4, at + 8)
    if (type === 'acTL') animated = true
    if (type === 'fcTL') controls++
    if (type === 'IDAT' && controls === 0) stillApart = true
    at += 12 + bytes.readUInt32BE(at)
    if (type === 'IEND') return { frames: frames(), whole: at <= bytes.length }
  }
  return { frames: frames(), whole: false }

  function frames(): number {
    if (!animated && controls === 0) return 1
    return controls + (stillApart ? 1 : 0)
  }
}

function readGif(bytes: Buffer): Container {
  let frames = 0
  let at = 13 + colourTable(bytes[10])
  while (at < bytes.length) {
    const kind = bytes[at]
    if (kind === 0x3b) return { frames, whole: true }
    if (kind === 0x2c) {
      frames++
      at = skipBlocks(at + 11 + colourTable(bytes[at + 9]))
    } else if (kind === 0x21) {
      at = skipBlocks(at + 2)
    } else {
      return { frames, whole: false }
    }
  }
  return { frames, whole: false }

  function colourTable(flags = 0): number {
    return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0
  }
  function skipBlocks(from: number): number {
    let next = from
    for (let size = bytes[next]; size !== undefined && size > 0; size = bytes[next]) next += 1 + size
    return next + 1
  }
}

function readWebp(bytes: Buffer): Container {
  if (bytes.length < 12) return { frames: 0, whole: false }
  const end = 8 + bytes.readUInt32LE(4)
  let frames = 0
  let animated = false
  let at = 12
  while (at + 8 <= Math.min(end, bytes.length)) {
    const type = bytes.toString('latin1', at, at + 4)
    if (type === 'ANIM') animated = true
    if (type === 'ANMF') frames++
    const size = bytes.readUInt32LE(at + 4)
    at += 8 + size + (size % 2)
  }
  return { frames: animated ? frames : Math.max(1, frames), whole: end <= bytes.length }
}
