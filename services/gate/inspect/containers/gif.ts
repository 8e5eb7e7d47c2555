import type { Container } from './container.ts'

const graphicControl = 0xf9
/** What a graphic control holds: anything longer is read by nobody, and may be something else. */
const graphicControlLength = 4

/** Counts the frames of a GIF. A frame that reaches beyond the screen is shown by some viewers only. */
export function readGif(bytes: Buffer): Container {
  const metadata: Buffer[] = []
  let frames = 0
  let within = bytes.length >= 13
  let at = 13 + colourTable(bytes[10])
  const container = (whole: boolean, end: number): Container => ({
    frames,
    whole: whole && within,
    metadata,
    rest: [bytes.subarray(end)],
    end,
    gamma: 1,
  })

  while (at < bytes.length) {
    const kind = bytes[at]
    if (kind === 0x3b) return container(true, at + 1)
    if (kind === 0x2c && at + 10 <= bytes.length) {
      frames++
      within &&=
        bytes.readUInt16LE(at + 1) + bytes.readUInt16LE(at + 5) <= bytes.readUInt16LE(6) &&
        bytes.readUInt16LE(at + 3) + bytes.readUInt16LE(at + 7) <= bytes.readUInt16LE(8)
      at = blocks(at + 11 + colourTable(bytes[at + 9])).end
    } else if (kind === 0x21) {
      const { parts, end } = blocks(at + 2)
      // XMP lies across the blocks as if there were none.
      const acrossBlocks = parts[0]?.toString('latin1') === 'XMP DataXMP'
      const content = acrossBlocks ? bytes.subarray(at + 14, end) : Buffer.concat(parts)
      if (bytes[at + 1] !== graphicControl || content.length !== graphicControlLength) metadata.push(content)
      at = end
    } else break
  }
  return container(false, Math.min(at, bytes.length))

  function blocks(from: number): { parts: Buffer[]; end: number } {
    const parts: Buffer[] = []
    let next = from
    for (let size = bytes[next]; size !== undefined && size > 0; size = bytes[next]) {
      parts.push(bytes.subarray(next + 1, next + 1 + size))
      next += 1 + size
    }
    return { parts, end: next + 1 }
  }
}

function colourTable(flags = 0): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0
}
