import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { animatedPng, pngHeader } from '../inspect-made.ts'
import { alive, type HostileFile, held, type Pair } from './file.ts'
import { avif, jpegSegment, pageOf, pngChunk, profile, tiff, u32be, withChunks, withSegments } from './parts.ts'

/** Small files that cost whoever opens them much memory or time. */
export async function bombs({ innocent }: Pair): Promise<HostileFile[]> {
  const tiny = await sharp(innocent).resize(16, 12).png().toBuffer()
  const jpeg = await sharp(tiny).jpeg().toBuffer()
  const gif = await sharp(tiny).gif().toBuffer()
  const webp = await sharp(tiny).webp({ lossless: true }).toBuffer()
  const zeros = deflateSync(Buffer.alloc(200_000_000), { level: 9 })
  const text = (type: string, before: string) => pngChunk(type, Buffer.concat([Buffer.from(before, 'latin1'), zeros]))
  const page = await pageOf(tiny)

  const wideGif = Buffer.from(gif)
  wideGif.writeUInt16LE(65535, 6)
  wideGif.writeUInt16LE(65535, 8)
  const manyFrames = Buffer.concat([
    gif.subarray(0, -1),
    ...Array.from({ length: 3000 }, () => frameOf(gif)),
    Buffer.from(';'),
  ])
  const wideWebp = Buffer.from(webp)
  wideWebp.writeUInt32LE(0x0fffffff, 21)
  const wideAvif = await avif([{ picture: tiny }])
  u32be(60_000).copy(wideAvif, wideAvif.indexOf('ispe') + 8)
  u32be(60_000).copy(wideAvif, wideAvif.indexOf('ispe') + 12)
  const starts = Buffer.alloc(60_000, Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16]))
  let nested: Buffer = jpeg
  for (let depth = 0; depth < 12; depth++) nested = withSegments(jpeg, jpegSegment(0xfe, nested))
  const manyStrips = tiff([{ ...page, tags: [[330, 4, [8]]] }])

  return [
    held('png that claims 3600 megapixels', pngHeader(60_000, 60_000)),
    held('png of no height', pngHeader(60_000, 0)),
    alive('png whose data go on for 200 MB', png(16, 12, zeros)),
    held('png with a compressed text of 200 MB', withChunks(tiny, text('zTXt', 'Comment\0\0'))),
    held('png with an international text of 200 MB', withChunks(tiny, text('iTXt', 'Comment\0\x01\0\0\0'))),
    held(
      'png with a colour profile of 200 MB',
      withChunks(tiny, text('iCCP', 'x\0\0'), pngChunk('KILL', Buffer.alloc(0))),
    ),
    alive('gif that claims 4295 megapixels', wideGif),
    held('gif of 3000 frames', manyFrames),
    held('apng of 500 frames', animatedPng(Array.from({ length: 500 }, () => tiny))),
    held('webp that claims 268 megapixels', wideWebp),
    held('avif that claims 3600 megapixels', wideAvif),
    held('tiff of 3000 pages', tiff(Array.from({ length: 3000 }, () => page))),
    held('tiff that claims 3600 megapixels', tiff([{ ...page, width: 60_000, height: 60_000 }])),
    held('tiff whose page is below itself', manyStrips),
    held(
      'jpeg with thousands of beginnings in comments',
      withSegments(jpeg, jpegSegment(0xfe, starts), jpegSegment(0xfe, starts)),
    ),
    held('jpeg in jpeg in jpeg, a dozen times', nested),
    held('jpeg whose profile is a thousand segments', withSegments(jpeg.subarray(0, -2), ...manyProfiles())),
  ]
}

function frameOf(gif: Buffer): Buffer {
  const at = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, 16, 0, 12, 0]))
  return gif.subarray(at, -1)
}

function png(width: number, height: number, data: Buffer): Buffer {
  const header = Buffer.concat([u32be(width), u32be(height), Buffer.from([8, 2, 0, 0, 0])])
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', data),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

function manyProfiles(): Buffer[] {
  const part = Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\xff', 'latin1'), profile([0, 65535])])
  return Array.from({ length: 1000 }, () => jpegSegment(0xe2, part))
}
