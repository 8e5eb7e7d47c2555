import type { Container } from './container.ts'

/** Coded pixels. All other chunks are looked into, whatever they are called. */
const pixels = new Set(['VP8 ', 'VP8L', 'ANMF'])

/** Counts the pictures of a WebP, those of an animation and those beside it. */
export function readWebp(bytes: Buffer): Container {
  const metadata: Buffer[] = []
  if (bytes.length < 12) return { frames: 0, whole: false, metadata, rest: [], end: bytes.length, gamma: 1 }
  const size = bytes.readUInt32LE(4)
  const end = 8 + size + (size % 2)
  let frames = 0
  let tidy = true
  let at = 12
  while (at + 8 <= Math.min(end, bytes.length)) {
    const type = bytes.toString('latin1', at, at + 4)
    const length = bytes.readUInt32LE(at + 4)
    if (type === 'ANMF' || type === 'VP8 ' || type === 'VP8L') frames++
    if (type === 'ANMF') tidy &&= isFrameTidy(bytes.subarray(at + 8 + 16, at + 8 + length))
    const next = at + 8 + length + (length % 2)
    const isTransparency = type === 'ALPH' && bytes.toString('latin1', next, next + 4) === 'VP8 '
    if (!pixels.has(type) && !isTransparency) metadata.push(bytes.subarray(at + 8, at + 8 + length))
    at = next
  }
  return {
    frames: Math.max(1, frames),
    // The last padding byte is often forgotten.
    whole: tidy && 8 + size <= bytes.length && at - 1 <= end,
    metadata,
    rest: [bytes.subarray(Math.min(end, bytes.length))],
    end: Math.min(end, bytes.length),
    gamma: 1,
  }
}

/** Whether a frame of an animation has one picture, transparency before it at most, and nothing else. */
function isFrameTidy(frame: Buffer): boolean {
  const types: string[] = []
  for (let at = 0; at + 8 <= frame.length; ) {
    const length = frame.readUInt32LE(at + 4)
    types.push(frame.toString('latin1', at, at + 4))
    at += 8 + length + (length % 2)
  }
  return ['VP8 ', 'VP8L', 'ALPH,VP8 '].includes(types.join())
}
