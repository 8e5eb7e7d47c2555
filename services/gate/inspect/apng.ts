import { crc32 } from 'node:zlib'
import { type Chunk, pngChunks } from './containers/png.ts'
import type { Decoded } from './decode.ts'
import type { Raw } from './pixels.ts'

type Region = { left: number; top: number; width: number; height: number }
type Part = { region: Region; dispose: number; over: boolean; animated: boolean; data: Buffer[] }

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
/** What a frame has of its own; all other chunks before the first data belong to every frame. */
const ofFrames = new Set(['IHDR', 'acTL', 'fcTL', 'fdAT', 'IDAT', 'IEND'])
const dispose = { background: 1, previous: 2 }

/**
 * The frames of an APNG as a viewer shows them one after the other, and first the still picture where it is not one of them.
 * Each is made a PNG of its own, decoded and laid upon what was there before.
 * @param decodePng decodes a PNG of one frame
 */
export async function* apngFrames(
  payload: Uint8Array,
  decodePng: (png: Buffer) => Promise<Decoded>,
): AsyncGenerator<{ raw: Raw | null; damaged: boolean }> {
  const { chunks } = pngChunks(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength))
  const header = chunks[0]?.data ?? Buffer.alloc(0)
  if (chunks[0]?.type !== 'IHDR' || header.length !== 13) return yield { raw: null, damaged: true }
  const { parts, whole } = partsOf(chunks, header)
  const shared = chunks
    .slice(
      0,
      chunks.findIndex(({ type }) => type === 'IDAT'),
    )
    .filter(({ type }) => !ofFrames.has(type))
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const canvas = { data: new Uint8Array(width * height * 4), width, height, channels: 4 } as const
  let first = true
  for (const part of parts) {
    const { region, dispose: after, animated } = part
    if (!animated) {
      const { raw, damaged } = await decodePart(part)
      yield { raw, damaged: damaged || !whole }
      continue
    }
    const fits = region.left + region.width <= width && region.top + region.height <= height
    if (!fits) {
      yield { raw: null, damaged: true }
      continue
    }
    const before = after === dispose.previous ? copyRegion(canvas, region) : null
    const { raw, damaged } = await layPart(part)
    yield { raw, damaged: damaged || !whole }
    // There is nothing before the first frame.
    if (after === dispose.background || (before !== null && first)) clear(canvas, region)
    else if (before !== null) lay(before, canvas, region, false)
    first = false
  }

  async function decodePart({ region, data }: Part): Promise<{ raw: Raw | null; damaged: boolean }> {
    const { frames, damaged } = await decodePng(pngOf(header, region, shared, data))
    const raw = frames[0]?.raw
    if (raw?.width !== region.width || raw.height !== region.height) return { raw: null, damaged: true }
    return { raw, damaged }
  }

  /** On its own, so that the frame is gone from memory while the canvas is looked at. */
  async function layPart(part: Part): Promise<{ raw: Raw | null; damaged: boolean }> {
    const { raw, damaged } = await decodePart(part)
    if (raw === null) return { raw, damaged }
    lay(raw, canvas, part.region, part.over)
    return { raw: canvas, damaged }
  }
}

function partsOf(chunks: readonly Chunk[], header: Buffer): { parts: Part[]; whole: boolean } {
  const parts: Part[] = []
  const full = { left: 0, top: 0, width: header.readUInt32BE(0), height: header.readUInt32BE(4) }
  let announced = -1
  let sequence = 0
  let whole = true
  for (const { type, data } of chunks) {
    if (type === 'acTL' && data.length === 8) announced = data.readUInt32BE(0)
    if (type === 'fcTL' || type === 'fdAT') {
      if (data.length < 4 || data.readUInt32BE(0) !== sequence++) whole = false
    }
    if (type === 'fcTL' && data.length === 26) {
      const [width, height, left, top] = [4, 8, 12, 16].map((at) => data.readUInt32BE(at))
      const region = { left: left ?? 0, top: top ?? 0, width: width ?? 0, height: height ?? 0 }
      parts.push({ region, dispose: data[24] ?? 0, over: data[25] === 1, animated: true, data: [] })
    } else if (type === 'IDAT') {
      if (parts.length === 0) parts.push({ region: full, dispose: 0, over: false, animated: false, data: [] })
      parts.at(-1)?.data.push(data)
    } else if (type === 'fdAT') parts.at(-1)?.data.push(data.subarray(4))
  }
  return { parts, whole: whole && announced === parts.filter(({ animated }) => animated).length }
}

function pngOf(header: Buffer, { width, height }: Region, shared: readonly Chunk[], data: Buffer[]): Buffer {
  const own = Buffer.from(header)
  own.writeUInt32BE(width, 0)
  own.writeUInt32BE(height, 4)
  const chunks = [{ type: 'IHDR', data: own }, ...shared, { type: 'IDAT', data: Buffer.concat(data) }]
  return Buffer.concat([signature, ...[...chunks, { type: 'IEND', data: Buffer.alloc(0) }].map(written)])
}

function written({ type, data }: Chunk): Buffer {
  const chunk = Buffer.alloc(data.length + 12)
  chunk.writeUInt32BE(data.length, 0)
  chunk.write(type, 4, 'latin1')
  data.copy(chunk, 8)
  chunk.writeUInt32BE(crc32(chunk.subarray(4, data.length + 8)), data.length + 8)
  return chunk
}

function copyRegion({ data, width }: Raw, region: Region): Raw {
  const copy = new Uint8Array(region.width * region.height * 4)
  for (let y = 0; y < region.height; y++) {
    const from = ((region.top + y) * width + region.left) * 4
    copy.set(data.subarray(from, from + region.width * 4), y * region.width * 4)
  }
  return { data: copy, width: region.width, height: region.height, channels: 4 }
}

function clear({ data, width }: Raw, region: Region): void {
  for (let y = 0; y < region.height; y++) {
    const from = ((region.top + y) * width + region.left) * 4
    data.fill(0, from, from + region.width * 4)
  }
}

/** Lays a frame upon the canvas: in place of what is there, or over it where the frame is transparent. */
function lay({ data, width, height, channels }: Raw, canvas: Raw, { left, top }: Region, over: boolean): void {
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0, to = ((top + y) * canvas.width + left) * 4; x < width; x++, from += channels, to += 4) {
      const alpha = channels === 4 ? (data[from + 3] ?? 0) : 255
      const behind = over ? ((canvas.data[to + 3] ?? 0) * (255 - alpha)) / 255 : 0
      const sum = alpha + behind
      // Colours below full transparency are kept: they are looked at too.
      const share = sum === 0 ? 1 : alpha / sum
      for (let c = 0; c < 3; c++) {
        const below = canvas.data[to + c] ?? 0
        canvas.data[to + c] = Math.round(below + ((data[from + c] ?? 0) - below) * share)
      }
      canvas.data[to + 3] = Math.round(sum)
    }
  }
}
