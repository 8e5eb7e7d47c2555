import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { pngChunks } from '../inspect-made.ts'

// Parts that picture files are made of, so that files can be made which no honest program writes.

const u16 = (value: number) => Buffer.from([value & 255, (value >> 8) & 255])
const u32 = (value: number) => Buffer.concat([u16(value & 0xffff), u16(value >>> 16)])
const u16be = (value: number) => u16(value).reverse()
export const u32be = (value: number) => u32(value).reverse()

/** A chunk of a PNG. */
export function pngChunk(type: string, data: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([u32be(data.length), named, u32be(crc32(named))])
}

/** A PNG with chunks put in behind its header. */
export function withChunks(png: Buffer, ...chunks: Buffer[]): Buffer {
  return Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)])
}

/** The compressed pixels of a PNG, chunk by chunk. */
export function pngData(png: Buffer): Buffer[] {
  return pngChunks(png)
    .filter(({ type }) => type === 'IDAT')
    .map(({ data }) => data)
}

/** A frame of an APNG; `dispose` 1 clears its place afterwards, 2 puts back what was there; `over` blends it. */
export type Frame = { png: Buffer; left?: number; top?: number; dispose?: 0 | 1 | 2; over?: boolean }

export function frameControl(sequence: number, { png, left = 0, top = 0, dispose = 0, over = false }: Frame): Buffer {
  const numbers = [sequence, png.readUInt32BE(16), png.readUInt32BE(20), left, top].map(u32be)
  return pngChunk('fcTL', Buffer.concat([...numbers, Buffer.from([0, 1, 0, 10, dispose, over ? 1 : 0])]))
}

/** An APNG as large as its first frame. */
export function apng(frames: Frame[]): Buffer {
  const first = frames[0]?.png ?? Buffer.alloc(33)
  let sequence = 0
  const chunks = frames.flatMap((frame, i) => [
    frameControl(sequence++, frame),
    ...pngData(frame.png).map((data) =>
      i === 0 ? pngChunk('IDAT', data) : pngChunk('fdAT', Buffer.concat([u32be(sequence++), data])),
    ),
  ])
  const count = pngChunk('acTL', Buffer.concat([u32be(frames.length), u32be(0)]))
  return Buffer.concat([first.subarray(0, 33), count, ...chunks, pngChunk('IEND', Buffer.alloc(0))])
}

/** A segment of a JPEG. */
export function jpegSegment(marker: number, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0xff, marker]), u16be(data.length + 2), data])
}

/** A JPEG with segments put in behind its first bytes. */
export function withSegments(jpeg: Buffer, ...segments: Buffer[]): Buffer {
  return Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2)])
}

/** A WebP with a chunk put in at its end. */
export function withRiffChunk(webp: Buffer, type: string, data: Buffer): Buffer {
  const whole = Buffer.concat([
    webp,
    Buffer.from(type, 'latin1'),
    u32(data.length),
    data,
    Buffer.alloc(data.length % 2),
  ])
  whole.writeUInt32LE(whole.length - 8, 4)
  return whole
}

/** A GIF with an extension put in before its frames; `label` 0xfe is a comment. */
export function withGifExtension(gif: Buffer, label: number, data: Buffer): Buffer {
  const table = (gif[10] ?? 0) & 0x80 ? 3 * 2 ** (((gif[10] ?? 0) & 7) + 1) : 0
  const blocks: Buffer[] = []
  for (let at = 0; at < data.length; at += 255) {
    const part = data.subarray(at, at + 255)
    blocks.push(Buffer.from([part.length]), part)
  }
  return Buffer.concat([
    gif.subarray(0, 13 + table),
    Buffer.from([0x21, label]),
    ...blocks,
    Buffer.from([0]),
    gif.subarray(13 + table),
  ])
}

export type Tag = [tag: number, type: 3 | 4, values: number[]]

function directory(at: number, tags: Tag[], next: number): Buffer {
  const outside: Buffer[] = []
  let free = at + 2 + tags.length * 12 + 4
  const entries = tags.map(([tag, type, values]) => {
    const data = Buffer.concat(values.map(type === 3 ? u16 : u32))
    const inside = data.length <= 4
    const value = inside ? Buffer.concat([data, Buffer.alloc(4 - data.length)]) : u32(free)
    if (!inside) {
      outside.push(data)
      free += data.length
    }
    return Buffer.concat([u16(tag), u16(type), u32(values.length), value])
  })
  return Buffer.concat([u16(tags.length), ...entries, u32(next), ...outside])
}

