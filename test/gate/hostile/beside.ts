import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { found, type HostileFile, held, type Pair } from './file.ts'
import {
  avif,
  exif,
  exifOfPixels,
  jpegSegment,
  pageOf,
  pngChunk,
  tiff,
  withChunks,
  withGifExtension,
  withRiffChunk,
  withSegments,
} from './parts.ts'

const mp4 = Buffer.concat([
  Buffer.from('\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\x10\0mdat', 'latin1'),
  Buffer.alloc(4000, 7),
])
const zip = Buffer.concat([
  Buffer.from('PK\x03\x04'),
  Buffer.alloc(200, 3),
  Buffer.from('PK\x05\x06'),
  Buffer.alloc(18),
])
const page = (inside: string) => Buffer.from(`<!DOCTYPE html><html><body>${inside}</body></html>`)

/** Files whose own picture is harmless, with the known one somewhere beside it, or that are also something else. */
export async function besidePictures({ known, innocent }: Pair): Promise<HostileFile[]> {
  const to = (format: 'jpeg' | 'gif' | 'webp', picture: Buffer) => sharp(picture).toFormat(format).toBuffer()
  const [jpeg, gif, webp] = await Promise.all((['jpeg', 'gif', 'webp'] as const).map((format) => to(format, innocent)))
  const [knownGif, knownWebp] = await Promise.all((['gif', 'webp'] as const).map((format) => to(format, known)))
  const bad = await sharp(known).jpeg({ quality: 90 }).toBuffer()
  const thumbnail = await sharp(known).resize(160).jpeg({ quality: 80 }).toBuffer()
  const pixels = await pageOf(await sharp(known).resize(120).png().toBuffer())
  if (!jpeg || !gif || !webp || !knownGif || !knownWebp) throw new Error('there are three formats')
  const png = innocent
  const still = await avif([{ picture: innocent }])
  const xmp = (data: Buffer) =>
    `<x:xmpmeta><xmpGImg:image>${data.toString('base64').replaceAll(/.{76}/g, '$&&#xA;')}</xmpGImg:image></x:xmpmeta>`
  const xmpName = 'http://ns.adobe.com/xap/1.0/\0'
  const longName = `http://ns.adobe.com/xmp/extension/\0${'0'.repeat(32)}${'\0'.repeat(8)}`
  const longXmp = Buffer.from(xmp(bad))
  const photoshop = Buffer.concat([
    Buffer.from('Photoshop 3.0\x008BIM\x04\x0c\0\0\0\0\0\0'),
    Buffer.alloc(28),
    thumbnail,
  ])
  const app1 = (exifBlock: Buffer) => jpegSegment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), exifBlock]))
  const text = (name: string, body: Buffer) => Buffer.concat([Buffer.from(`${name}\0\0`), deflateSync(body)])

  const after: [string, Buffer, Buffer][] = [
    ['jpeg after jpeg', jpeg, bad],
    ['jpeg after jpeg and padding', jpeg, Buffer.concat([Buffer.alloc(3000), bad])],
    ['jpeg after jpeg and noise', jpeg, Buffer.concat([Buffer.alloc(3000, 0x2a), bad])],
    ['webp after jpeg', jpeg, knownWebp],
    ['jpeg after png', png, bad],
    ['png after png', png, known],
    ['gif after gif', gif, knownGif],
    ['jpeg after gif', gif, bad],
    ['jpeg after webp', webp, bad],
    ['jpeg after tiff', tiff([await pageOf(innocent)]), bad],
    ['jpeg after avif', still, bad],
    ['jpeg in a page of html after jpeg', jpeg, page(`<img src="data:image/jpeg;base64,${bad.toString('base64')}">`)],
  ]
  const others: [string, Buffer][] = [
    ['jpeg and film', Buffer.concat([jpeg, mp4])],
    ['jpeg and zip', Buffer.concat([jpeg, zip])],
    ['png and zip', Buffer.concat([png, zip])],
    ['gif and script', Buffer.concat([gif, Buffer.from(`*/=1;document.write("${'x'.repeat(100)}")`)])],
    ['webp and html', Buffer.concat([webp, page('x'.repeat(100))])],
    ['avif and a box that nobody knows', Buffer.concat([still, Buffer.from('\0\0\0\x10uuidabcdefgh', 'latin1')])],
    ['zip within a comment of a jpeg', withSegments(jpeg, jpegSegment(0xfe, zip))],
    [
      'html within a comment of a jpeg',
      withSegments(jpeg, jpegSegment(0xfe, page('<img src=x> and some more words than a few'))),
    ],
    ['html within a comment of a gif', withGifExtension(gif, 0xfe, page('<img src=x> and some more words than a few'))],
    [
      'html within a text of a png',
      withChunks(
        png,
        pngChunk('tEXt', Buffer.concat([Buffer.from('Comment\0'), page('<script>some code goes here</script>')])),
      ),
    ],
    [
      'pdf within a segment of a jpeg',
      withSegments(jpeg, jpegSegment(0xef, Buffer.from(`%PDF-1.7\n${'1 0 obj '.repeat(20)}`))),
    ],
    [
      'svg within a comment of a jpeg',
      withSegments(
        jpeg,
        jpegSegment(0xfe, Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${'<path d="M0 0"/>'.repeat(9)}</svg>`)),
      ),
    ],
    ['exif thumbnail of bare pixels', withSegments(jpeg, app1(exifOfPixels(pixels)))],
    [
      'jfif thumbnail of bare pixels',
      withSegments(
        jpeg,
        jpegSegment(
          0xe0,
          Buffer.concat([Buffer.from('JFIF\0\x01\x02\0\0\x01\0\x01\x40\x30'), Buffer.alloc(64 * 48 * 3, 9)]),
        ),
      ),
    ],
    ['two frames in one jpeg', Buffer.concat([jpeg.subarray(0, -2), bad.subarray(2)])],
    ['a second scan of what was in the first', Buffer.concat([jpeg.subarray(0, -2), bad.subarray(scanOf(bad))])],
    ['a jpeg that says how high it is after its scan', withLinesAfter(jpeg)],
    ['jpeg after a marker without length', behindMarker(jpeg, bad, 0x01)],
    ['zip after a marker without length', behindMarker(jpeg, zip, 0x01)],
    ['exif thumbnail after a marker without length', withSegments(jpeg, ...afterMarker(0x01, app1(exif(thumbnail))))],
    ['exif thumbnail after a restart marker', withSegments(jpeg, ...afterMarker(0xd0, app1(exif(thumbnail))))],
    ['pixels of no frame in a png', Buffer.concat([png.subarray(0, -12), pngChunk('fdAT', bad), png.subarray(-12)])],
    ['tiff whose strips have no lengths', withoutLengths(tiff([await pageOf(innocent)]), bad)],
    ['png with a chunk that must be known', withChunks(png, pngChunk('KNOW', bad))],
  ]
  return [
    ...after.map(([name, first, second]) => found(name, Buffer.concat([first, second]))),
    ...others.map(([name, bytes]) => held(name, bytes)),
    found('exif thumbnail in a jpeg', withSegments(jpeg, app1(exif(thumbnail)))),
    found('exif thumbnail in a png', withChunks(png, pngChunk('eXIf', exif(thumbnail)))),
    found('exif thumbnail in a webp', withRiffChunk(webp, 'EXIF', exif(thumbnail))),
    found('photoshop thumbnail in a jpeg', withSegments(jpeg, jpegSegment(0xed, photoshop))),
    found('xmp thumbnail in a jpeg', withSegments(jpeg, jpegSegment(0xe1, Buffer.from(xmpName + xmp(thumbnail))))),
    found(
      'picture in a long xmp block of a jpeg',
      withSegments(
        jpeg,
        ...[longXmp.subarray(0, 5000), longXmp.subarray(5000)].map((part) =>
          jpegSegment(0xe1, Buffer.concat([Buffer.from(longName), part])),
        ),
      ),
    ),
    found('jpeg in a comment of a jpeg', withSegments(jpeg, jpegSegment(0xfe, bad))),
    found('jpeg in a graphic control of a gif', withGifExtension(gif, 0xf9, bad)),
    found(
      'jpeg in the transparency of a png',
      Buffer.concat([png.subarray(0, -12), pngChunk('tRNS', bad), png.subarray(-12)]),
    ),
    found('jpeg in the frame count of a png', withChunks(png, pngChunk('acTL', bad))),
    found('jpeg in the transparency of a webp', withRiffChunk(webp, 'ALPH', bad)),
    found('jpeg in the header of an animation of a webp', withRiffChunk(webp, 'ANIM', bad)),
    found('jpeg in a comment of a gif', withGifExtension(gif, 0xfe, bad)),
    found('jpeg in a chunk of a png that nobody knows', withChunks(png, pngChunk('biNd', bad))),
    found('jpeg in a chunk of a webp that nobody knows', withRiffChunk(webp, 'MINE', bad)),
    found(
      'xmp thumbnail in a compressed text of a png',
      withChunks(png, pngChunk('zTXt', text('XMP', Buffer.from(xmp(bad))))),
    ),
    found(
      'jpeg in a jpeg in a jpeg',
      withSegments(
        jpeg,
        jpegSegment(0xfe, withSegments(await sharp(innocent).resize(64).jpeg().toBuffer(), jpegSegment(0xfe, bad))),
      ),
    ),
  ]
}

/** A JPEG with bytes before its end, in blocks that whoever takes what follows the marker for a length passes over. */
function behindMarker(jpeg: Buffer, hidden: Buffer, marker: number): Buffer {
  const room = 0xffd9 - 2
  const blocks: Buffer[] = []
  for (let at = 0; at < hidden.length; at += room) {
    const part = hidden.subarray(at, at + room)
    blocks.push(Buffer.from([0xff, marker, 0xff, 0xd9]), part, Buffer.alloc(room - part.length))
  }
  return Buffer.concat([jpeg.subarray(0, -2), ...blocks, jpeg.subarray(-2)])
}

/** A marker, an application segment, and as many bytes more as whoever takes the marker of that for a length passes over. */
function afterMarker(marker: number, application: Buffer): Buffer[] {
  const passed = application.readUInt16BE(0)
  return [Buffer.from([0xff, marker]), application, jpegSegment(0xfe, Buffer.alloc(passed - application.length - 4))]
}

/** A TIFF whose strips are said to begin somewhere, and not how long they are; `hidden` lies behind them. */
function withoutLengths(file: Buffer, hidden: Buffer): Buffer {
  const changed = Buffer.concat([file, hidden])
  for (let at = 0; at + 12 <= file.length; at++) {
    if (changed.readUInt32LE(at) !== 0x4_0117) continue
    // The least value that a sample may have takes its place.
    changed.writeUInt32LE(0x3_0118, at)
    changed.writeUInt32LE(0, at + 8)
    break
  }
  return changed
}

function scanOf(jpeg: Buffer): number {
  return jpeg.indexOf(Buffer.from([0xff, 0xda]))
}

/** The same JPEG, whose frame is less high than what its scan holds: the true height follows. */
function withLinesAfter(jpeg: Buffer): Buffer {
  const changed = Buffer.from(jpeg)
  const height = changed.indexOf(Buffer.from([0xff, 0xc0])) + 5
  const lines = changed.subarray(height, height + 2)
  const after = jpegSegment(0xdc, Buffer.from(lines))
  lines.writeUInt16BE(16)
  return Buffer.concat([changed.subarray(0, -2), after, changed.subarray(-2)])
}
