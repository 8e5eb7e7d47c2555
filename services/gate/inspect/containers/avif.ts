import type { Container } from './container.ts'
import { gaps, type Range } from './gaps.ts'

/** @param data after the box's own header; `from` is where that begins in the file */
type Box = { type: string; data: Buffer; from: number }
type Extent = { from: number; length: number }
type Item = { type: string; hidden: boolean; extents: Extent[]; inside: boolean }

const outer = new Set(['ftyp', 'meta', 'mdat', 'free', 'skip'])
const inMeta = new Set(['hdlr', 'pitm', 'iloc', 'iinf', 'iprp', 'iref', 'idat', 'dinf', 'free'])
/** Properties that every decoder heeds. A crop, a layer or an operating point is heeded by some. */
const plainProperties = new Set(['av1C', 'ispe', 'pixi', 'colr', 'pasp', 'irot', 'imir', 'auxC', 'clli', 'mdcv'])
const plainTransfers = new Set([1, 2, 6, 13])

/**
 * Reads the items of an AVIF. One picture, in tiles or not, with or without alpha, is one frame; a sequence, thumbnails, depth
 * maps, gain maps and hidden pictures are not shown by the decoder, and make it less than whole.
 */
export function readAvif(bytes: Buffer): Container {
  const used: Range[] = []
  const metadata: Buffer[] = []
  const top = boxes(bytes, 0)
  const meta = top.boxes.filter(({ type }) => type === 'meta')
  let whole = top.whole && meta.length === 1 && top.boxes.every(({ type }) => outer.has(type))
  for (const { type, data, from } of top.boxes) {
    // What is free should be empty; what is media data belongs to items.
    if (type === 'mdat' || type === 'free' || type === 'skip') used.push([from - 8, from])
    else used.push([from - 8, from + data.length])
    if (type === 'ftyp') whole &&= !data.toString('latin1').includes('avis')
  }
  try {
    const parts = boxes(bytes, (meta[0]?.from ?? bytes.length) + 4, (meta[0]?.from ?? 0) + (meta[0]?.data.length ?? 0))
    whole &&= parts.whole && parts.boxes.every(({ type }) => inMeta.has(type))
    const idat = parts.boxes.find(({ type }) => type === 'idat')
    const items = readItems(parts.boxes)
    whole &&= arePicturesShown(items, parts.boxes) && arePropertiesPlain(parts.boxes)
    for (const { type, extents, inside } of items.values()) {
      const data = extents.map(({ from, length }) =>
        inside ? (idat?.data.subarray(from, from + length) ?? Buffer.alloc(0)) : bytes.subarray(from, from + length),
      )
      if (!inside) used.push(...extents.map(({ from, length }): Range => [from, from + length]))
      if (type === 'av01') whole &&= countFrames(Buffer.concat(data)) === 1
      else metadata.push(...data)
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    whole = false
  }
  return { frames: 1, whole, metadata, rest: gaps(bytes, used), end: bytes.length, gamma: 1 }
}

function boxes(bytes: Buffer, start: number, stop = bytes.length): { boxes: Box[]; whole: boolean } {
  const found: Box[] = []
  let at = start
  while (at + 8 <= stop) {
    const size = bytes.readUInt32BE(at)
    // Boxes of more than 4 GiB, or to the end of the file, are for streams.
    if (size < 8 || at + size > stop) return { boxes: found, whole: false }
    found.push({
      type: bytes.toString('latin1', at + 4, at + 8),
      data: bytes.subarray(at + 8, at + size),
      from: at + 8,
    })
    at += size
  }
  return { boxes: found, whole: at === stop }
}

function readItems(parts: readonly Box[]): Map<number, Item> {
  const items = new Map<number, Item>()
  const information = parts.find(({ type }) => type === 'iinf')?.data ?? Buffer.alloc(6)
  for (const { type, data } of boxes(information, information[0] === 0 ? 6 : 8).boxes) {
    if (type !== 'infe') continue
    const [id, rest] = data[0] === 3 ? [data.readUInt32BE(4), 8] : [data.readUInt16BE(4), 6]
    const hidden = ((data[3] ?? 0) & 1) === 1
    items.set(id, { type: data.toString('latin1', rest + 2, rest + 6), hidden, extents: [], inside: false })
  }
  const locations = parts.find(({ type }) => type === 'iloc')?.data
  if (locations !== undefined) readLocations(locations, items)
  return items
}

function readLocations(data: Buffer, items: Map<number, Item>): void {
  const version = data[0] ?? 0
  const sizes = data.readUInt16BE(4)
  const [offsetSize, lengthSize, baseSize] = [(sizes >> 12) & 15, (sizes >> 8) & 15, (sizes >> 4) & 15]
  const indexSize = version === 0 ? 0 : sizes & 15
  let at = 6
  const next = (size: number): number => {
    if (size > 8) throw new RangeError('a number of more than 8 bytes')
    const high = size > 4 ? data.readUIntBE(at, size - 4) : 0
    const low = size > 0 ? data.readUIntBE(at + Math.max(0, size - 4), Math.min(size, 4)) : 0
    at += size
    return high * 2 ** 32 + low
  }
  const count = next(version < 2 ? 2 : 4)
  for (let i = 0; i < count; i++) {
    const id = next(version < 2 ? 2 : 4)
    const item = items.get(id)
    const method = version === 0 ? 0 : next(2) & 15
    next(2)
    const base = next(baseSize)
    const extents: Extent[] = []
    for (let left = next(2); left > 0; left--) {
      next(indexSize)
      const from = base + next(offsetSize)
      extents.push({ from, length: next(lengthSize) })
    }
    if (item === undefined || method > 1) throw new RangeError('a place of no item, or one that is no place')
    items.set(id, { ...item, extents, inside: method === 1 })
  }
}

/** Whether each picture is the primary one, its alpha, or a tile of one of the two. */
function arePicturesShown(items: Map<number, Item>, parts: readonly Box[]): boolean {
  const primaryBox = parts.find(({ type }) => type === 'pitm')?.data ?? Buffer.alloc(0)
  const primary = primaryBox[0] === 0 ? primaryBox.readUInt16BE(4) : primaryBox.readUInt32BE(4)
  const references = readReferences(parts)
  const shown = new Set([primary])
  const alphas = references.filter(({ type, to }) => type === 'auxl' && to.includes(primary))
  for (const { from } of alphas) shown.add(from)
  for (const { type, from, to } of references) {
    if (type === 'dimg' && items.get(from)?.type === 'grid' && shown.has(from)) for (const id of to) shown.add(id)
    if (type === 'auxl' && !alphas.some((alpha) => alpha.from === from))
      for (const id of to) if (!shown.has(id)) return false
  }
  // The alpha of tiles.
  for (const { type, from, to } of references) if (type === 'auxl' && to.every((id) => shown.has(id))) shown.add(from)
  for (const [id, { type, hidden }] of items) {
    if (type === 'Exif' || type === 'mime') continue
    if (type !== 'av01' && type !== 'grid') return false
    if (!shown.has(id) || (hidden && id === primary)) return false
  }
  return alphas.length <= 1 && items.has(primary)
}

function readReferences(parts: readonly Box[]): { type: string; from: number; to: number[] }[] {
  const data = parts.find(({ type }) => type === 'iref')?.data
  if (data === undefined) return []
  const size = data[0] === 0 ? 2 : 4
  return boxes(data, 4).boxes.map(({ type, data: reference }) => ({
    type,
    from: reference.readUIntBE(0, size),
    to: Array.from({ length: reference.readUInt16BE(size) }, (_, i) => reference.readUIntBE(size + 2 + i * size, size)),
  }))
}

function arePropertiesPlain(parts: readonly Box[]): boolean {
  const properties = parts.find(({ type }) => type === 'iprp')?.data ?? Buffer.alloc(0)
  const container = boxes(properties, 0).boxes.find(({ type }) => type === 'ipco')?.data
  return (
    container !== undefined &&
    boxes(container, 0).boxes.every(({ type, data }) => {
      if (type === 'auxC') return data.toString('latin1', 4).includes(':alpha')
      if (type === 'colr' && data.toString('latin1', 0, 4) === 'nclx') return plainTransfers.has(data.readUInt16BE(6))
      return plainProperties.has(type)
    })
  )
}

/** Frames in AV1 data: a second one may be shown instead of the first. */
function countFrames(data: Buffer): number {
  const frameHeader = 3
  const frame = 6
  let frames = 0
  for (let at = 0; at < data.length; ) {
    const header = data[at] ?? 0
    const type = (header >> 3) & 15
    const extended = (header & 4) !== 0
    at += extended ? 2 : 1
    if ((header & 2) === 0) return -1
    let size = 0
    for (let i = 0; i < 8; i++) {
      const byte = data[at++] ?? 0
      size += (byte & 127) * 2 ** (7 * i)
      if ((byte & 128) === 0) break
    }
    if (type === frame || type === frameHeader) frames++
    at += size
    if (at > data.length) return -1
  }
  return frames
}