/** @param tags instead of those that a picture of 8-bit red, green and blue has, or beside them */
export type Page = { rgb: Buffer; width: number; height: number; tags?: Tag[] }

/** A picture as the page of a TIFF. */
export async function pageOf(picture: Buffer, tags: Tag[] = []): Promise<Page> {
  const { data, info } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return { rgb: data, width: info.width, height: info.height, tags }
}

/**
 * An uncompressed TIFF.
 * @param loop whether its last directory points to the first again
 * @param hidden pages that are there, but not in the chain; `{ sub: true }` hangs them below the first page
 */
export function tiff(pages: Page[], { loop = false, hidden = [] as Page[], sub = false } = {}): Buffer {
  const all = [...pages, ...hidden]
  const sizes = all.map((page) => directory(0, tagsOf(page, 0, sub), 0).length)
  const starts: number[] = []
  let at = 8
  for (const [i, { rgb }] of all.entries()) {
    starts.push(at)
    at += (sizes[i] ?? 0) + rgb.length + (rgb.length % 2)
  }
  const parts = all.map((page, i) => {
    const start = starts[i] ?? 0
    const data = start + (sizes[i] ?? 0)
    const isLast = i >= pages.length - 1
    const next = isLast ? (loop ? 8 : 0) : (starts[i + 1] ?? 0)
    const tags = tagsOf(page, data, i === 0 && sub)
    for (const tag of tags) if (tag[0] === 330) tag[2] = [starts[pages.length] ?? 0]
    return Buffer.concat([directory(start, tags, next), page.rgb, Buffer.alloc(page.rgb.length % 2)])
  })
  return Buffer.concat([Buffer.from('II*\0'), u32(8), ...parts])
}

function tagsOf({ rgb, width, height, tags = [] }: Page, data: number, sub: boolean): Tag[] {
  const all: Tag[] = [
    [256, 4, [width]],
    [257, 4, [height]],
    [258, 3, [8, 8, 8]],
    [259, 3, [1]],
    [262, 3, [2]],
    [273, 4, [data]],
    [277, 3, [3]],
    [278, 4, [height]],
    [279, 4, [rgb.length]],
    ...(sub ? ([[330, 4, [0]]] satisfies Tag[]) : []),
  ]
  const others = all.filter(([tag]) => !tags.some(([own]) => own === tag))
  return [...others, ...tags].sort(([a], [b]) => a - b)
}

/** An EXIF block with a thumbnail. */
export function exif(thumbnail: Buffer, orientation = 1): Buffer {
  const first = directory(8, [[274, 3, [orientation]]], 26)
  const second = directory(
    26,
    [
      [259, 3, [6]],
      [513, 4, [26 + 42]],
      [514, 4, [thumbnail.length]],
    ],
    0,
  )
  return Buffer.concat([Buffer.from('II*\0'), u32(8), first, second, thumbnail])
}

/** An EXIF block whose thumbnail is bare pixels. */
export function exifOfPixels({ rgb, width, height }: Page): Buffer {
  const first = directory(8, [[274, 3, [1]]], 26)
  const tags = tagsOf({ rgb, width, height }, 0, false)
  const length = directory(26, tags, 0).length
  const second = directory(26, tagsOf({ rgb, width, height }, 26 + length, false), 0)
  return Buffer.concat([Buffer.from('II*\0'), u32(8), first, second, rgb])
}

/** A box of an ISO media file. */
export function box(type: string, ...data: Uint8Array[]): Buffer {
  const body = Buffer.concat(data)
  return Buffer.concat([u32be(body.length + 8), Buffer.from(type, 'latin1'), body])
}

const fullBox = (type: string, version: number, ...data: Uint8Array[]) => box(type, u32be(version * 2 ** 24), ...data)

/** @param second a further picture in the data of the same item */
export type AvifItem = { picture: Buffer; second?: Buffer; hidden?: boolean; refersTo?: { type: string; id: number } }

