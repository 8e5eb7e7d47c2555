import { crc32 } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { Inspection, InspectLimits } from '../../services/domain/fingerprint.ts'
import { drawPicture } from '../domain/pdq-pictures.ts'

/** Limits that no honest picture of these tests meets, however busy the machine is. */
export const generous: InspectLimits = { pixels: 50_000_000, frames: 50, seconds: 120 }

/** A generated picture that looks a little like a photograph. */
export function clouds(seed: number, width = 240, height = 160): Sharp {
  return sharp(drawPicture('clouds', width, height, seed), { raw: { width, height, channels: 3 } })
}

/** An animation of generated pictures, each of its own. */
export async function animation(format: 'gif' | 'webp', seeds: number[]): Promise<Buffer> {
  const frames = await Promise.all(seeds.map((seed) => clouds(seed).png().toBuffer()))
  return sharp(frames, { join: { animated: true } })
    .toFormat(format)
    .toBuffer()
}

export function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const check = Buffer.alloc(4)
  check.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, check])
}

export function pngChunks(png: Buffer): { type: string; data: Buffer }[] {
  const chunks = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    chunks.push({
      type: png.toString('latin1', at + 4, at + 8),
      data: png.subarray(at + 8, at + 8 + png.readUInt32BE(at)),
    })
  }
  return chunks
}

/** An APNG whose frames are these PNGs of one size. */
export function animatedPng(frames: Buffer[]): Buffer {
  const header = pngChunks(frames[0] ?? Buffer.alloc(0))[0]?.data ?? Buffer.alloc(13)
  let sequence = 0
  const numbered = (rest: Buffer) => {
    const number = Buffer.alloc(4)
    number.writeUInt32BE(sequence++)
    return Buffer.concat([number, rest])
  }
  const control = Buffer.alloc(22)
  header.copy(control, 0, 0, 8)
  control.writeUInt16BE(100, 16)
  control.writeUInt16BE(1000, 18)
  const count = Buffer.alloc(8)
  count.writeUInt32BE(frames.length)
  const body = frames.flatMap((png, i) => [
    chunk('fcTL', numbered(control)),
    ...pngChunks(png)
      .filter(({ type }) => type === 'IDAT')
      .map(({ data }) => (i === 0 ? chunk('IDAT', data) : chunk('fdAT', numbered(data)))),
  ])
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('acTL', count),
    ...body,
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** A PNG of a few dozen bytes that claims a size. */
export function pngHeader(width: number, height: number): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0])
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', Buffer.alloc(8)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** Differing bits of two hashes. */
export function distance(a: Uint8Array, b: Uint8Array): number {
  let bits = 0
  for (const [i, byte] of a.entries()) {
    for (let rest = byte ^ (b[i] ?? 0); rest > 0; rest >>= 1) bits += rest & 1
  }
  return bits
}

/** The hash of one transform in one frame. */
export function hashOf({ fingerprint }: Inspection, transform = 'identity', frame = 0): Buffer {
  const signal = fingerprint.find((signal) => signal.transform === transform && signal.frame === frame)
  if (signal === undefined) throw new Error(`there is no ${transform} in frame ${frame}`)
  return signal.value
}

/** The least distance of any signal of a picture to a hash, and that signal's transform. */
export function nearest({ fingerprint }: Inspection, hash: Uint8Array): { distance: number; transform: string } {
  let best = { distance: 256, transform: '' }
  for (const { value, transform } of fingerprint) {
    const bits = distance(value, hash)
    if (bits < best.distance) best = { distance: bits, transform }
  }
  return best
}

/** The variants that a picture was hashed in: the transforms of identity orientation. */
export function variantsOf({ fingerprint }: Inspection, frame = 0): string[] {
  return fingerprint
    .filter((signal) => signal.frame === frame && /(^|\+)identity$/.test(signal.transform))
    .map(({ transform }) => transform)
}
