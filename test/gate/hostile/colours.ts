import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { found, type HostileFile, type Pair } from './file.ts'
import { pngChunk, profile, u32be, withChunks } from './parts.ts'

/** The known picture behind transparency, turns, colour profiles and gamma. */
export async function colourTricks({ known, innocent, width, height }: Pair): Promise<HostileFile[]> {
  const raw = async (picture: Buffer) => sharp(picture).removeAlpha().raw().toBuffer()
  const [bad, good] = await Promise.all([raw(known), raw(innocent)])
  const made = (channels: 3 | 4, at: (pixel: number, channel: number) => number) =>
    sharp(
      Uint8Array.from({ length: width * height * channels }, (_, i) => at(Math.floor(i / channels), i % channels)),
      {
        raw: { width, height, channels },
      },
    )
  const level = (picture: Buffer, pixel: number, channel: number) => picture[pixel * 3 + channel] ?? 0
  const grey = (picture: Buffer, pixel: number) =>
    0.299 * level(picture, pixel, 0) + 0.587 * level(picture, pixel, 1) + 0.114 * level(picture, pixel, 2)

  // Nothing but transparency makes the picture: black on white, or white on black.
  const onWhite = made(4, (pixel, channel) => (channel === 3 ? 255 - Math.round(grey(bad, pixel)) : 0))
  const onBlack = made(4, (pixel, channel) => (channel === 3 ? Math.round(grey(bad, pixel)) : 255))
  const below = made(4, (pixel, channel) =>
    channel === 3 ? Math.round(grey(good, pixel)) : level(bad, pixel, channel),
  )
  const unseen = made(4, (pixel, channel) => (channel === 3 ? 0 : level(bad, pixel, channel)))

  const files: HostileFile[] = []
  for (const [name, picture] of Object.entries({ onWhite, onBlack, below, unseen })) {
    files.push(found(`alpha, ${name}, png`, await picture.clone().png().toBuffer()))
    files.push(found(`alpha, ${name}, webp`, await picture.clone().webp({ lossless: true, exact: true }).toBuffer()))
    files.push(found(`alpha, ${name}, tiff`, await picture.clone().tiff({ compression: 'deflate' }).toBuffer()))
    if (name === 'below' || name === 'unseen') continue
    files.push(found(`alpha, ${name}, avif`, await picture.clone().avif({ effort: 0, quality: 80 }).toBuffer()))
  }
  for (const orientation of [2, 3, 5, 6, 8]) {
    files.push(
      found(`exif turns by ${orientation}`, await sharp(known).withMetadata({ orientation }).jpeg().toBuffer()),
    )
  }

  // Two hundred and fifty-six levels, the last bits of which say what the first bits hide.
  const hidden = made(3, (pixel, channel) => (level(good, pixel, channel) & 0xf0) | (level(bad, pixel, channel) >> 4))
  const lastBits = profile(Array.from({ length: 256 }, (_, i) => Math.round((((i & 15) * 17) / 255) ** 2.2 * 65535)))
  const withProfile = (picture: Buffer, icc: Buffer) => {
    return withChunks(picture, pngChunk('iCCP', Buffer.concat([Buffer.from('x\0\0'), deflateSync(icc)])))
  }
  const plain = await hidden.png().toBuffer()
  files.push(found('profile that shows the last bits', withProfile(plain, lastBits)))
  const firstBits = profile(Array.from({ length: 256 }, (_, i) => Math.round((((i & 15) * 17) / 255) ** 2.2 * 65535)))
  const swapped = made(3, (pixel, channel) => (level(bad, pixel, channel) & 0xf0) | (level(good, pixel, channel) >> 4))
  files.push(found('profile that hides the first bits', withProfile(await swapped.png().toBuffer(), firstBits)))

  // Every other pixel belongs to the one picture and is dark, or to the other and is bright: a steep gamma leaves only the bright ones.
  const exponent = 20
  const steep = made(3, (pixel, channel) =>
    (Math.floor(pixel / width) + pixel) % 2 === 0
      ? (level(good, pixel, channel) * 2) / 3
      : Math.round(255 * (level(bad, pixel, channel) / 255) ** (1 / exponent)),
  )
  const gamma = pngChunk('gAMA', u32be(Math.round((0.45455 / exponent) * 100_000)))
  files.push(found('gamma', withChunks(await steep.png().toBuffer(), gamma)))
  return files
}