/** An AVIF of several pictures of one size, of which the first is the primary one. */
export async function avif(
  items: AvifItem[],
  { brand = 'avif', properties = [] as Buffer[], top = [] as Buffer[] } = {},
) {
  const code = (picture: Buffer) => sharp(picture).removeAlpha().avif({ effort: 0, quality: 80 }).toBuffer()
  const dataOf = (file: Buffer) => file.subarray(file.indexOf('mdat') + 4)
  const first = await code(items[0]?.picture ?? Buffer.alloc(0))
  const datas = await Promise.all(
    items.map(async ({ picture, second }) =>
      Buffer.concat([dataOf(await code(picture)), second === undefined ? Buffer.alloc(0) : dataOf(await code(second))]),
    ),
  )
  const meta = (offset: number) => {
    let at = offset
    const places = datas.map((data, i) => {
      const place = Buffer.concat([u16be(i + 1), u16be(0), u16be(1), u32be(at), u32be(data.length)])
      at += data.length
      return place
    })
    const own = ['av1C', 'ispe', 'pixi'].map((name) => boxOf(first, name))
    const uses = Buffer.from([...own, ...properties].map((_, i) => (i === 0 ? 0x81 : i + 1)))
    return fullBox(
      'meta',
      0,
      fullBox('hdlr', 0, Buffer.alloc(4), Buffer.from('pict'), Buffer.alloc(13)),
      fullBox('pitm', 0, u16be(1)),
      fullBox('iloc', 0, Buffer.from([0x44, 0]), u16be(items.length), ...places),
      fullBox(
        'iinf',
        0,
        u16be(items.length),
        ...items.map(({ hidden }, i) =>
          box('infe', u32be(2 * 2 ** 24 + (hidden ? 1 : 0)), u16be(i + 1), u16be(0), Buffer.from('av01\0')),
        ),
      ),
      ...(items.some(({ refersTo }) => refersTo)
        ? [
            fullBox(
              'iref',
              0,
              ...items.flatMap(({ refersTo }, i) =>
                refersTo ? [box(refersTo.type, u16be(i + 1), u16be(1), u16be(refersTo.id))] : [],
              ),
            ),
          ]
        : []),
      box(
        'iprp',
        box('ipco', ...own, ...properties),
        fullBox(
          'ipma',
          0,
          u32be(items.length),
          ...items.map((_, i) => Buffer.concat([u16be(i + 1), Buffer.from([uses.length]), uses])),
        ),
      ),
    )
  }
  const start = box('ftyp', Buffer.from(`${brand}\0\0\0\0${brand}mif1miaf`, 'latin1'))
  const before = start.length + meta(0).length + 8
  return Buffer.concat([start, meta(before), box('mdat', ...datas), ...top])
}

function boxOf(file: Buffer, type: string): Buffer {
  const at = file.indexOf(type) - 4
  return file.subarray(at, at + file.readUInt32BE(at))
}

/** A small colour profile of a display whose tone curves are these 16-bit levels. */
export function profile(levels: number[]): Buffer {
  const s15 = (value: number) => u32be(Math.round(value * 65536) >>> 0)
  const xyz = (x: number, y: number, z: number) => Buffer.concat([Buffer.from('XYZ \0\0\0\0'), s15(x), s15(y), s15(z)])
  const curve = Buffer.concat([Buffer.from('curv\0\0\0\0'), u32be(levels.length), ...levels.map(u16be)])
  const padded = Buffer.concat([curve, Buffer.alloc((4 - (curve.length % 4)) % 4)])
  const text = Buffer.concat([Buffer.from('desc\0\0\0\0'), u32be(5), Buffer.from('test\0'), Buffer.alloc(78)])
  const textPadded = Buffer.concat([text, Buffer.alloc((4 - (text.length % 4)) % 4)])
  const tags: [string, Buffer][] = [
    ['desc', textPadded],
    ['cprt', Buffer.from('text\0\0\0\0none\0\0\0\0')],
    ['wtpt', xyz(0.9642, 1, 0.8249)],
    ['rXYZ', xyz(0.4361, 0.2225, 0.0139)],
    ['gXYZ', xyz(0.3851, 0.7169, 0.0971)],
    ['bXYZ', xyz(0.1431, 0.0606, 0.7141)],
    ['rTRC', padded],
    ['gTRC', padded],
    ['bTRC', padded],
  ]
  let at = 128 + 4 + tags.length * 12
  const table = tags.map(([name, data]) => {
    const entry = Buffer.concat([Buffer.from(name), u32be(at), u32be(data.length)])
    at += data.length
    return entry
  })
  const header = Buffer.alloc(128)
  header.writeUInt32BE(at, 0)
  header.writeUInt32BE(0x02400000, 8)
  header.write('mntrRGB XYZ ', 12)
  header.write('acsp', 36)
  xyz(0.9642, 1, 0.8249).copy(header, 68, 8)
  return Buffer.concat([header, u32be(tags.length), ...table, ...tags.map(([, data]) => data)])
}
